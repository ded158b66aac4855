#!/usr/bin/env bash
# Lines per second of `sidewatch replay` on one core: parse, enrich with a city
# database, three rules. Prints CPU time, so other load on the machine matters
# little. Usage: deploy/bench/replay.sh [LINES]
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
lines=${1:-1000000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# 200,000 lines of 400 users in 16 networks, the same on every machine.
awk -v lines="$lines" 'BEGIN {
  seed = 1
  agents[0] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
  agents[1] = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
  for (n = 0; n < lines; n++) {
    seed = (seed * 16807) % 2147483647; user = seed % 400
    seed = (seed * 16807) % 2147483647; path = seed % 5000; agent = seed % 2
    second = int(n * 86400 / lines)
    printf "203.0.113.%d - user%d [21/Nov/2025:%02d:%02d:%02d +0000] \"GET /teams/%d/posts?page=%d HTTP/1.1\" 200 %d \"https://site.example/teams/%d\" \"%s\"\n", user % 250, user, second / 3600, second / 60 % 60, second % 60, path % 40, path, 200 + path, path % 40, agents[agent]
  }
}' >"$work/access.log"
# A city database: yours, or the one the demo makes for documentation networks.
sidewatch=${SIDEWATCH:-$target/release/sidewatch}
export SIDEWATCH_RULES=${SIDEWATCH_RULES:-$target/rules}
if [ -z "${GEOIP_CITY:-}" ]; then
  "$sidewatch" demo --once --people 24 --listen 127.0.0.1:0 --directory "$work/demo" >/dev/null 2>&1 || true
  GEOIP_CITY=$(find "$work/demo" -name '*.mmdb' | grep -im1 city) || { echo "no city database; set GEOIP_CITY" >&2; exit 1; }
fi
run() {
  local began
  began=$(date +%s%N)
  taskset -c 0 "$sidewatch" replay --geoip-city "$GEOIP_CITY" -q --format "$1" -o /dev/null "$work/access.log" &
  local child=$!
  wait "$child"
  printf '%-10s %12s lines/s (wall, one core)\n' "$1" "$(( lines * 1000000000 / ($(date +%s%N) - began) ))"
}
ls -l "$work/access.log" | awk -v lines="$lines" '{ printf "%d lines, %.0f bytes each\n", lines, $5 / lines }'
for format in none json cef; do run "$format"; done
