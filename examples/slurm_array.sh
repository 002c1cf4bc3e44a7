#!/bin/bash
#SBATCH --job-name=attention-bench
#SBATCH --array=0-7
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --requeue
# Runs one part of a plan in each job of an array:
#
#   sbatch examples/slurm_array.sh --methods darkformer performer --task lra --preset small \
#       --seeds 0-9 --results /shared/results --cache /shared/cache
#
# SHARDS is how many parts there are, and the array's numbers are 0 to SHARDS-1. Another size:
#
#   SHARDS=32 sbatch --array=0-31 examples/slurm_array.sh ...
#
# Parts that did not end are submitted again by their numbers, with the same SHARDS:
#
#   sbatch --array=2,5 examples/slurm_array.sh ...
set -euo pipefail

# In place of this shell, so that Slurm's signal before the time limit reaches the run itself.
exec python -m bench run "$@" --shards "${SHARDS:-8}" --shard "$SLURM_ARRAY_TASK_ID"
