#!/bin/bash
# A workflow in one PBS job, on all its processes by MPI:
#
#   qsub -v WORKFLOW=stations.py,INPUTS=inputs.json pbs-mpi.sh
#
#PBS -N d4py
#PBS -l select=2:ncpus=16:mpiprocs=16
#PBS -l walltime=01:00:00
set -euo pipefail

: "${WORKFLOW:?a Python file}" "${INPUTS:?a file of inputs, as JSON}"
cd "$PBS_O_WORKDIR"
# The environment of d4py: a path that every node sees.
# shellcheck source=/dev/null
source "${D4PY_ENVIRONMENT:-$HOME/d4py}/bin/activate"
export OMP_NUM_THREADS=1

# A line for each process; PBS writes it.
processes=$(wc -l <"$PBS_NODEFILE")
exec mpiexec -n "$processes" --hostfile "$PBS_NODEFILE" \
    dispel4py mpi "$WORKFLOW" --file "$INPUTS" --output "results-${PBS_JOBID%%.*}.jsonl"
