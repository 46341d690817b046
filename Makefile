# `make quickstart` and `make test` work from a fresh clone.

CARGO ?= cargo

.PHONY: quickstart build test test-postgres schemathesis crashes deploy-check container-check vm-check lint words deny sbom bench sqlx docs clean

## Install missing prerequisites, build, and start a server with two example users. ARGS=--exit stops it after the demonstration.
quickstart: build
	@$(or $(CARGO_TARGET_DIR),target)/release/muster quickstart $(ARGS)

build:
	@scripts/prerequisites.sh
	@$(CARGO) build --release --locked

## All tests: unit, HTTP, CLI, fault injection, the Rust client, the vendor's client, the pages in a browser, and real identity providers.
test:
	@scripts/prerequisites.sh tests
	@$(CARGO) test --workspace --features failpoints --locked
	@$(CARGO) build --locked --quiet
	@tests/compat/run.sh
	@tests/pages/run.sh
	@tests/sso/run.sh

## The HTTP tests on the newest PostgreSQL (from PyPI) as well. THIRD=third runs a third of them, another one for each commit.
test-postgres:
	@scripts/prerequisites.sh tests
	@tests/postgres/run.sh $(THIRD)

## Fuzz the HTTP API with requests generated from its OpenAPI description, for SECONDS=300. SEED=n repeats a run.
schemathesis:
	@scripts/prerequisites.sh tests
	@$(CARGO) build --locked --quiet
	@tests/schemathesis/run.sh $(or $(SECONDS),300) $(or $(CARGO_TARGET_DIR),target)/debug/muster $(addprefix --seed=,$(SEED))

## Crash testing: kill KILLS=1000 servers at random moments (`make test` kills 100).
crashes:
	@scripts/prerequisites.sh tests
	@MUSTER_TEST_KILLS=$(or $(KILLS),1000) $(CARGO) test --features failpoints --locked --test faults -- after_random_kills

## Check the Dockerfile, compose.yaml, the Helm chart and the systemd unit with the programs that read them in production.
deploy-check:
	@scripts/prerequisites.sh tests
	@$(CARGO) build --locked --quiet
	@tests/deploy/run.sh

## Build the image without a container engine (the Dockerfile's steps), then run it with a read-only root file system.
container-check:
	@scripts/prerequisites.sh tests
	@tests/deploy/container.sh

## Follow the virtual-machine guide on a fresh Debian booted from a folder. Needs root; run container-check first.
vm-check:
	@tests/deploy/one-vm.sh

## Check formatting, lints, rustdoc, spelling and words.
lint: words
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets --features failpoints --locked -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked --quiet

## Spelling and words: docs/contributing/style.md.
words:
	@scripts/prerequisites.sh
	@scripts/supply-chain.sh words

## Check dependencies (known vulnerabilities, licenses, bans, sources) and lint the workflows.
deny:
	@scripts/prerequisites.sh tests
	@scripts/supply-chain.sh deny
	@scripts/supply-chain.sh workflows

## Write a software bill of materials (CycloneDX) to target/sbom/.
sbom:
	@scripts/prerequisites.sh
	@scripts/supply-chain.sh sbom

## Measure speed and memory against their limits, as ratios within one run.
bench:
	@scripts/prerequisites.sh tests
	@$(CARGO) bench --locked --bench muster

## Regenerate .sqlx after a change to SQL, so that builds need no database. CHECK=--check only compares.
sqlx:
	@scripts/prerequisites.sh
	@scripts/sqlx.sh $(CHECK)

## Regenerate docs/reference from the code: settings, commands, HTTP API, errors. CHECK=--check only compares.
docs:
	@$(CARGO) run --locked --quiet --example reference -- $(CHECK)

clean:
	@$(CARGO) clean
