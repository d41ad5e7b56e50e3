# shellcheck shell=bash
# job.sh — what the batch scripts share: it finds the program, counts ranks, chooses the launcher,
# stages data, launches, hands on signals and decides about requeueing. Sourced inside a job;
# slurm/README.md lists the variables. Nothing here knows a site: that is site.sh.

job_say() { printf '%s: %s\n' "$SLURM_JOB_NAME" "$*"; }
job_tell() { # in the log and in Slurm's own output
    job_say "$*"
    [ "${job_logged:-no}" = no ] || job_say "$*" >&3
}
job_stop() { # CODE MESSAGE
    local code=$1
    shift
    job_tell "stopped: $*"
    exit "$code"
}
job_field() { # NAME: a field of this job as Slurm shows it
    scontrol show job -o "$SLURM_JOB_ID" | sed -n "s/.* $1=\([^ ]*\).*/\1/p"
}
job_shown() { printf '%dh%02dm' "$(($1 / 3600))" "$(($1 / 60 % 60))"; }

# --- the site, the program, the run directory ----------------------------------------------------
job_open() { # NAME
    local site=${SITE:-$ISOFLOP_HOME/slurm/site.sh}
    if [ -e "$site" ]; then
        # shellcheck disable=SC1090 # the user's own
        . "$site" || job_stop 2 "$site ended with $?"
    fi
    RUN=${RUN:-$SLURM_SUBMIT_DIR/runs/$1}
    case $RUN in /*) ;; *) RUN=$SLURM_SUBMIT_DIR/$RUN ;; esac
    mkdir -p "$RUN" || job_stop 3 "the run directory $RUN cannot be made; RUN names another"
    exec 3>&1 >>"$RUN/slurm-$SLURM_JOB_ID.log" 2>&1
    job_logged=yes
    printf '%s\n' "$SLURM_JOB_NAME: log: $RUN/slurm-$SLURM_JOB_ID.log" >&3
    job_program=("${ISOFLOP:-$ISOFLOP_HOME/build/isoflop}")
    if [ -n "${CONTAINER:-}" ]; then
        [ -r "$CONTAINER" ] || job_stop 2 "there is no container $CONTAINER"
        job_program=(apptainer exec --bind "$ISOFLOP_HOME,$RUN${DATA:+,$DATA}${LOCAL:+,$LOCAL}")
        [ "$gpus" = 0 ] || job_program+=(--nv)
        job_program+=("$CONTAINER" isoflop)
    elif [ ! -x "${job_program[0]}" ]; then
        job_program=("$(command -v isoflop)") || job_stop 2 "there is no ${ISOFLOP:-$ISOFLOP_HOME/\
build/isoflop}; build it before (jobs do not): cmake -S . -B build && cmake --build build"
    fi
    export ISOFLOP_CONFIGS=${ISOFLOP_CONFIGS:-$ISOFLOP_HOME/configs}
}
# GPUs of a node that were asked for; a job that takes whole nodes gets all of theirs anyway
job_gpus() {
    if [ "${SLURM_GPUS_PER_NODE:-0}" = 0 ] && [[ ! $(job_field TresPerNode) =~ gpu.*:[1-9] ]]; then
        echo 0
    else
        echo "${SLURM_GPUS_ON_NODE:-0}"
    fi
}

# --- ranks and launcher --------------------------------------------------------------------------
# cores of the allocation; a core with two threads counts once
job_cores() {
    local threads part cpus times total=0
    threads=$(scontrol show node "$SLURMD_NODENAME" | sed -n 's/.*ThreadsPerCore=\([0-9]*\).*/\1/p')
    for part in ${SLURM_JOB_CPUS_PER_NODE//,/ }; do # "8(x2),4"
        cpus=${part%%(*} times=1
        case $part in *x*) times=${part##*x} times=${times%)} ;; esac
        total=$((total + cpus / ${threads:-1} * times))
    done
    echo "$total"
}
# job_count MOST: ranks in all, at most MOST, as many on every node as can be
job_count() {
    nodes=$SLURM_JOB_NUM_NODES
    if [ -n "${RANKS_PER_NODE:-}" ]; then ranks=$((nodes * RANKS_PER_NODE))
    elif [ "$gpus" -gt 0 ]; then ranks=$((nodes * gpus))
    else ranks=$(job_cores); fi
    if [ "$ranks" -gt "$1" ]; then
        job_say "a step has $1 micro-batches: $1 ranks, not $ranks"
        ranks=$1
    fi
    [ "$ranks" -ge "$nodes" ] || nodes=$ranks
    per_node=$(((ranks + nodes - 1) / nodes))
}
# the command that starts the ranks, and why this one
job_choose_launcher() {
    local why="LAUNCH asks for it" even=() threads
    if [ -z "${LAUNCH:-}" ]; then
        if srun --mpi=list 2>&1 | grep -qw pmix; then LAUNCH=srun why="this Slurm has PMIx"
        elif command -v mpirun >/dev/null; then LAUNCH=mpirun why="this Slurm has no PMIx"
        else job_stop 2 "neither srun with PMIx nor mpirun is here; LAUNCH or site.sh names one"; fi
    fi
    case $LAUNCH in
    srun)
        [ $((ranks % nodes)) -ne 0 ] || even=(--ntasks-per-node="$per_node")
        threads=$((SLURM_CPUS_ON_NODE / per_node))
        job_launch=(srun --mpi=pmix --nodes="$nodes" --ntasks="$ranks" "${even[@]}"
            --cpus-per-task=$((threads > 0 ? threads : 1)) --kill-on-bad-exit=1)
        [ "$threads" -gt 0 ] || job_launch+=(--overcommit) ;;
    mpirun)
        # mpirun reads the slots of the nodes from Slurm's variables
        unset SLURM_NTASKS SLURM_NPROCS SLURM_NTASKS_PER_NODE SLURM_CPUS_PER_TASK
        export SLURM_TASKS_PER_NODE="$per_node(x$SLURM_JOB_NUM_NODES)"
        # after SIGTERM it gives its ranks time for a checkpoint
        export OMPI_MCA_odls_base_sigkill_timeout=${OMPI_MCA_odls_base_sigkill_timeout:-60}
        job_launch=(mpirun -n "$ranks") ;;
    *) job_stop 2 "LAUNCH=$LAUNCH: it is srun or mpirun" ;;
    esac
    job_say "launching $ranks ranks, $per_node on each of $nodes nodes, by $LAUNCH: $why"
}

