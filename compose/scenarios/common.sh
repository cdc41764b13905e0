# What every scenario begins with; sourced by their `run`. Sets `fast` (1 with --fast, else 0), `kmerge`, the cluster, a scratch
# folder, and sees to it that nothing is left behind.
#
# KAFKA_BOOTSTRAP_SERVERS names the cluster; without it an embedded broker is started. KMERGE names the binary; without it the one
# on PATH is taken, or the release build of this checkout. SCENARIO_PREFIX is put before the names of topics.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
prefix=${SCENARIO_PREFIX:-}
scratch=$(mktemp -d)
topics=()
# Consumer groups that are gone at the end.
groups=()
fast=0
broker=

say() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }

fail() { # MESSAGE [STATUS]
  echo "$(basename "$(dirname "$0")"): $1" >&2
  exit "${2:-1}"
}

for word in "$@"; do
  case $word in
    --fast) fast=1 ;;
    -h | --help)
      sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p;}' "$0"
      exit 0
      ;;
    *) fail "unknown argument $word: there is --fast" 2 ;;
  esac
done

if [ -n "${KMERGE:-}" ]; then
  binary=$KMERGE
elif command -v kmerge >/dev/null; then
  binary=kmerge
else
  (cd "$top" && cargo build --release --locked --quiet)
  binary=$top/target/release/kmerge
fi

# For what is waited for; what runs in the background is started as "$binary", so that a signal reaches it.
kmerge() { "$binary" "$@"; }

clean_up() {
  local status=$?
  trap - EXIT
  # What runs in the background is ours, and may want the broker until it has ended.
  jobs -p | xargs -r kill 2>/dev/null || true
  wait
  for group in ${groups[@]+"${groups[@]}"}; do
    kmerge group delete "$group" --if-exists --quiet || echo "group $group is left behind" >&2
  done
  for topic in ${topics[@]+"${topics[@]}"}; do
    kmerge topic delete "$topic" --if-exists --quiet || echo "topic $topic is left behind" >&2
  done
  if [ -n "$broker" ]; then kill "$broker" 2>/dev/null || true; fi
  rm -rf "$scratch"
  exit "$status"
}
trap clean_up EXIT
trap 'echo "failed: $BASH_COMMAND (line $LINENO of ${BASH_SOURCE[0]})" >&2' ERR
trap 'exit 130' INT
trap 'exit 143' TERM

# Starts an embedded cluster of so many nodes, unless a cluster is given.
cluster() { # NODES
  own=0
  unset KMERGE_BROKERS
  if [ -z "${KAFKA_BOOTSTRAP_SERVERS:-}" ]; then
    own=1
    : >"$scratch/broker"
    "$binary" broker --port 0 --nodes "$1" --memory 4GiB >"$scratch/broker" 2>"$scratch/broker.log" &
    broker=$!
    disown "$broker"
    until grep -q '^BROKERS=' "$scratch/broker"; do
      kill -0 "$broker" 2>/dev/null || fail "the embedded broker does not start: $(cat "$scratch/broker.log")"
      sleep 0.05
    done
    export KAFKA_BOOTSTRAP_SERVERS
    KAFKA_BOOTSTRAP_SERVERS=$(sed -n 's/^BROKERS=//p' "$scratch/broker")
  fi
  say "The cluster is $KAFKA_BOOTSTRAP_SERVERS"
}

# Makes a topic that is gone at the end. One that is there already belongs to somebody.
topic() { # NAME PARTITIONS [ARG...]
  local name=$1 partitions=$2
  shift 2
  kmerge topic create "$name" --partitions "$partitions" "$@" ||
    fail "topic $name cannot be made; if it is there, delete it or set SCENARIO_PREFIX"
  topics+=("$name")
}

# The field of a JSON report.
field() { # FILE NAME
  sed -n 's/.*"'"$2"'":\([^,}]*\).*/\1/p' "$1" | head -n 1
}

# Holds what came out to what was promised.
expect() { # WHAT EXPECTED GOT
  [ "$2" = "$3" ] || fail "$1: $3 instead of $2"
  echo "  $1: $3" >&2
}
