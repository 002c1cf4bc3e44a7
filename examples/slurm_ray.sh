#!/bin/bash
#SBATCH --job-name=attention-bench
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:4
#SBATCH --time=12:00:00
#SBATCH --exclusive
# Runs a whole plan on the nodes of one job, through a Ray that lives as long as the job:
#
#   sbatch examples/slurm_ray.sh --methods darkformer performer --task lra --preset small \
#       --seeds 0-9 --results /shared/results --cache /shared/cache
set -euo pipefail

HEAD_NODE=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
HEAD_ADDRESS=$(getent ahostsv4 "$HEAD_NODE" | awk 'NR == 1 {print $1}'):6379

# Ray runs what anybody on the network sends to it, unless a token is asked for: the one in ~/.ray,
# which every node must see.
export RAY_AUTH_MODE=token
ray get-auth-token --generate > /dev/null

# Every node starts Ray; the first runs the command after --, once all are there.
exec srun ray symmetric-run --address "$HEAD_ADDRESS" --min-nodes "$SLURM_JOB_NUM_NODES" -- \
    python -m bench run "$@" --executor ray --address "$HEAD_ADDRESS"
