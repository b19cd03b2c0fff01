#!/bin/bash
# What the jobs of htcondor.sub run:
#
#   htcondor-job.sh run KEY REDIS_URL WORKFLOW INPUTS    drives the run
#   htcondor-job.sh work KEY REDIS_URL COUNT             takes part in it with some processes
#
# All but COUNT are files.
set -euo pipefail

kind=$1 key=$2
REDIS_URL=$(<"$3")
export REDIS_URL OMP_NUM_THREADS=1
# The environment of d4py: a path that every machine sees.
# shellcheck source=/dev/null
source "${D4PY_ENVIRONMENT:-$HOME/d4py}/bin/activate"

case $kind in
    run) exec dispel4py hybrid_redis "$4" -n 0 --key-file "$key" --file "$5" --output results.jsonl ;;
    work) exec dispel4py worker --key-file "$key" --wait 600 -n "$4" ;;
esac
