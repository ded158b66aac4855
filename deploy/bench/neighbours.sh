#!/usr/bin/env bash
# What a rule that fails with every event costs the whole sidecar: events a
# second on one core through file source, mapping, three detections, that rule
# and a JSON file sink, against the same sidecar in which it never fails, in
# turns. (`cargo bench --bench neighbours` looks at the rule set alone.)
# Usage: deploy/bench/neighbours.sh [LINES [MODE…]]; needs `make build fixtures`.
# SIDEWATCH names another program than target/release/sidewatch.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
sidewatch=$(realpath "${SIDEWATCH:-$target/release/sidewatch}")
export SIDEWATCH_RULES=${SIDEWATCH_RULES:-$target/rules}
fixture=$(realpath "${FIXTURES:-$target/rules-fixtures}/misbehaving.wasm")
lines=${1:-500000}
[ $# -eq 0 ] || shift
modes=("$@")
[ $# -gt 0 ] || modes=(loop panic memory output state recursion findings slow growth)
work=$(mktemp -d)
child=
trap '[ -z "$child" ] || kill -9 $child 2>/dev/null; rm -rf "$work"' EXIT
awk -v lines="$lines" -f deploy/bench/access-log.awk >"$work/access.log"
admin=127.0.0.1:$(( 20000 + RANDOM % 10000 ))
sample() { curl -s "http://$admin/metrics" | awk -v name="$1" 'index($0, name) == 1 { print $NF }'; }
rate() { # MODE WHEN: events per second of processor time
  cat >"$work/run.toml" <<TOML
[admin]
listen = "$admin"
[[sources]]
id = "log"
type = "file"
format = "combined"
paths = ["$work/access.log"]
[join]
enabled = false
[[rules]]
id = "session-moved"
enabled = false
[[rules]]
id = "password-spray"
enabled = false
[[rules]]
id = "misbehaving"
file = "$fixture"
parameters = { mode = "$1", when = "$2" }
[[sinks]]
id = "all"
type = "file"
path = "$work/all.json"
TOML
  rm -f "$work/all.json"
  taskset -c "${CORE:-0}" "$sidewatch" run "$work/run.toml" 2>"$work/log" &
  child=$!
  until delivered=$(sample 'sidewatch_sink_records_total{sink="all",what="delivered"}'); [ "${delivered%.*}" -ge "$lines" ] 2>/dev/null; do
    sleep 0.05
    kill -0 $child || { cat "$work/log" >&2; exit 1; }
  done
  awk -v lines="$lines" -v hz="$(getconf CLK_TCK)" '{ printf "%d\n", lines * hz / ($14 + $15) }' /proc/$child/stat
  kill $child
  wait $child || true
  child=
}
echo "mode        failing never   failing always   times as long"
for mode in "${modes[@]}"; do
  never=0 always=0
  for _ in 1 2 3; do
    never=$(( never + $(rate "$mode" marked) ))
    always=$(( always + $(rate "$mode" always) ))
  done
  awk -v mode="$mode" -v never="$never" -v always="$always" \
    'BEGIN { printf "%-10s %10d/s    %10d/s     %10.2f\n", mode, never / 3, always / 3, never / always }'
done
