# The two commands of the README, and what CI does. Needs Rust, Node.js and Python; installs the rest itself.

CONFIG ?= examples/mcp-config.yaml

.PHONY: run dist test peers check bench bench-check soak

# Serves the ready tools and the servers of the config on http://127.0.0.1:3001/mcp.
run:
	cargo run --release -- serve --config $(CONFIG)

# The program as it is to be run where it matters: laid out by what it does under load, in target/dist. Takes three quarters of an hour.
dist:
	sh deploy/dist.sh

# All tests, with the real clients and servers that they talk to.
test: peers
	cargo test --workspace --doc
	if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --workspace --no-fail-fast; else cargo test --workspace --no-fail-fast --lib --bins --tests --examples; fi

# Installs those clients and servers into target/peers, once.
peers:
	sh tests/peers/setup.sh

# What must hold besides the tests: formatting, lints, documentation, and dependencies where cargo-deny is installed.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
	if cargo deny --version >/dev/null 2>&1; then cargo deny check bans licenses sources; else echo "cargo-deny is not installed: dependencies are not checked" >&2; fi

# Toolcrib beside its peers, on this machine: a table and plots in target/bench. Takes two hours; ARGS="--times 1 --seconds 2" is quicker, and so is UNTRAINED=1.
bench: peers
	sh bench/setup.sh
	$(or $(CARGO_TARGET_DIR),target)/bench/python/bin/python bench/compare $(ARGS)

# What a call may cost, in instructions; what it may ask for in memory is among the tests.
bench-check:
	cargo test --release -p toolcrib-bench --test instructions -- --nocapture

# Some minutes among servers that misbehave: what fails, what grows, what is left behind. MINUTES=10
soak:
	cargo build --release
	python3 tests/soak.py target/release/toolcrib --minutes $(or $(MINUTES),10)
