#!/usr/bin/env bash
#SBATCH --job-name=chinchilla70m
#SBATCH --nodes=1
#SBATCH --gpus-per-node=2
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
# chinchilla70m.sh — 70M parameters on 1.4B tokens: Chinchilla scaled by 1/1000.
#
#   sbatch slurm/chinchilla70m.sh                           on the GPUs asked for above
#   sbatch --nodes=4 --gpus-per-node=8 slurm/chinchilla70m.sh
#   sbatch --gpus-per-node=0 slurm/chinchilla70m.sh train.tokens=2M schedule.warmup_tokens=500K
#                                                           on CPU ranks, a shorter run
#
# Slurm itself refuses a request for GPUs where it knows of none: --gpus-per-node=0 asks for none.
# Arguments are keys of configs/chinchilla-70m.yaml. Variables (DATA, RUN, ...): slurm/README.md.
[ -n "${SLURM_JOB_ID:-}" ] || { echo "submit me: sbatch slurm/chinchilla70m.sh" >&2; exit 2; }
command=$(scontrol show job -o "$SLURM_JOB_ID")
command=${command##* Command=} command=${command%% WorkDir=*}
ISOFLOP_HOME=${ISOFLOP_HOME:-${command%/slurm/*}}
[ -r "$ISOFLOP_HOME/slurm/job.sh" ] || { echo "ISOFLOP_HOME names the source tree"; exit 2; }
. "$ISOFLOP_HOME/slurm/job.sh" && job_train chinchilla-70m "$@"
