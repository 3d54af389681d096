#!/usr/bin/env bash
# A real Slurm on one machine, to try the Slurm examples (docs/slurm.md) without a cluster:
#
#     sudo scripts/slurm_laptop.sh up        two nodes, accounting, some 15 s
#     . /tmp/repro-hydra-slurm/env.sh        sbatch, squeue, sacct … now speak to it
#     sudo scripts/slurm_laptop.sh status
#     sudo scripts/slurm_laptop.sh down      stops exactly what `up` started; `down --purge` removes its files too
#
# Listens on the loopback interface only. Installs nothing: `packages` prints the Debian packages that are missing.
# Partitions: `main` (nothing there is preempted) and `low` (preempted by main: TERM, GRACE seconds, requeued).
# SLURM_LAPTOP_HOME (/tmp/repro-hydra-slurm), SLURM_LAPTOP_PORT (16817), SLURM_LAPTOP_NODES (2), SLURM_LAPTOP_CPUS (4 a node)
set -euo pipefail
exec </dev/null

H=${SLURM_LAPTOP_HOME:-/tmp/repro-hydra-slurm}
PORT=${SLURM_LAPTOP_PORT:-16817} # slurmctld; +1 slurmdbd; +10+i the nodes; +100 … +299 srun
NODES=${SLURM_LAPTOP_NODES:-2}
CPUS=${SLURM_LAPTOP_CPUS:-4}
GRACE=${SLURM_LAPTOP_GRACE:-15} # seconds between TERM and KILL when a job of `low` is preempted
PACKAGES=(munge slurmctld slurmd slurm-client slurmdbd mariadb-server)
HOST=$(hostname -s)
export SLURM_CONF=$H/etc/slurm.conf
# With a root that has no HOME, or another user's, MariaDB's client would read that user's settings.
SQL=(mariadb --no-defaults "--socket=$H/run/mysql.sock" -uroot)

