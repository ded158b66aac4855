# Sidewatch. `make run` and `make test` are all most people need.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Every rule crate; crate name = rule id = file name.
RULES := $(sort $(foreach manifest,$(wildcard guest-rules/*/Cargo.toml),$(if $(shell grep -l '^component = ' $(manifest)),$(notdir $(patsubst %/,%,$(dir $(manifest)))))))
# Rules that misbehave or tell on purpose, for the integration tests only.
FIXTURES := misbehaving witness
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
GUEST := wasm32-unknown-unknown

# $(call components,CRATES,DIRECTORY): builds rule crates into target/DIRECTORY.
define components
mkdir -p $(TARGET)/$(2); for rule in $(1); do \
  $(CARGO) build -q -p $$rule --features component --profile guest --target $(GUEST); \
  $(TARGET)/debug/sidewatch-componentize $(TARGET)/$(GUEST)/guest/$${rule//-/_}.wasm $(TARGET)/$(2)/$$rule.wasm; \
  echo "rule       $$rule ($$(stat -c %s $(TARGET)/$(2)/$$rule.wasm) bytes)"; \
done
endef

.PHONY: help run test test-spin build rules fixtures edge lint audit bench swaps languages crash-test power-test rotation-test tools test-tools auditmatica wasm-target fuzz mutants clean

help: ## Show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: build ## Build, play a day of demo traffic through the sidecar, show the findings, keep running
	$(TARGET)/release/sidewatch demo

build: wasm-target rules ## Release binary at target/release/sidewatch, rules at target/rules/<id>.wasm
	$(CARGO) build --release -p sidewatch

rules: wasm-target ## Rule components at target/rules/<id>.wasm
	$(CARGO) build -q -p sidewatch-componentize
	@$(call components,$(RULES),rules)
	@for rule in $(RULES); do if [ -d rules/$$rule/tests ]; then mkdir -p $(TARGET)/rules/$$rule/tests && cp rules/$$rule/tests/* $(TARGET)/rules/$$rule/tests/; fi; done

# The edge application's component; built apart from the rules, because Spin's
# SDK needs the other target.
EDGE := wasm32-wasip2
edge: tools ## The edge component at target/spin/edge.wasm
	@rustup target list --installed | grep -qx $(EDGE) || rustup target add $(EDGE)
	$(CARGO) build -q -p edge --lib --example empty --profile edge --target $(EDGE)
	@mkdir -p $(TARGET)/spin && cp $(TARGET)/$(EDGE)/edge/edge.wasm $(TARGET)/$(EDGE)/edge/examples/empty.wasm $(TARGET)/spin/
	@echo "edge       $$(stat -c %s $(TARGET)/spin/edge.wasm) bytes"

fixtures: rules ## Components the integration tests need at target/rules-fixtures/<id>.wasm
	@$(call components,$(FIXTURES),rules-fixtures)

test: wasm-target test-tools auditmatica lint fixtures edge ## All tests, lints included
	$(CARGO) build -q --workspace --bins
	SIDEWATCH_RULES=$(abspath $(TARGET)/rules) $(CARGO) nextest run --workspace --no-fail-fast
	$(CARGO) test -q --workspace --doc

test-spin: fixtures edge ## The edge application's tests on a real Spin: SPIN_BIN=/path/to/spin
	@test -x "$(SPIN_BIN)" || { echo "name a Spin program of version 4.1 or newer: make test-spin SPIN_BIN=/path/to/spin" >&2; exit 1; }
	$(CARGO) build -q --workspace --bins
	SPIN_BIN=$(SPIN_BIN) SIDEWATCH_RULES=$(abspath $(TARGET)/rules) $(CARGO) nextest run --workspace --no-fail-fast -j 1 -E 'test(edge::)'

lint: ## Formatting, clippy
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

audit: ## Licences, sources, bans and known holes of the dependencies, with cargo-deny; OFFLINE=1 leaves the holes out
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing; install it: cargo install --locked cargo-deny" >&2; exit 1; }
	$(CARGO) deny --workspace --all-features $(if $(OFFLINE),--offline) check $(if $(OFFLINE),,advisories) licenses bans sources

BENCHES := rule_path mirror enrich nginx_line json_line mapping mattermost_audit commit lines neighbours
bench: build fixtures ## Every bench of the README but the outage, one after the other (an hour; needs wrk)
	SIDEWATCH_RULES=$(abspath $(TARGET)/rules) $(CARGO) bench --workspace $(addprefix --bench ,$(BENCHES))
	deploy/bench/contract.sh
	deploy/bench/replay.sh
	deploy/bench/archivematica.sh
	deploy/bench/load.sh
	deploy/bench/durable.sh
	deploy/bench/neighbours.sh
	deploy/bench/mapping.sh

KILLS ?= 1000
crash-test: wasm-target test-tools fixtures ## Kill the program KILLS times (1000) under load; nothing may be lost or folded twice
	$(CARGO) build -q --workspace --bins
	SIDEWATCH_RULES=$(abspath $(TARGET)/rules) SIDEWATCH_KILLS=$(KILLS) $(CARGO) nextest run --workspace --no-capture -E 'test(killed_at_random)'

CUTS ?= 1000
power-test: ## Lose what was not forced to the disk at CUTS moments (1000), each in two ways; nothing acknowledged may be lost
	SIDEWATCH_CUTS=$(CUTS) $(CARGO) nextest run --workspace --no-capture -E 'test(acknowledged_survives)'

ROTATIONS ?= 500
rotation-test: wasm-target test-tools fixtures ## Rotate a followed log ROTATIONS times (500) in every way at 10,000 lines/s
	$(CARGO) build -q --workspace --bins
	SIDEWATCH_RULES=$(abspath $(TARGET)/rules) SIDEWATCH_ROTATIONS=$(ROTATIONS) $(CARGO) nextest run --workspace --no-capture -E 'test(rotation::)'

swaps: fixtures build ## A thousand swaps of a rule under a real nginx' traffic; prints the numbers
	SIDEWATCH_RULES=$(abspath $(TARGET)/rules) SIDEWATCH_SWAPS=1000 SIDEWATCH_PROGRAM=$(abspath $(TARGET)/release/sidewatch) $(CARGO) nextest run --workspace --success-output final -E 'test(swaps_under_traffic)'

# Needs node with npm, python3 and their package indexes.
LANGUAGES := $(TARGET)/languages
languages: ## The rule in guest-rules/languages as JavaScript, Python and Rust: same vectors, cost beside each other
	mkdir -p $(LANGUAGES)
	test -d $(LANGUAGES)/node_modules || npm install --prefix $(LANGUAGES) --no-audit --no-fund --silent @bytecodealliance/componentize-js@0.23.0
	test -x $(LANGUAGES)/python/bin/componentize-py || { python3 -m venv $(LANGUAGES)/python && $(LANGUAGES)/python/bin/pip install -q --disable-pip-version-check componentize-py==0.25.1; }
	cp guest-rules/languages/build.mjs $(LANGUAGES)/
	node $(LANGUAGES)/build.mjs guest-rules/languages/repeated-failures.js wit $(LANGUAGES)/javascript.wasm
	$(LANGUAGES)/python/bin/componentize-py -q -d wit -w detection-rule componentize --stub-wasi -p guest-rules/languages -o $(LANGUAGES)/python.wasm repeated_failures
	$(CARGO) build -q --release -p sidewatch
	guest-rules/languages/compare.sh $(TARGET)/release/sidewatch $(LANGUAGES)

fuzz: ## Run every fuzz target for a minute (needs a nightly toolchain and cargo-fuzz)
	fuzz/run.sh 60

VECTORS := $(patsubst guest-rules/%/tests/vectors.rs,%,$(wildcard guest-rules/*/tests/vectors.rs))
mutants: ## Change the detection rules in some 1,380 places, one at a time; their vectors must notice (hours; needs cargo-mutants)
	$(CARGO) mutants $(addprefix -p ,$(VECTORS)) --timeout 60 -- --test vectors

wasm-target: tools
	@rustup target list --installed | grep -qx $(GUEST) || rustup target add $(GUEST) || \
	  { echo "the Rust target $(GUEST) is missing and cannot be installed; run: rustup target add $(GUEST)" >&2; exit 1; }

# What a bare Debian-like machine lacks for building.
tools:
	@command -v cc >/dev/null || { echo "installing a C compiler"; apt-get update -q && apt-get install -qy build-essential; }
	@command -v rustup >/dev/null || { echo "Rust is missing; install rustup (Debian: apt-get install rustup), then run make again" >&2; exit 1; }

# What the tests need besides.
test-tools:
	@missing=; command -v nginx >/dev/null || missing+=" nginx-light"; command -v rsyslogd >/dev/null || missing+=" rsyslog"; command -v strace >/dev/null || missing+=" strace"; compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || missing+=" libfaketime"; \
	if [ -n "$$missing" ]; then echo "installing$$missing"; apt-get update -q && apt-get install -qy --no-install-recommends $$missing; fi
	@command -v cargo-nextest >/dev/null || $(CARGO) install --locked cargo-nextest

# The program the Archivematica pack is compared with, for its differential test
# and its bench only. Needs a Python package index; without one the test says so.
auditmatica:
	@test -x $(TARGET)/auditmatica/bin/auditmatica || { \
	  python3 -c 'import ensurepip' 2>/dev/null || { echo "installing python3-venv"; apt-get update -q && apt-get install -qy --no-install-recommends python3-venv; } || true; \
	  rm -rf $(TARGET)/auditmatica && python3 -m venv $(TARGET)/auditmatica && \
	  $(TARGET)/auditmatica/bin/pip install -q --disable-pip-version-check auditmatica==0.1.0; } || { \
	  rm -rf $(TARGET)/auditmatica; \
	  echo "NOTICE: auditmatica 0.1.0 cannot be installed here; the tests that compare with it are SKIPPED" >&2; }

clean: ## Remove everything built
	$(CARGO) clean
