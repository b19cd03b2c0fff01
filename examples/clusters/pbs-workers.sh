#!/bin/bash
# Workers for a run over Redis, in a PBS job; submit it as often as workers are wanted:
#
#   dispel4py hybrid_redis WORKFLOW -n 0 --key-file run.key   # elsewhere, with REDIS_URL
#   qsub -v REDIS_URL,KEY=run.key pbs-workers.sh
#
# `qsub -J 1-8 …` submits eight such jobs at once.
#PBS -N d4py-workers
#PBS -l select=1:ncpus=16
#PBS -l walltime=04:00:00
set -euo pipefail

: "${REDIS_URL:?the URL of the Redis server, with its password}" "${KEY:?the file of the key}"
cd "$PBS_O_WORKDIR"
# shellcheck source=/dev/null
source "${D4PY_ENVIRONMENT:-$HOME/d4py}/bin/activate"
export OMP_NUM_THREADS=1

exec dispel4py worker --key-file "$KEY" --wait 600 -n "${NCPUS:-16}"
