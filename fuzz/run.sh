#!/usr/bin/env bash
# Runs every fuzz target for some seconds, one after the other; stops at the
# first that finds something. Usage: fuzz/run.sh [SECONDS EACH]
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install --locked cargo-fuzz" >&2; exit 1; }
rustup run nightly rustc --version >/dev/null 2>&1 || { echo "a nightly toolchain is missing: rustup toolchain install nightly" >&2; exit 1; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for target in fuzz_targets/*.rs; do
  name=$(basename "$target" .rs)
  echo "fuzzing    $name for $seconds s"
  rm -rf "artifacts/$name"
  if ! cargo +nightly fuzz run "$name" -- -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "$name failed or found something: see above, and fuzz/artifacts/$name" >&2
    exit 1
  fi
  grep -E 'number_of_executed_units|average_exec_per_sec' "$log"
done
