#!/bin/bash
# Workers for a run over Redis, in a Slurm job; submit it as often as workers are wanted:
#
#   dispel4py hybrid_redis WORKFLOW -n 0 --key-file run.key   # elsewhere, with REDIS_URL
#   sbatch --export=ALL,REDIS_URL slurm-workers.sh run.key
#
# The run waits for workers, which may come late, leave early, and be killed.
#SBATCH --job-name=d4py-workers
#SBATCH --ntasks=4
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@60
set -euo pipefail

key=$1
: "${REDIS_URL:?the URL of the Redis server, with its password}"
# shellcheck source=/dev/null
source "${D4PY_ENVIRONMENT:-$HOME/d4py}/bin/activate"
export OMP_NUM_THREADS=1

# A command on each task, with a worker process per core.  A minute before the end of the job each gets
# SIGTERM, finishes its item, and gives the rest of its work back.
exec srun dispel4py worker --key-file "$key" --wait 600 \
    -n "$SLURM_CPUS_PER_TASK"
