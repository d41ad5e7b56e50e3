# shellcheck shell=bash
# Faults for laws: runs without an end, so that a fault always meets a running job, on any machine.
# Sourced by laws; strike FAULT:STEPS... is the entry.

# each takes JOB
fault_requeue() { timeout 10 scontrol requeue "$1"; }
fault_warning() { timeout 10 scancel --signal=USR1 --batch "$1"; }
fault_scancel() { timeout 10 scancel "$1"; }
fault_rank() { one_of KILL "$1" isoflop "SLURM_PROCID=1"; }
fault_ranks() { # shellcheck disable=SC2046 # numbers
    kill -KILL $(processes_of "$1" isoflop)
}
fault_srun() { one_of KILL "$1" srun; }
# the job ends when the stopped rank has been found out
fault_stall() { one_of STOP "$1" isoflop "SLURM_PROCID=1"; }
fault_limit() { # the time that is left becomes a minute: less than the warning comes ahead
    local run
    run=$(field "$1" RunTime) # [days-]hours:minutes:seconds; these jobs take minutes
    run=${run%:*}
    timeout 10 scontrol update JobId="$1" TimeLimit=$((10#${run#*:} + 1))
}
fault_slurmd() { # the daemon alone: Slurm takes the node for dead while the ranks still run
    node_of[$1]=$(field "$1" BatchHost)
    kill -KILL "$(cat "$work/slurm/slurmd.${node_of[$1]}.pid")"
}
fault_node() { # with all that runs there; a job of one node
    local pids parents pid
    pids=$(processes_of "$1")
    fault_slurmd "$1"
    # shellcheck disable=SC2046 # numbers
    parents=$(for pid in $pids; do awk '/^PPid/ { print $2 }' "/proc/$pid/status"; done |
        sort -u | while read -r pid; do
        grep -q slurmstepd "/proc/$pid/comm" 2>/dev/null && echo "$pid"; done)
    # shellcheck disable=SC2086 # numbers
    kill -KILL $parents $pids
}
fault_mpirun() { one_of KILL "$1" mpirun; }
fault_mpirun_rank() { one_of KILL "$1" isoflop "OMPI_COMM_WORLD_RANK=1"; }

# shellcheck disable=SC2086,SC2154 # several keys; endless, work: of laws
begin() { # RUN FAULT: a job of a run without an end
    local launch=srun
    case $2 in mpirun*) launch=mpirun ;; esac
    LAUNCH=$launch submit "$1" -N1 --time=60 --gpus-per-node=0 -- $endless
}
steps_of() { steps_in "$work/runs/$1"; }
# the run that nothing interrupts, on one rank and without Slurm, as far as the others came
# shellcheck disable=SC2086 # several keys
whole_until() { # STEPS
    local pid
    [ "$(steps_of whole)" -ge "$1" ] && return
    ISOFLOP_CONFIGS=$tree/configs "$iso" train chinchilla-70m $endless backend=cpu \
        --run "$work/runs/whole" --resume >"$work/out/whole" 2>&1 &
    pid=$!
    wait_step "$work/runs/whole" "$1" $pid || fail "the uninterrupted run does not come so far"
    kill -TERM $pid
    wait $pid
    [ $? = 75 ] || fail "the uninterrupted run"
}
same_bits() { # RUN: every step of it is the step of the whole run
    whole_until "$(steps_of "$1")"
    same_beginning "$work/runs/whole" "$work/runs/$1" ||
        fail "$1 differs from the uninterrupted run"
}

# one look at a run; moves it on
look() { # RUN
    local run=$1 fault=${fault_of[$1]} job=${job_of[$1]} steps at
    steps=$(steps_of "$run")
    case ${phase_of[$run]} in
    waiting)
        [ "$steps" -ge "${target_of[$run]}" ] || return
        newest_of[$run]=$(newest "$run") steps_at[$run]=$steps struck_at[$run]=${EPOCHREALTIME/./}
        "fault_$fault" "$job"
        phase_of[$run]=struck ;;
    struck)
        if [ "$fault" = scancel ] && ended "$job"; then # the same sbatch line goes on
            begin "$run" "$fault"
            job_of[$run]=$job fault_of[$run]=scancelled
        fi
        [ "$fault" != limit ] || [ "$(field "$job" JobState)" != PENDING ] ||
            timeout 10 scontrol update JobId="$job" TimeLimit=60
        [ -n "$(cut lost_s "$run")" ] || return
        gap_of[$run]=$((${EPOCHREALTIME/./} - struck_at[$run]))
        if [ -n "${node_of[$job]:-}" ]; then # it comes back, and ends what it finds of the job
            "$here/cluster.sh" node "$work/slurm" "${node_of[$job]}" || fail "${node_of[$job]}"
        fi
        phase_of[$run]=back ;;
    back)
        [ "$steps" -ge $((steps_at[$run] + 20)) ] || return
        timeout 10 scancel "$job"
        phase_of[$run]=leaving ;;
    leaving)
        ended "$job" || return
        at=$(cut step "$run")
        [ "$at" -ge "${newest_of[$run]}" ] ||
            fail "$run: checkpoint ${newest_of[$run]} was lost, it went on from $at"
        same_bits "$run"
        awk -v fault="${fault%led}" -v steps="${steps_at[$run]}" -v newest="${newest_of[$run]}" \
            -v at="$at" -v again="$(cut lost_s "$run")" -v gap="${gap_of[$run]}" 'BEGIN {
            printf("%-12s %6d %10d %10d %9.2f %8.1f  bits equal\n", fault, steps, newest, at,
                   again, gap * 1e-6) }'
        [ -n "${KEEP:-}" ] || rm -rf "$work/runs/$run"
        unset "phase_of[$run]" ;;
    esac
}
# Every fault to a job of its own, all at once, each when its job has taken STEPS; every run goes
# on, loses no published checkpoint, and has the bits of the uninterrupted one.
strike() { # FAULT:STEPS...
    local item run number=${struck:-0} state before="" quiet_since=$SECONDS
    local -A phase_of fault_of job_of target_of newest_of steps_at struck_at gap_of node_of
    [ "$number" != 0 ] || printf '%-12s %6s %10s %10s %9s %8s\n' fault 'at step' checkpoint \
        'went on at' 'again, s' 'away, s'
    for item in "$@"; do
        number=$((number + 1)) run=fault$number
        fault_of[$run]=${item%:*} target_of[$run]=${item#*:} phase_of[$run]=waiting
        begin "$run" "${item%:*}"
        job_of[$run]=$job
    done
    struck=$number
    while [ ${#phase_of[@]} -gt 0 ]; do
        for run in "${!phase_of[@]}"; do look "$run"; done
        # a machine may be slow, but something must happen
        state=$(cat "$work"/runs/fault*/record.jsonl 2>/dev/null | wc -c; echo "${phase_of[@]}")
        [ "$state" = "$before" ] || quiet_since=$SECONDS
        before=$state
        [ $((SECONDS - quiet_since)) -lt 180 ] || fail "nothing happens: ${!phase_of[*]} $state"
        sleep 0.05
    done
}
