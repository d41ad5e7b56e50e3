# shellcheck shell=bash
# job.sh — what the batch scripts share: it finds the program, counts ranks, chooses the launcher,
# stages data, launches, hands on signals and decides about requeueing. Sourced inside a job;
# slurm/README.md lists the variables. Nothing here knows a site: that is site.sh.

export LC_ALL=C # awk reads 1.5 as 1 where numbers have a comma

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
# the first task of an array has the number of the whole array
job_number=$SLURM_JOB_ID
[ -z "${SLURM_ARRAY_TASK_ID:-}" ] || job_number=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
job_field() { # NAME: a field of this job as Slurm shows it
    scontrol show job -o "$job_number" | sed -n "s/.* $1=\([^ ]*\).*/\1/p"
}
job_absolute() { # PATH, seen from where sbatch was called
    case $1 in /*) echo "$1" ;; *) echo "$SLURM_SUBMIT_DIR/$1" ;; esac
}
job_must_count() { # NAME LEAST: the variable is a whole number, or unset
    [ -z "${!1:-}" ] && return
    [[ ${!1} =~ ^[0-9]{1,6}$ ]] && [ "${!1}" -ge "$2" ] ||
        job_stop 2 "$1=${!1}: it is a whole number from $2"
}
job_shown() { printf '%dh%02dm' "$(($1 / 3600))" "$(($1 / 60 % 60))"; }

# --- the site, the program, the run directory ----------------------------------------------------
job_open() { # NAME
    local site=${SITE:-$ISOFLOP_HOME/slurm/site.sh}
    if [ -e "$site" ]; then
        # shellcheck disable=SC1090 # the user's own
        . "$site" || job_stop 2 "$site ended with $?"
    fi
    RUN=$(job_absolute "${RUN:-runs/$1}")
    [ -z "${DATA:-}" ] || DATA=$(job_absolute "$DATA")
    [ -z "${CONTAINER:-}" ] || CONTAINER=$(job_absolute "$CONTAINER")
    mkdir -p "$RUN" || job_stop 3 "the run directory $RUN cannot be made; RUN names another"
    exec 3>&1 >>"$RUN/slurm-$SLURM_JOB_ID.log" 2>&1
    job_logged=yes
    printf '%s\n' "$SLURM_JOB_NAME: log: $RUN/slurm-$SLURM_JOB_ID.log" >&3
    job_must_count RANKS_PER_NODE 1
    job_must_count CHAIN 0
    case ${LOCAL:-/} in /*) ;; *) job_stop 2 "LOCAL=$LOCAL: it is an absolute path" ;; esac
    job_find_program
}
job_find_program() {
    local runtime law=""
    job_program=("$(job_absolute "${ISOFLOP:-$ISOFLOP_HOME/build/isoflop}")")
    if [ -n "${CONTAINER:-}" ]; then
        [ -r "$CONTAINER" ] || job_stop 2 "there is no container $CONTAINER"
        runtime=$(command -v apptainer || command -v singularity) ||
            job_stop 2 "CONTAINER is set, and neither apptainer nor singularity is here"
        # what is not mounted there anyway (home, /tmp, where sbatch was called)
        [ -z "${LAW:-}" ] || law=,$(dirname "$(job_absolute "$LAW")")
        job_program=("$runtime" exec
            --bind "$ISOFLOP_HOME,$RUN$law${DATA:+,$DATA}${LOCAL:+,$LOCAL}")
        [ "$gpus" = 0 ] || job_program+=(--nv)
        job_program+=("$CONTAINER" isoflop)
    elif [ ! -x "${job_program[0]}" ]; then
        [ -z "${ISOFLOP:-}" ] && job_program=("$(command -v isoflop)") ||
            job_stop 2 "there is no ${job_program[0]:-$ISOFLOP_HOME/build/isoflop}; build" \
                "it before (jobs do not): cmake -S . -B build && cmake --build build"
    fi
    export ISOFLOP_CONFIGS=${ISOFLOP_CONFIGS:-$ISOFLOP_HOME/configs}
}
# GPUs of a node that were asked for; a job that takes whole nodes gets all of theirs anyway
job_gpus() {
    local asked='TresPer(Node|Job|Task)=[^ ]*gpu[^ ]*:[1-9]'
    if [ "${SLURM_GPUS_PER_NODE:-0}" != 0 ] ||
        [[ $(scontrol show job -o "$job_number") =~ $asked ]]; then
        echo "${SLURM_GPUS_ON_NODE:-0}"
    else
        echo 0
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
        [ "$gpus" != 0 ] || unset SLURM_GPUS_PER_TASK
        # GPUs that came by --gres beside --gpus-per-node=0: the step would get none
        [ "${SLURM_GPUS_PER_NODE:-}" != 0 ] || [ "$gpus" = 0 ] || export SLURM_GPUS_PER_NODE=$gpus
        [ $((ranks % nodes)) -ne 0 ] || even=(--ntasks-per-node="$per_node")
        threads=$((SLURM_CPUS_ON_NODE / per_node))
        job_launch=(srun --mpi=pmix --nodes="$nodes" --ntasks="$ranks" "${even[@]}"
            --cpus-per-task=$((threads > 0 ? threads : 1)) --kill-on-bad-exit=1)
        [ "$threads" -gt 0 ] || job_launch+=(--overcommit) ;;
    mpirun)
        # mpirun reads the slots of the nodes from Slurm's variables
        unset SLURM_NTASKS SLURM_NPROCS SLURM_NTASKS_PER_NODE SLURM_CPUS_PER_TASK
        export SLURM_TASKS_PER_NODE="$per_node(x$SLURM_JOB_NUM_NODES)"
        # after SIGTERM it gives its ranks time for a checkpoint; it also waits so long, twice, when
        # a rank has died
        export OMPI_MCA_odls_base_sigkill_timeout=${OMPI_MCA_odls_base_sigkill_timeout:-10}
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
job_in_time() {
    local seconds left script
    seconds=$(awk -v f="$(job_value flops)" -v p="$(job_value peak_flops_per_rank)" -v n="$ranks" \
        'BEGIN { printf("%.0f", (p > 0) ? f / p / n : 0) }')
    left=$(job_left)
    job_say "at least $(job_shown "$seconds") on $ranks ranks at the product rate measured here;\
 the limit leaves $([ -n "$left" ] && job_shown "$left" || echo 'any time')"
    [ "$gpus" = 0 ] && [ -n "$left" ] || return 0
    [ "$seconds" -gt $((left * (1 + ${CHAIN:-0}))) ] || return 0
    script=$(job_field Command)
    [ "$left" -gt 0 ] || left=1
    job_stop 2 "no GPU in this job, and the forecast is beyond the time limit. Type one of
  sbatch --gpus-per-node=2 $script          on GPUs
  RUN=runs/short sbatch --gpus-per-node=0 $script train.tokens=2M schedule.warmup_tokens=500K
  CHAIN=$((seconds / left)) sbatch --gpus-per-node=0 $script          one job after another"
}

# --- the forecast: plan's, for this config on these ranks ----------------------------------------
# The file of configs/clusters that gives the vendor's numbers of these GPUs; empty: there is none.
job_vendor() {
    case $(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1) in
    *B200*) echo 8xb200 ;;
    *H200*) echo 8xh200 ;;
    *H100*) echo 8xh100 ;;
    *A100*40GB*) echo 8xa100-40gb ;;
    *A100*) echo 8xa100-80gb ;;
    *"RTX PRO 6000"*) echo 8xrtx-pro-6000 ;;
    *4090*) echo 4xrtx4090 ;;
    esac
}
# A file for plan --cluster: CLUSTER, else the one of this kind of machine with the product rate
# measured now; nodes and ranks are the job's. Leaves $job_machine, empty where there is none.
job_cluster() { # PRECISION
    local from=${CLUSTER:-} measured="" shape="$nodes $per_node"
    if [ -z "$from" ] && [ "$gpus" = 0 ]; then from=cpu-2core
    elif [ -z "$from" ]; then from=$(job_vendor)
    fi
    [ -n "$from" ] || return 0
    [ -r "$from" ] || from=$ISOFLOP_CONFIGS/clusters/${from%.yaml}.yaml
    [ -r "$from" ] || job_stop 2 "CLUSTER=$CLUSTER: no such file, and none in configs/clusters"
    job_machine=$RUN/cluster.yaml
    if [ "$nodes" -gt 1 ] && ! grep -q '^ *network:' "$from"; then
        job_say "$from knows no links between nodes: the forecast does without them"
        shape="1 $ranks"
    fi
    [ -n "${CLUSTER:-}" ] || measured="/^ *$1:/s/{.*/{value: $(job_value peak_flops_per_rank)\
, source: measured, from: \"this job\"}/"
    # watts without an overhead of the building are those of the chips
    sed -e "s/^nodes:.*/nodes: ${shape% *}/; s/^ranks_per_node:.*/ranks_per_node: ${shape#* }/" \
        -e 's/^pue: unknown/pue: {value: 1, source: modelled, from: "the chips alone"}/' \
        -e "$measured" "$from" >"$job_machine"
    job_say "forecast by plan, on ${CLUSTER:-${from##*/} with the product rate measured here}"
}
# Leaves the keys of the config's section forecast in $forecast; the run is graded on them. A run
# that goes on keeps the forecast it began with.
job_forecast() { # CONFIG [key=value ...]
    local kept=$RUN/forecast.yaml folder=$RUN/forecast.part key value config=$RUN/planned.yaml
    local options=() job_machine=""
    forecast=()
    if [ ! -s "$kept" ]; then
        "${job_program[@]}" train "$@" --check 2>/dev/null | sed '/^$/,$d' >"$config"
        job_cluster "$(sed -n 's/^ *precision: //p' "$config")"
        if [ -n "$job_machine" ]; then options+=(--cluster "$job_machine" --ranks "$ranks")
        else job_say "no forecast of time and energy: CLUSTER names no file (bench.sh makes it)"; fi
        if [ -n "${LAW:-}" ]; then
            [ -r "$(job_absolute "$LAW")" ] || job_stop 2 "LAW=$LAW: there is no such file"
            options+=(--law "$(job_absolute "$LAW")")
        fi
        [ ${#data[@]} = 0 ] || options+=(--data "${data[1]#*=}/..")
        rm -rf "$folder"
        "${job_program[@]}" plan --model "$config" --tokens "$(job_value tokens)" "${options[@]}" \
            --emit "$folder" >"$RUN/plan.txt" ||
            { job_say "no forecast: see the line above"; return 0; }
        sed -n '/^forecast:/,$p' "$folder/config.yaml" >"$kept"
        rm -rf "$folder"
    fi
    grep -E '^(machine|time|energy|forecast)  ' -A 1 "$RUN/plan.txt" | grep -v '^--$'
    while IFS=: read -r key value; do
        value=${value# } value=${value#\"} value=${value%\"}
        [ "$key" = forecast ] || [ -z "$value" ] || forecast+=("forecast.${key// /}=$value")
    done <"$kept"
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
    if [ -z "${job_child:-}" ]; then
        job_early=$1
        return
    fi
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
    if [ -n "${job_early:-}" ]; then
        job_say "SIG$job_early before the launch: there is nothing to save yet"
        return 75
    fi
    job_say "$*" >&2
    job_started=$SECONDS job_mark=$RUN/launched-$SLURM_JOB_ID
    : >"$job_mark"
    "$@" &
    job_child=$! job_asked=yes
    [ -z "${job_early:-}" ] || job_signal "$job_early"
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
    elif [ "$(job_field Restarts)" != "${SLURM_RESTART_COUNT:-0}" ]; then
        job_tell "$how; Slurm has begun the job again elsewhere"
    elif ! job_fruitful; then
        job_tell "$how; three restarts made no new checkpoint: not requeued"
    elif [ -n "${job_successor:-}" ]; then
        job_tell "$how; job $job_successor goes on"
    elif scontrol requeue "$job_number"; then
        job_tell "$how; requeued"
    else
        job_tell "$how; requeueing is forbidden here. To go on, the same sbatch line again, or" \
            "CHAIN=5 before it"
    fi
    exit "$code"
}

# --- the jobs ------------------------------------------------------------------------------------
job_begin() { # NAME FIRST-LINE
    job_child="" job_early=""
    trap 'job_signal USR1' USR1
    trap 'job_signal TERM' TERM
    job_script=$(job_field Command)
    gpus=$(job_gpus)
    job_say "$2"
    job_open "$1"
    job_say "$2"
    job_say "job $SLURM_JOB_ID on $SLURM_JOB_NODELIST, restart ${SLURM_RESTART_COUNT:-0}, in $RUN"
}
job_train() { # CONFIG [key=value ...]
    local config=$1 first facts gpus nodes ranks per_node data=() keys=() forecast=() left
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
    job_in_time
    job_forecast "$config" "${keys[@]}"
    job_chain "$@"
    left=$(job_left)
    job_run "${job_launch[@]}" "${job_program[@]}" train "$config" "${keys[@]}" \
        "${forecast[@]}" --run "$RUN" --resume ${left:+--time-limit "$left"}
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
    local gpus nodes ranks per_node vendor="" machine=()
    job_begin "bench-$SLURM_JOB_ID" "bench on $SLURM_JOB_NODELIST"
    # all of it: also the file that CLUSTER can name
    [ $# -gt 0 ] || machine=(--write "$RUN/cluster.yaml" --folder "$RUN")
    job_count 100000
    job_choose_launcher
    # the vendor's peak beside the measured one
    [ "$gpus" = 0 ] || vendor=$(job_vendor)
    case " $* " in *" --cluster"*) ;; *) [ -z "$vendor" ] || machine+=(--cluster "$vendor") ;; esac
    job_run "${job_launch[@]}" "${job_program[@]}" bench "$@" --out "$RUN" "${machine[@]}"
    job_end $?
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    case ${1:-} in
    stage) shift; job_stage "$@" ;;
    *) echo "job.sh is sourced by the batch scripts beside it" >&2; exit 2 ;;
    esac
fi
