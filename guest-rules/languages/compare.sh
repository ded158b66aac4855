#!/usr/bin/env bash
# The same vectors and the same traffic for the rule in three languages:
# compare.sh SIDEWATCH DIRECTORY. The Rust one is what `rule new` writes.
set -euo pipefail
sidewatch=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
cd "$2"
rm -rf repeated-failures
"$sidewatch" rule new repeated-failures --sdk "$here/../rule-sdk" >/dev/null
cp "$here/../../Cargo.lock" repeated-failures/
"$sidewatch" rule build repeated-failures -o rust.wasm
for language in rust javascript python; do
  echo "== $language ($(stat -c %s $language.wasm) bytes)"
  "$sidewatch" test "$here" --component $language.wasm --memory-mib 256 --frame-ms 1000
done
for language in javascript python; do
  echo "== $language against Rust"
  "$sidewatch" rule bench $language.wasm --baseline rust.wasm --memory-mib 256 --frame-ms 1000 --users 200 --days 1 --rounds 3
done
