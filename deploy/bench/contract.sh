#!/usr/bin/env bash
# Builds the guests of the interface forms that were not chosen and measures
# all three with the same rule. See host/engine/benches/contract.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
guest=host/engine/benches/contract/guest/Cargo.toml
make rules >/dev/null
mkdir -p "$target/contract-forms"
for form in record block; do
  cargo build -q --release --manifest-path "$guest" --target wasm32-unknown-unknown --features "$form" --target-dir "$target/contract-guest"
  "$target/debug/sidewatch-componentize" "$target/contract-guest/wasm32-unknown-unknown/release/contract_forms.wasm" "$target/contract-forms/$form.wasm"
done
CONTRACT_FORMS="$target/contract-forms" SIDEWATCH_RULES="$target/rules" cargo bench --workspace --bench contract
