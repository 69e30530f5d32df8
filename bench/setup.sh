#!/bin/sh
# Sees to it that everything is there that bench/compare measures: the candidates, built as releases, nginx, wrk, and what draws the plots.
# Does nothing where it is there already.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-"$here/../target"}

packages=
command -v wrk >/dev/null 2>&1 || packages="$packages wrk"
{ command -v nginx || ls /usr/sbin/nginx; } >/dev/null 2>&1 || packages="$packages nginx"
if [ -n "$packages" ]; then
  # shellcheck disable=SC2086
  sh "$here/../tests/peers/packages.sh" bench $packages
fi

echo "bench: building releases; the first time takes minutes" >&2
cargo build --release --manifest-path "$here/../Cargo.toml" -p toolcrib --bin toolcrib --example echo
CARGO_TARGET_DIR="$target/bench" cargo build --release --manifest-path "$here/fixtures/Cargo.toml"

if [ ! -x "$target/bench/python/bin/python" ]; then
  python3 -m venv "$target/bench/python"
  "$target/bench/python/bin/pip" install --quiet --disable-pip-version-check matplotlib==3.11.2 || {
    echo "bench: matplotlib cannot be installed: there will be no plots" >&2
  }
fi
