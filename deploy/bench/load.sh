#!/usr/bin/env bash
# What the sidecar costs the application: nginx with the mirror to Sidewatch
# against nginx with the mirror to a bare hyper server, the mirror's reply time
# at 5,000 requests/s and memory at 20,000 events/s. Needs nginx and wrk.
set -euo pipefail
cd "$(dirname "$0")/../.."
for program in nginx wrk taskset; do
  command -v "$program" >/dev/null || { echo "$program is missing; on Debian: apt-get install nginx-light wrk util-linux" >&2; exit 1; }
done
make build
SIDEWATCH_RULES="${SIDEWATCH_RULES:-$(realpath -m "${CARGO_TARGET_DIR:-target}")/rules}" cargo bench -q --workspace --bench load
