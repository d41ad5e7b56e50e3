#!/usr/bin/env bash
# cluster.sh — a real Slurm of several nodes on this one machine, as root and without systemd.
set -u
usage() {
    cat <<'TEXT'
usage: cluster.sh up DIR NODES     starts it; then: export SLURM_CONF=DIR/slurm.conf
       cluster.sh node DIR NODE    starts the daemon of one node again
       cluster.sh down DIR         ends every daemon and every process of its jobs

Nodes are named PREFIX1, PREFIX2, ... with the prefix in DIR/prefix: Open MPI names shared files by
host, so two clusters on a machine must differ. Each has a spool and two fake GPUs; variables:
CPUS=2 of a node, whatever the machine has; GPUS=no for none; TIMEOUT=30 seconds after which a
silent node is down; REQUEUE=1.
TEXT
}
stop() { echo "cluster.sh: $*" >&2; exit 1; }

munge_up() {
    munge -n </dev/null >/dev/null 2>&1 && return
    install -d -o munge -g munge -m 755 /run/munge
    [ -s /etc/munge/munge.key ] || mungekey -c || stop "no munge key could be made"
    chown munge:munge /etc/munge/munge.key
    runuser -u munge -- "$(command -v munged)"
    for _ in $(seq 50); do munge -n </dev/null >/dev/null 2>&1 && return; sleep 0.1; done
    stop "munged does not answer"
}
configure() { # NODES
    local i g cpus=${CPUS:-2} gpus=2
    [ "${GPUS:-yes}" = yes ] || gpus=""
    # ports of this directory alone, so that two clusters do not meet
    local port=$((20000 + number))
    cat <<CONF
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool.%n
TmpFS=$dir/tmp.%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
ReturnToService=2
EnforcePartLimits=ALL
KillWait=8
SlurmdTimeout=${TIMEOUT:-30}
SlurmdParameters=config_overrides
InactiveLimit=0
MinJobAge=3600
JobRequeue=${REQUEUE:-1}
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$dir/log/jobcomp.txt
GresTypes=gpu
CONF
    for i in $(seq "$1"); do
        echo "NodeName=$prefix$i NodeHostname=$prefix$i NodeAddr=127.0.0.1 Port=$((port + i))" \
            "CPUs=$cpus RealMemory=1000 Feature=some ${gpus:+Gres=gpu:$gpus} State=UNKNOWN"
        for g in ${gpus:+0 1}; do
            echo "NodeName=$prefix$i Name=gpu File=$dir/dev/gpu$g" >>"$dir/gres.conf"
        done
    done
    echo "PartitionName=main Nodes=$prefix[1-$1] Default=YES MaxTime=INFINITE State=UP"
    echo "PartitionName=other Nodes=$prefix[1-$1] MaxTime=INFINITE State=UP"
}
node_up() { # a hostname per node: Open MPI names its shared files by it
    # nothing here must hold the pipe of whoever called
    unshare -u sh -c "hostname $1; exec slurmd -N $1" </dev/null >>"$dir/log/start.log" 2>&1
}
up() {
    local i
    mkdir -p "$dir/state" "$dir/log" "$dir/dev"
    echo "$prefix" >"$dir/prefix"
    munge_up
    # fake GPUs: character devices like /dev/null
    for i in 0 1; do [ -c "$dir/dev/gpu$i" ] || mknod "$dir/dev/gpu$i" c 1 3; done
    : >"$dir/gres.conf"
    configure "$1" >"$dir/slurm.conf"
    echo 'CgroupAutomount=no' >"$dir/cgroup.conf"
    slurmctld </dev/null >>"$dir/log/start.log" 2>&1 || stop "slurmctld: see $dir/log"
    for i in $(seq "$1"); do
        mkdir -p "$dir/spool.$prefix$i" "$dir/tmp.$prefix$i"
        node_up "$prefix$i" || stop "slurmd of $prefix$i: see $dir/log"
    done
    for _ in $(seq 300); do
        [ "$(timeout 5 sinfo -h -p main -o '%T %D' 2>/dev/null)" = "idle $1" ] && return
        sleep 0.1
    done
    timeout 5 sinfo -N -l
    cat "$dir"/log/*.log | tail -n 40
    stop "the nodes are not idle after 30 s"
}
# processes of this cluster's jobs, by the configuration they were started with
processes() {
    local at words
    for at in /proc/[0-9]*; do
        [ "${at#/proc/}" = $$ ] && continue
        words=$(tr '\0' '\n' 2>/dev/null <"$at/environ")
        case $words in
        *"SLURM_CONF=$dir/slurm.conf"*) ;;
        *) continue ;;
        esac
        case $(cat "$at/comm" 2>/dev/null):$words in
        slurm*:* | *SLURM_JOB_ID=*) echo "${at#/proc/}" ;;
        esac
    done
}
down() {
    local file pid
    timeout 5 scancel -u root 2>/dev/null
    sleep 0.5
    for file in "$dir"/slurmd.*.pid "$dir/slurmctld.pid"; do
        [ -s "$file" ] && kill "$(cat "$file")" 2>/dev/null
    done
    for _ in $(seq 30); do
        [ -z "$(ls "$dir"/*.pid 2>/dev/null)" ] && break
        sleep 0.1
    done
    for pid in $(processes); do kill -KILL "$pid" 2>/dev/null; done
}

[ $# -ge 2 ] || { usage; exit 2; }
dir=$2
number=$(($(printf '%s' "$dir" | cksum | cut -d' ' -f1) % 8000)) prefix=n$number-
export SLURM_CONF=$dir/slurm.conf
case $1 in
up) up "${3:?NODES}" ;;
node) node_up "${3:?NODE}" ;;
down) down ;;
*) usage; exit 2 ;;
esac
