#!/bin/sh
# What a load takes: wrk, and the servers and clients of bench/fixtures that are in Rust. Does nothing where it is there already.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-"$here/../target"}

command -v wrk >/dev/null 2>&1 || sh "$here/../tests/peers/packages.sh" bench wrk
CARGO_TARGET_DIR="$target/bench" cargo build --release --manifest-path "$here/fixtures/Cargo.toml"
