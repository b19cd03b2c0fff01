#!/bin/bash
# A workflow in one Slurm job, on all its processes by MPI:
#
#   sbatch slurm-mpi.sh WORKFLOW INPUTS.json
#
#SBATCH --job-name=d4py
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=16
#SBATCH --cpus-per-task=1
#SBATCH --time=01:00:00
set -euo pipefail

workflow=$1 inputs=$2
# The environment of d4py: a path that every node sees.
# shellcheck source=/dev/null
source "${D4PY_ENVIRONMENT:-$HOME/d4py}/bin/activate"

# Libraries would otherwise start a thread per core in each of the processes.
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK

# It starts mpiexec, which takes the nodes of the job.  `srun dispel4py mpi` needs a Slurm and an MPI
# that speak the same PMI: see `srun --mpi=list`.
exec dispel4py mpi "$workflow" -n "$SLURM_NTASKS" --file "$inputs" \
    --output "results-$SLURM_JOB_ID.jsonl"