# --- data ----------------------------------------------------------------------------------------
# The keys of the config that name the data; staged to node-local disk once per node where LOCAL is.
job_data() {
    data=()
    [ -n "${DATA:-}" ] || return 0
    [ -d "$DATA/train" ] && [ -d "$DATA/validation" ] ||
        job_stop 2 "DATA=$DATA: no train and validation in it; isoflop prepare makes such a folder"
    local from=$DATA sums=$RUN/data.sha256
    if [ -n "${LOCAL:-}" ]; then
        if [ ! -s "$sums" ] || [ -n "$(find "$DATA" -newer "$sums" -print -quit)" ]; then
            (cd "$DATA" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$sums.part" &&
                mv "$sums.part" "$sums" || job_stop 3 "the files of $DATA cannot be read"
        fi
        from=$LOCAL/isoflop-$(id -un)-$(printf '%s' "$DATA" | cksum | cut -d' ' -f1)
        local all=$SLURM_JOB_NUM_NODES
        srun --mpi=none --nodes="$all" --ntasks-per-node=1 --ntasks="$all" \
            bash "$ISOFLOP_HOME/slurm/job.sh" stage "$DATA" "$from" "$sums" ||
            job_stop 3 "the data could not be staged to $LOCAL: see above (without LOCAL: no copy)"
    fi
    data=(data.synthetic=none "data.train=$from/train" "data.validation=$from/validation")
}
# On each node: a verified copy, made once.
job_stage() { # FROM TO SUMS
    local start=$SECONDS need have host
    host=$(hostname)
    mkdir -p "$2" && exec 9>"$2.lock" && flock 9 || return 1
    if (cd "$2" && sha256sum --quiet -c "$3") >/dev/null 2>&1; then
        echo "$host: $2 holds the data already"
        return 0
    fi
    need=$(du -sk "$1" | cut -f1) have=$(df -Pk "$2" | awk 'NR == 2 { print $4 }')
    [ "$have" -gt "$need" ] || { echo "$host: $2: $need KiB wanted, $have KiB free"; return 1; }
    cp -r "$1/." "$2/" && (cd "$2" && sha256sum --quiet -c "$3") ||
        { echo "$host: the copy in $2 is not what $1 holds"; return 1; }
    echo "$host: $2 staged and verified in $((SECONDS - start)) s"
}

# --- before the start ----------------------------------------------------------------------------
job_value() { sed -n "s/.*\"$1\": *\([^,}]*\).*/\1/p" <<<"$facts" | tr -d '" '; }
# seconds left of this job; empty without a limit
job_left() {
    local end
    end=$(job_field EndTime)
    case $end in "" | Unknown) ;; *) echo $(($(date -d "$end" +%s) - $(date +%s))) ;; esac
}
# No GPU, and even at the measured product rate it cannot end in time: the line to type instead.
job_forecast() {
    local seconds left script
    seconds=$(awk -v f="$(job_value flops)" -v p="$(job_value peak_flops_per_rank)" -v n="$ranks" \
        'BEGIN { printf("%.0f", (p > 0) ? f / p / n : 0) }')
    left=$(job_left)
    job_say "forecast: at least $(job_shown "$seconds") on $ranks ranks at the rate measured here;\
 the limit leaves $([ -n "$left" ] && job_shown "$left" || echo 'any time')"
    [ "$gpus" = 0 ] && [ -n "$left" ] || return 0
    [ "$seconds" -gt $((left * (1 + ${CHAIN:-0}))) ] || return 0
    script=$(job_field Command)
    job_stop 2 "no GPU in this job, and the forecast is beyond the time limit. Type one of
  sbatch --gpus-per-node=2 $script                                     on GPUs
  RUN=runs/short sbatch --gpus-per-node=0 $script train.tokens=2M      a shorter run
  CHAIN=$((seconds / left)) sbatch --gpus-per-node=0 $script                one job after another"
}
# CHAIN=n: n successors, each waiting for the job before; they find the run finished or go on.
job_chain() {
    local option=() name
    [ "${CHAIN:-0}" -gt 0 ] && [ -z "${SLURM_RESTART_COUNT:-}" ] || return 0
    option=(--dependency=singleton --job-name="$SLURM_JOB_NAME" --chdir="$SLURM_SUBMIT_DIR"
        --nodes="$SLURM_JOB_NUM_NODES" --time="$(job_field TimeLimit)"
        --partition="$SLURM_JOB_PARTITION" --gpus-per-node="$gpus")
    [ -z "${SLURM_JOB_ACCOUNT:-}" ] || option+=(--account="$SLURM_JOB_ACCOUNT")
    [ -z "${SLURM_JOB_QOS:-}" ] || option+=(--qos="$SLURM_JOB_QOS")
    if job_successor=$(
        for name in ${!SLURM_*}; do [ "$name" = SLURM_CONF ] || unset "$name"; done
        CHAIN=$((CHAIN - 1)) RUN=$RUN sbatch --parsable "${option[@]}" "$job_script" "$@"
    ); then job_say "job $job_successor goes on after this one (CHAIN=$CHAIN)"
    else job_say "no successor could be submitted from inside the job: submit it yourself"; fi
}

