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

# The peers that the tests do without.
stamp=$(cat "$here"/fixtures/node/* | cksum)
if [ "$(cat "$target/bench/node/installed" 2>/dev/null)" != "$stamp" ]; then
  rm -rf "$target/bench/node"
  mkdir -p "$target/bench/node"
  cp "$here"/fixtures/node/* "$target/bench/node/"
  if (cd "$target/bench/node" && npm install --no-audit --no-fund --loglevel=error >&2); then
    echo "$stamp" > "$target/bench/node/installed"
  else
    echo "bench: peers on Node cannot be installed: they will not be measured" >&2
  fi
fi
mcp_proxy=mcp-proxy==0.13.0
if [ "$(cat "$target/bench/mcp-proxy/installed" 2>/dev/null)" != "$mcp_proxy" ]; then
  rm -rf "$target/bench/mcp-proxy"
  python3 -m venv "$target/bench/mcp-proxy"
  if "$target/bench/mcp-proxy/bin/pip" install --quiet --disable-pip-version-check "$mcp_proxy"; then
    echo "$mcp_proxy" > "$target/bench/mcp-proxy/installed"
  else
    echo "bench: $mcp_proxy cannot be installed: it will not be measured" >&2
  fi
fi

if [ ! -x "$target/bench/python/bin/python" ]; then
  python3 -m venv "$target/bench/python"
  "$target/bench/python/bin/pip" install --quiet --disable-pip-version-check matplotlib==3.11.2 || {
    echo "bench: matplotlib cannot be installed: there will be no plots" >&2
  }
fi