die() {
  echo "slurm_laptop: $*" >&2
  tail -qn 3 "$H"/log/*.log >&2 2>/dev/null || true
  exit 1
}

missing_packages() {
  local package
  for package in "${PACKAGES[@]}"; do
    dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
  done
}

# wait_for SECONDS COMMAND…: until the command succeeds.
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.2
  done
}

# our_pid NAME PROGRAM: the process of $H/run/NAME.pid, if it lives and is that program (process ids are used again).
our_pid() {
  local pid
  pid=$(cat "$H/run/$1.pid" 2>/dev/null) && [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] || return 1
  tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "$2" && echo "$pid"
}

names() { seq -f 'n%g' "$NODES"; }

# ------------------------------------------------------------------------------------------------ configuration

write_configuration() {
  local node i=0
  umask 022
  mkdir -p "$H"/{etc,log,run,state,munge}
  chmod 700 "$H/state"
  chmod 711 "$H/munge"
  [ -s "$H/etc/munge.key" ] || (umask 077 && head -c 1024 /dev/urandom >"$H/etc/munge.key")
  {
    cat <<CONF
ClusterName=laptop
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$PORT
SrunPortRange=$((PORT + 100))-$((PORT + 299))
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job waits until its old credential has expired: 120 s, were it not for cred_expire.
AuthInfo=socket=$H/munge/munge.sock,cred_expire=5
CredType=cred/munge
StateSaveLocation=$H/state
SlurmdSpoolDir=$H/spool.%n
SlurmctldPidFile=$H/run/slurmctld.pid
SlurmdPidFile=$H/run/slurmd.%n.pid
SlurmctldLogFile=$H/log/slurmctld.log
SlurmdLogFile=$H/log/slurmd.%n.log
PlugStackConfig=/dev/null
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=0,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=5
MinJobAge=600
ReturnToService=2
SlurmdTimeout=6
SlurmctldTimeout=20
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((PORT + 1))
AccountingStoragePass=$H/munge/munge.sock
JobCompType=jobcomp/none
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=60 State=UP PriorityTier=10 PreemptMode=OFF
PartitionName=low Nodes=ALL MaxTime=INFINITE DefaultTime=60 State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=$GRACE
CONF
    for node in $(names); do
      i=$((i + 1))
      mkdir -p "$H/spool.$node"
      echo "NodeName=$node NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$((PORT + 10 + i)) CPUs=$CPUS RealMemory=4096"
    done
  } >"$H/etc/slurm.conf"
  cat >"$H/etc/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$H/munge/munge.sock
DbdHost=$HOST
DbdAddr=127.0.0.1
DbdPort=$((PORT + 1))
SlurmUser=root
LogFile=$H/log/slurmdbd.log
PidFile=$H/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
CommunicationParameters=NoInAddrAny
CONF
  chmod 600 "$H/etc/slurmdbd.conf"
  printf 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n' >"$H/etc/cgroup.conf"
  printf 'export SLURM_CONF=%q\n' "$SLURM_CONF" >"$H/env.sh"
}

# srun binds to what this machine's own name resolves to, and nothing here may be reached from outside.
name_must_be_local() {
  getent ahostsv4 "$HOST" | head -1 | grep -q '^127\.' && return
  [ "${SLURM_LAPTOP_EDIT_HOSTS:-}" = yes ] ||
    die "$HOST resolves to $(getent ahostsv4 "$HOST" | awk 'NR == 1 {print $1}'), expected 127.0.0.1. Put '127.0.0.1 $HOST' first in /etc/hosts, or set SLURM_LAPTOP_EDIT_HOSTS=yes to have that done"
  # Not with `sed -i`: in a container /etc/hosts is a mount, and cannot be replaced.
  local before
  before=$(cat /etc/hosts)
  printf '127.0.0.1 %s\n%s\n' "$HOST" "$before" >/etc/hosts
}

# ------------------------------------------------------------------------------------------------ up

start_accounting() {
  if ! our_pid mysqld mariadbd >/dev/null; then
    [ -d "$H/mysql/mysql" ] || mariadb-install-db --no-defaults --user=root "--datadir=$H/mysql" \
      --auth-root-authentication-method=socket --skip-test-db >"$H/log/mysql-install.log" 2>&1 || die "no database could be made"
    setsid mariadbd --no-defaults --user=root "--datadir=$H/mysql" "--socket=$H/run/mysql.sock" \
      "--pid-file=$H/run/mysqld.pid" --skip-networking --innodb-buffer-pool-size=64M --innodb-log-file-size=32M \
      --innodb-lock-wait-timeout=900 --max-allowed-packet=16M >"$H/log/mysqld.log" 2>&1 &
    disown
  fi
  wait_for 60 "${SQL[@]}" -e 'select 1' || die "MariaDB does not answer"
  "${SQL[@]}" -e 'create database if not exists slurm_acct_db'
  our_pid slurmdbd slurmdbd >/dev/null || MYSQL_UNIX_PORT=$H/run/mysql.sock slurmdbd
  wait_for 30 sacctmgr -n show cluster || die "slurmdbd does not answer"
  sacctmgr -n -P show cluster format=cluster | grep -qx laptop || sacctmgr -i add cluster laptop >/dev/null
}

start_node() {
  our_pid "slurmd.$1" slurmd >/dev/null || slurmd -f "$SLURM_CONF" -N "$1" || die "slurmd of $1 did not start"
}

nodes_ready() {
  [ "$(sinfo -h -N -p main -o '%T' | grep -cE '^(idle|mixed|allocated)$')" = "$NODES" ]
}

up() {
  local missing node
  [ "$(id -u)" = 0 ] || die "its daemons run as root: sudo $0 up"
  missing=$(missing_packages | xargs)
  [ -z "$missing" ] || die "these Debian packages are missing: $missing. Run: apt-get install --no-install-recommends $missing"
  name_must_be_local
  our_pid slurmctld slurmctld >/dev/null || ! (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null ||
    die "port $PORT is taken by something else. Set SLURM_LAPTOP_PORT"
  write_configuration
  if ! our_pid munged munged >/dev/null; then
    rm -f "$H"/munge/munge.sock*
    munged "--key-file=$H/etc/munge.key" "--socket=$H/munge/munge.sock" "--pid-file=$H/run/munged.pid" \
      "--log-file=$H/log/munged.log" "--seed-file=$H/run/munged.seed" --origin=127.0.0.1
  fi
  wait_for 10 sh -c "munge -S '$H/munge/munge.sock' -n | unmunge -S '$H/munge/munge.sock'" || die "munged does not answer"
  start_accounting
  if our_pid slurmctld slurmctld >/dev/null; then scontrol reconfigure; else slurmctld -f "$SLURM_CONF" || die "slurmctld did not start"; fi
  for node in $(names); do start_node "$node"; done
  wait_for 30 scontrol ping || die "slurmctld does not answer"
  if ! wait_for 20 nodes_ready; then # a node that a crash left down or drained
    for node in $(names); do scontrol update "nodename=$node" state=resume || true; done
    wait_for 20 nodes_ready || die "the nodes are not ready: $(sinfo -N -l)"
  fi
  timeout 30 srun -n1 -t1 true || die "srun failed"
  sinfo -N -o '%N %P %T'
  echo "Slurm is up. Now: . $H/env.sh"
}

# ------------------------------------------------------------------------------------------------ down

stop() { # stop NAME PROGRAM
  local pid
  pid=$(our_pid "$1" "$2") || return 0
  kill -TERM "$pid" 2>/dev/null || return 0
  wait_for 10 gone "$pid" || { echo "slurm_laptop: $2 ($pid) does not end, killed" >&2; kill -KILL "$pid" 2>/dev/null || true; }
}

gone() { [ ! -e "/proc/$1" ] || [ "$(awk '/^State/ {print $2}' "/proc/$1/status" 2>/dev/null)" = Z ]; }

no_jobs() { [ -z "$(timeout 5 squeue -h)" ]; }

# What a node that crashed left behind: its step daemons (they run in our log folder), and tasks of our jobs.
kill_leftovers() {
  local proc pid
  for proc in /proc/[0-9]*; do
    pid=${proc#/proc/}
    [ "$pid" != $$ ] || continue
    if [ "$(cat "$proc/comm" 2>/dev/null)" = slurmstepd ]; then
      [ "$(readlink "$proc/cwd")" != "$H/log" ] || kill -KILL "$pid" 2>/dev/null || true
    elif { tr '\0' '\n' <"$proc/environ"; } 2>/dev/null | grep -qx "SLURM_CONF=$SLURM_CONF" &&
      { tr '\0' '\n' <"$proc/environ"; } 2>/dev/null | grep -q '^SLURM_JOB_ID='; then
      kill -KILL "$pid" 2>/dev/null || true
    fi
  done
}

down() {
  local node
  if our_pid slurmctld slurmctld >/dev/null; then
    timeout 10 scancel --quiet --user=root --state=PENDING || true
    timeout 10 scancel --quiet --user=root || true
    wait_for 15 no_jobs || true
  fi
  for node in $(names); do stop "slurmd.$node" slurmd; done
  stop slurmctld slurmctld
  stop slurmdbd slurmdbd
  stop mysqld mariadbd
  stop munged munged
  kill_leftovers
  [ "${1:-}" != --purge ] || rm -rf "$H"
}

case ${1:-} in
  up) up ;;
  down) down "${2:-}" ;;
  status)
    our_pid slurmctld slurmctld >/dev/null || { echo "Slurm is not up. Run: sudo $0 up"; exit 1; }
    sinfo -N -o '%N %P %T' && squeue
    ;;
  node) start_node "${2:?the name of a node}" ;; # start a node's daemon again, after it was killed
  packages) missing_packages ;;
  *) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
