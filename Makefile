# make demo       throw-away hosts on this machine, a real cluster on them, its nodes shown
# make demo-down  remove the demo's hosts
# make test       everything: format, lints, fast tests, then the lab with a real cluster
# make bench      fleetadm apply against kubeadm by hand, on the same hosts
#
# Both demo and test install what is missing (Debian packages through apt) or say what to install.

.PHONY: demo demo-down test test-fast bench setup

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
	cargo test --locked

bench: setup
	@cargo build --release --locked
	@bench/apply
