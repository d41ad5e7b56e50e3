#!/usr/bin/env bash
#SBATCH --job-name=bench
#SBATCH --nodes=1
#SBATCH --gpus-per-node=2
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time=00:30:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
# bench.sh — how fast these nodes are and where the time goes: one JSON and one page in RUN.
#
#   sbatch slurm/bench.sh                              everything
#   sbatch --nodes=4 slurm/bench.sh collectives step   some sections; isoflop bench --help
#
# Variables: slurm/README.md.
[ -n "${SLURM_JOB_ID:-}" ] || { echo "submit me: sbatch slurm/bench.sh" >&2; exit 2; }
command=$(scontrol show job -o "$SLURM_JOB_ID")
command=${command##* Command=} command=${command%% WorkDir=*}
ISOFLOP_HOME=${ISOFLOP_HOME:-${command%/slurm/*}}
[ -r "$ISOFLOP_HOME/slurm/job.sh" ] || { echo "ISOFLOP_HOME names the source tree"; exit 2; }
. "$ISOFLOP_HOME/slurm/job.sh" && job_bench "$@"
