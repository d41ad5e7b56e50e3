#!/usr/bin/env bash
#SBATCH --job-name=study
#SBATCH --nodes=1
#SBATCH --gpus-per-node=2
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
# study.sh — the runs of a study file: all in one job, or one task of an array for each.
#
#   isoflop study STUDY --dry-run                      how many runs, how long
#   sbatch slurm/study.sh STUDY                        groups of ranks share one allocation
#   sbatch --array=1-12 slurm/study.sh STUDY           twelve jobs, the N-th run of the study each
#
# The ledger in the study's directory keeps what is done: submitted again, it goes on. Options of
# isoflop study may follow STUDY. Variables: slurm/README.md.
[ -n "${SLURM_JOB_ID:-}" ] || { echo "submit me: sbatch slurm/study.sh" >&2; exit 2; }
command=$(scontrol show job -o "$SLURM_JOB_ID")
command=${command##* Command=} command=${command%% WorkDir=*}
ISOFLOP_HOME=${ISOFLOP_HOME:-${command%/slurm/*}}
[ -r "$ISOFLOP_HOME/slurm/job.sh" ] || { echo "ISOFLOP_HOME names the source tree"; exit 2; }
. "$ISOFLOP_HOME/slurm/job.sh" && job_study "$@"
