#!/usr/bin/env bash
# Events per second that are on the disk before they are acknowledged, on one
# core with three rules: file source, mapping and two detections, commit, file
# sink. Beside it the time until a form is answered 204, which is said when it is
# on the disk, under that load and without it; and memory.
# Usage: deploy/bench/durable.sh [LINES [DIRECTORY]]; the directory decides which
# disk is measured. SIDEWATCH names another program than target/release/sidewatch.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
sidewatch=$(realpath "${SIDEWATCH:-$target/release/sidewatch}")
export SIDEWATCH_RULES=${SIDEWATCH_RULES:-$target/rules}
lines=${1:-1000000}
work=$(mktemp -d -p "${2:-${TMPDIR:-/tmp}}")
child=
trap '[ -z "$child" ] || kill -9 $child 2>/dev/null; rm -rf "$work"' EXIT
awk -v lines="$lines" -f deploy/bench/access-log.awk >"$work/access.log"
key=0123456789abcdef0123456789abcdef
admin=127.0.0.1:$(( 20000 + RANDOM % 10000 ))
forms=127.0.0.1:$(( 30000 + RANDOM % 2000 ))
config() { # NAME PATH
  mkdir -p "$work/$1"
  cat >"$work/$1.toml" <<TOML
data_directory = "$work/$1"
[admin]
listen = "$admin"
[[sources]]
id = "log"
type = "file"
format = "combined"
paths = ["$2"]
[[sources]]
id = "forms"
type = "mirror"
listen = "$forms"
sensor_keys = ["$key"]
[join]
enabled = false
[[rules]]
id = "failed-logins"
enabled = false
[[rules]]
id = "password-spray"
enabled = false
[[rules]]
id = "session-moved"
enabled = false
[[sinks]]
id = "all"
type = "file"
path = "$work/$1.json"
TOML
}
sample() { curl -s "http://$admin/metrics" | awk -v name="$1" 'index($0, name) == 1 { print $NF }'; }
start() {
  taskset -c "${CORE:-0}" "$sidewatch" run "$work/$1.toml" 2>"$work/$1.log" &
  child=$!
  until curl -sf "http://$admin/readyz" >/dev/null; do sleep 0.01; kill -0 $child || { cat "$work/$1.log" >&2; exit 1; }; done
}
stop() { kill $child; wait $child || true; child=; }
forms() { # COUNT: one connection, one form after the other
  curl -s -o /dev/null -w '%{time_total} %{http_code}\n' -H "Api-Key: $key" \
    --data 'ipAddress=192.0.2.99&url=/form&userName=sender&eventTime=2026-11-20+10:00:00.000' "http://$forms/sensor/?n=[1-$1]"
}
share() { sort -n "$1" | awk -v share="$2" '{ at[NR] = $1 } END { n = int(NR * share) + 1; if (n > NR) n = NR; printf "%.2f ms", at[n] * 1000 }'; }

# Quiet: what one commit costs.
: >"$work/empty.log"
config quiet "$work/empty.log"
start quiet
forms 200 | awk '$2 == 204 { print $1 }' >"$work/quiet.times"
stop
config loaded "$work/access.log"
start loaded
began=$(date +%s%N)
: >"$work/loaded.times"
until delivered=$(sample 'sidewatch_sink_records_total{sink="all",what="delivered"}'); [ "${delivered%.*}" -ge "$lines" ]; do
  forms 20 | awk '$2 == 204 { print $1 }' >>"$work/loaded.times"
done
ended=$(date +%s%N)
commits=$(sample sidewatch_store_commits_total)
spent=$(sample sidewatch_store_commit_nanoseconds_total)
memory=$(awk '/VmHWM/ { print $2 }' /proc/$child/status)
cpu=$(awk '{ print $14 + $15 }' /proc/$child/stat)
grep '^rule' "$work/loaded.log"
stop
awk -v lines="$lines" -v wall=$(( ended - began )) -v cpu="$cpu" -v hz="$(getconf CLK_TCK)" -v commits="$commits" -v spent="$spent" -v memory="$memory" 'BEGIN {
  printf "durable events/s, wall, one core  %10.0f\n", lines * 1e9 / wall
  printf "durable events per CPU second     %10.0f\n", lines * hz / cpu
  printf "commits                           %10d, %.0f events and %.2f ms each\n", commits, lines / commits, spent / commits / 1e6
  printf "memory, most                      %10.1f MiB\n", memory / 1024
}'
echo "form answered, quiet              p50 $(share "$work/quiet.times" 0.5), p99 $(share "$work/quiet.times" 0.99)"
echo "form answered, under load         p50 $(share "$work/loaded.times" 0.5), p99 $(share "$work/loaded.times" 0.99) ($(wc -l <"$work/loaded.times") forms)"
