#!/usr/bin/env bash
# A sink that is down while events keep coming, then up: is everything
# delivered, how quickly is the backlog drained beside the line rate, does memory
# stay flat, and does another sink notice? Usage: deploy/bench/outage.sh
# [EVENTS [RATE]]; 18,000,000 events are an hour at 5,000 a second. They are
# written as fast as the sidecar takes them; the line rate goes on while the
# backlog is drained. SIDEWATCH names another program than target/release/sidewatch.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
sidewatch=$(realpath "${SIDEWATCH:-$target/release/sidewatch}")
export SIDEWATCH_RULES=${SIDEWATCH_RULES:-$target/rules}
events=${1:-2000000} rate=${2:-5000}
work=$(mktemp -d -p "${TMPDIR:-/tmp}")
pids=()
trap 'kill -9 "${pids[@]}" 2>/dev/null; rm -rf "$work"' EXIT
admin=127.0.0.1:$(( 20000 + RANDOM % 10000 ))
port=$(( 30000 + RANDOM % 2000 ))
line() { # FIRST COUNT
  awk -v first="$1" -v count="$2" 'BEGIN { for (n = first; n < first + count; n++)
    printf "203.0.113.%d - user%d [21/Nov/2025:10:00:00 +0000] \"GET /teams/%d HTTP/1.1\" 200 200 \"-\" \"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\"\n", n % 250, n % 400, n }'
}
: >"$work/access.log"
cat >"$work/config.toml" <<TOML
data_directory = "$work/data"
[admin]
listen = "$admin"
[[sources]]
id = "log"
type = "file"
format = "combined"
paths = ["$work/access.log"]
poll_interval_ms = 10
[[sinks]]
id = "down"
type = "tcp"
address = "127.0.0.1:$port"
buffer = { max_bytes = 68719476736, when_full = "block" }
[[sinks]]
id = "other"
type = "file"
path = "$work/other.json"
buffer = { when_full = "block" }
rotate = { max_bytes = 268435456, keep = 1, compress = false }
TOML
"$sidewatch" run "$work/config.toml" 2>"$work/log" & pids+=($!)
sidecar=$!
sample() { curl -s "http://$admin/metrics" | awk -v name="$1" 'index($0, name) == 1 { print int($NF) }'; }
records() { sample "sidewatch_sink_records_total{sink=\"$1\",what=\"$2\"}"; }
memory() { awk '/VmRSS/ { printf "%.1f MiB", $2 / 1024 }' /proc/$sidecar/status; }
until curl -sf "http://$admin/readyz" >/dev/null; do sleep 0.05; done
# How long a line takes to the other sink's file, in milliseconds.
probe() { # NAME COUNT
  for n in $(seq "$2"); do
    local mark="probe-$1-$n-end" began
    began=$(date +%s%N)
    echo "203.0.113.1 - probe [21/Nov/2025:10:00:00 +0000] \"GET /$mark HTTP/1.1\" 200 1 \"-\" \"-\"" >>"$work/access.log"
    until tail -c 200000 "$work/other.json" 2>/dev/null | grep -q "$mark"; do :; done
    echo $(( ($(date +%s%N) - began) / 1000000 ))
  done | sort -n | awk '{ at[NR] = $1 } END { printf "p50 %d ms, p99 %d ms", at[int(NR * 0.5) + 1], at[int(NR * 0.99 + 0.999)] }'
}
echo "other sink, everything up to date          $(probe quiet 100)"
line 0 "$events" >>"$work/access.log"
until [ "$(records other delivered)" -ge "$events" ]; do sleep 0.5; done
echo "backlog                                    $(records down received) records, $(du -sm "$work/data/store" | cut -f1) MB on disk, memory $(memory)"
echo "other sink, with the backlog               $(probe backlog 100)"
( n=$events; while :; do line $n $(( rate / 10 )) >>"$work/access.log"; n=$(( n + rate / 10 )); sleep 0.1; done ) & pids+=($!)
writer=$!
began=$(date +%s%N) before=$(records down received)
python3 - "$port" <<'PY' & pids+=($!)
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    while connection.recv(1 << 20):
        pass
PY
until [ "$(records down delivered)" -gt 0 ]; do sleep 0.05; done
began=$(date +%s%N)
while [ "$(records down delivered)" -lt "$before" ]; do sleep 0.2; done
ended=$(date +%s%N)
delivered=$(records down delivered)
echo "drained $delivered records in $(( (ended - began) / 1000000 )) ms: $(( delivered * 1000000000 / (ended - began) )) records/s beside a line rate of $rate; memory $(memory)"
kill $writer
sleep 2
for _ in $(seq 60); do [ "$(records down received)" -gt "$(records down delivered)" ] || break; sleep 0.5; done
received=$(records down received) delivered=$(records down delivered)
echo "afterwards: $received received, $delivered delivered, $(records down dropped_queue_full) dropped"
kill $sidecar; wait $sidecar || true
