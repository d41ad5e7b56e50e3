/* slurm_text.h — what the batch scripts that are written out share with slurm/job.sh, as text. */
#ifndef LAUNCHER_SLURM_TEXT_H
#define LAUNCHER_SLURM_TEXT_H

/* A bash function: again requeues this job or task of an array. $run is its folder. */
#define SLURM_TEXT_AGAIN                                                                           \
    "# once more, unless the user cancelled it or three restarts made no new checkpoint\n"         \
    "again() {\n"                                                                                  \
    "    local job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID} count=0\n"    \
    "    job=${job:-$SLURM_JOB_ID}\n"                                                              \
    "    local shown marks=$run/restarts-$job\n"                                                   \
    "    shown=$(scontrol show job -o \"$job\")\n"                                                 \
    "    [[ $shown == *JobState=RUNNING* || $shown == *Reason=TimeLimit* ]] || return\n"           \
    "    [[ $shown == *\"Restarts=${SLURM_RESTART_COUNT:-0} \"* ]] || return\n"                    \
    "    [ ! -e \"$marks\" ] ||\n"                                                                 \
    "        [ -n \"$(find \"$run\" -name manifest.json -newer \"$marks\" -print -quit)\" ] ||\n"  \
    "        count=$(cat \"$marks\")\n"                                                            \
    "    echo $((count + 1)) >\"$marks\"\n"                                                        \
    "    [ \"$count\" -ge 3 ] || scontrol requeue \"$job\"\n"                                      \
    "}\n"

#endif
