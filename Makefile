# muster: `make quickstart` and `make test` do everything from a fresh clone.

CARGO ?= cargo

.PHONY: quickstart build test schemathesis crashes deploy-check container-check vm-check lint deny sbom bench sqlx docs clean

## Install what is missing, build, and start a server with two users in it. ARGS=--exit ends after showing them.
quickstart: build
	@$(or $(CARGO_TARGET_DIR),target)/release/muster quickstart $(ARGS)

build:
	@scripts/prerequisites.sh
	@$(CARGO) build --release --locked

## All tests: unit, HTTP, command line, faults, the Rust client, and the vendor's own client.
test:
	@scripts/prerequisites.sh tests
	@$(CARGO) test --workspace --features failpoints --locked
	@$(CARGO) build --locked --quiet
	@tests/compat/run.sh

## Requests made up from the server's own OpenAPI, right ones and wrong ones, for SECONDS=300; with a SEED the same again.
schemathesis:
	@scripts/prerequisites.sh tests
	@$(CARGO) build --locked --quiet
	@tests/schemathesis/run.sh $(or $(SECONDS),300) $(or $(CARGO_TARGET_DIR),target)/debug/muster $(addprefix --seed=,$(SEED))

## As many crashes as it takes to be sure: KILLS=1000 processes killed at random moments (`make test` does 100).
crashes:
	@scripts/prerequisites.sh tests
	@MUSTER_TEST_KILLS=$(or $(KILLS),1000) $(CARGO) test --features failpoints --locked --test faults -- killed_at_random

## What muster is deployed by: Dockerfile, compose.yaml, Helm chart, systemd unit, read by the programs that read them later.
deploy-check:
	@scripts/prerequisites.sh tests
	@$(CARGO) build --locked --quiet
	@tests/deploy/run.sh

## The image without a container engine: the Dockerfile's steps, then a server in a root that can't be written.
container-check:
	@scripts/prerequisites.sh tests
	@tests/deploy/container.sh

## The guide for one virtual machine, followed on a fresh Debian that is booted in a folder. As root, after container-check.
vm-check:
	@tests/deploy/one-vm.sh

## What a change has to keep: format, lints, documentation.
lint:
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets --features failpoints --locked -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked --quiet

## What muster is built from: known holes, licences, what is banned, where it comes from; and the workflows.
deny:
	@scripts/prerequisites.sh tests
	@scripts/supply-chain.sh deny
	@scripts/supply-chain.sh workflows

## A list of all crates in the program (CycloneDX), in target/sbom/.
sbom:
	@scripts/prerequisites.sh
	@scripts/supply-chain.sh sbom

## Speed and memory against their limits, as ratios measured in one run.
bench:
	@scripts/prerequisites.sh tests
	@$(CARGO) bench --locked --bench muster

## Renew what builds without a database use, after a change to SQL. CHECK=--check only compares.
sqlx:
	@scripts/prerequisites.sh
	@scripts/sqlx.sh $(CHECK)

## Renew docs/reference from the code: settings, commands, the HTTP API, errors. CHECK=--check only compares.
docs:
	@$(CARGO) run --locked --quiet --example reference -- $(CHECK)

clean:
	@$(CARGO) clean