# --- launch, signals, end ------------------------------------------------------------------------
# The ranks get SIGUSR1 for every warning; they write a checkpoint and leave with 75.
job_signal() {
    job_asked=yes
    # a launcher that is not done launching takes a signal badly: first the record or the ledger is
    # written to, or 20 s pass
    while [ $((SECONDS - job_started)) -lt 20 ] &&
        [ -z "$(find "$RUN" -maxdepth 1 -newer "$job_mark" -name '*.jsonl' -print -quit)" ]; do
        sleep 0.2
    done
    job_say "SIG$1: asking the ranks for a checkpoint" >&2
    kill -USR1 "$job_child" 2>/dev/null
}
job_run() { # COMMAND...: runs it, returns its exit code
    local code
    job_say "$*" >&2
    job_started=$SECONDS job_mark=$RUN/launched-$SLURM_JOB_ID
    : >"$job_mark"
    trap 'job_signal USR1' USR1
    trap 'job_signal TERM' TERM
    "$@" &
    job_child=$! job_asked=yes
    while [ $job_asked = yes ]; do
        job_asked=no code=0
        wait "$job_child" || code=$?
    done
    trap '' USR1 TERM
    return "$code"
}
# Three restarts without a new checkpoint do not become a fourth.
job_fruitful() {
    local marks=$RUN/restarts-$SLURM_JOB_ID count=0
    [ ! -e "$marks" ] || [ -n "$(find "$RUN" -name manifest.json -newer "$marks" -print -quit)" ] ||
        count=$(cat "$marks")
    echo $((count + 1)) >"$marks"
    [ "$count" -lt 3 ]
}
job_end() { # CODE: requeue on what can go better the next time, and on nothing else
    local code=$1 state how
    state=$(job_field JobState)
    how="ended with exit code $code after $SECONDS s"
    case $code in
    5 | 6 | 75 | 137 | 143) ;;
    *)
        [ -z "${job_successor:-}" ] || scancel "$job_successor"
        [ "$code" = 0 ] && how="finished after $SECONDS s" || how="$how; not requeued"
        job_tell "$how"
        exit "$code" ;;
    esac
    # scancel is the user's word; a time limit that struck before the checkpoint is not
    if [ "$state" != RUNNING ] && [ "$(job_field Reason)" != TimeLimit ]; then
        job_tell "$how; Slurm says $state"
    elif ! job_fruitful; then
        job_tell "$how; three restarts made no new checkpoint: not requeued"
    elif [ -n "${job_successor:-}" ]; then
        job_tell "$how; job $job_successor goes on"
    elif scontrol requeue "$SLURM_JOB_ID"; then
        job_tell "$how; requeued"
    else
        job_tell "$how; requeueing is forbidden here. To go on, the same sbatch line again, or" \
            "CHAIN=5 before it"
    fi
    exit "$code"
}

