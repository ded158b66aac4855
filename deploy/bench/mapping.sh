#!/usr/bin/env bash
# The same mapping in VRL, Lua and as a Sidewatch table. See deploy/bench/peers.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
[ -f "${SIDEWATCH_RULES:-$target/rules}/event-mapping.wasm" ] || make rules >/dev/null
SIDEWATCH_RULES=${SIDEWATCH_RULES:-$target/rules} cargo run --release --manifest-path deploy/bench/peers/Cargo.toml --target-dir "$target/peers"
