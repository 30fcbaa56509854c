# make demo       throw-away hosts on this machine, a real cluster on them, its nodes shown
# make demo-down  remove the demo's hosts
# make test       everything: format, lints, fast tests, then the lab with a real cluster
# make faults     every fault at every phase boundary, which takes hours (FLEETADM_FAULTS=N takes N; make test takes three)
# make deny       licences, sources and duplicates of what fleetadm is built from (cargo install cargo-deny)
# make bench      fleetadm against other tools over many hosts, and fleetadm apply against kubeadm by hand
#
# Both demo and test install what is missing (Debian packages through apt) or say what to install.

.PHONY: demo demo-down test test-fast deny faults bench setup

setup:
	@tests/lab/setup

demo: setup
	@cargo build --release --locked
	@tests/lab/demo up

demo-down:
	@tests/lab/demo down

test: test-fast
	@tests/lab/test

test-fast:
	@tests/lab/setup --tests
	-@tests/lab/programs >/dev/null
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	shellcheck -x templates/*.sh $$(grep -rlE '^#!/bin/(ba)?sh' tests bench .ci)
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
	@if command -v cargo-deny >/dev/null; then $(MAKE) deny; \
	else echo "SKIPPED: deny.toml is not checked; it needs cargo-deny (cargo install --locked cargo-deny)" >&2; fi
	cargo test --locked

# Advisories are left out: they are fetched anew each time, and a check of a change must not depend on that.
deny:
	cargo deny --locked check bans licenses sources

faults:
	@tests/lab/faults

bench: setup
	@bench/fanout
	@bench/preflight
	@bench/apply