# --- the jobs ------------------------------------------------------------------------------------
job_begin() { # NAME FIRST-LINE
    job_script=$(job_field Command)
    gpus=$(job_gpus)
    job_say "$2"
    job_open "$1"
    job_say "$2"
    job_say "job $SLURM_JOB_ID on $SLURM_JOB_NODELIST, restart ${SLURM_RESTART_COUNT:-0}, in $RUN"
}
job_train() { # CONFIG [key=value ...]
    local config=$1 first facts gpus nodes ranks per_node data=() keys=() left
    shift
    first="training on the synthetic source zipf_facts, because DATA is not set"
    [ -z "${DATA:-}" ] || first="training on $DATA"
    job_begin "$config" "$first"
    job_data
    keys=("${data[@]}" "$@")
    [ "$gpus" = 0 ] && keys+=(backend=cpu) || keys+=(backend=cuda)
    facts=$("${job_program[@]}" train "$config" "${keys[@]}" --check --json) ||
        job_stop $? "the run cannot start: see the line above.$([ "$gpus" = 0 ] ||
            echo " On CPU ranks: sbatch --gpus-per-node=0 $job_script")"
    printf '%s\n' "$facts"
    job_count "$(job_value micro_batches)"
    job_choose_launcher
    job_forecast
    job_chain "$@"
    left=$(job_left)
    job_run "${job_launch[@]}" "${job_program[@]}" train "$config" "${keys[@]}" --run "$RUN" \
        --resume ${left:+--time-limit "$left"}
    job_end $?
}
job_study() { # STUDY [options of isoflop study]
    local study=${1:?a study file} gpus nodes ranks per_node name
    shift
    name=${study##*/}
    [ ! -e "$SLURM_SUBMIT_DIR/$study" ] || study=$SLURM_SUBMIT_DIR/$study
    job_begin "study-${name%.yaml}" \
        "the study $study${SLURM_ARRAY_TASK_ID:+, run $SLURM_ARRAY_TASK_ID of it}"
    job_count 100000
    job_choose_launcher
    job_run "${job_launch[@]}" "${job_program[@]}" study "$study" "$@" --run "$RUN" --resume \
        ${SLURM_ARRAY_TASK_ID:+--only "$SLURM_ARRAY_TASK_ID"}
    job_end $?
}
job_bench() { # [sections and options of isoflop bench]
    local gpus nodes ranks per_node
    job_begin "bench-$SLURM_JOB_ID" "bench on $SLURM_JOB_NODELIST"
    job_count 100000
    job_choose_launcher
    job_run "${job_launch[@]}" "${job_program[@]}" bench "$@" --out "$RUN"
    job_end $?
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    case ${1:-} in
    stage) shift; job_stage "$@" ;;
    *) echo "job.sh is sourced by the batch scripts beside it" >&2; exit 2 ;;
    esac
fi
