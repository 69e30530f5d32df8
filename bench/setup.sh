#!/bin/sh
# Sees to it that everything is there that bench/compare measures: the candidates, built as releases, nginx, wrk, and what draws the plots.
# Does nothing where it is there already. With UNTRAINED=1, and where it cannot be trained, Toolcrib is the plain release and not that of
# deploy/dist.sh.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-"$here/../target"}

{ command -v nginx || ls /usr/sbin/nginx; } >/dev/null 2>&1 || sh "$here/../tests/peers/packages.sh" bench nginx

echo "bench: building releases; the first time takes minutes" >&2
sh "$here/load.sh"
build=dist
if [ -n "${UNTRAINED:-}" ]; then
  build=release
else
  # That it cannot be trained is no reason to give up; that it failed is.
  status=0
  sh "$here/../deploy/dist.sh" || status=$?
  case $status in
    0) ;;
    3) build=release ;;
    *) exit "$status" ;;
  esac
fi
if [ $build = release ]; then
  echo "bench: Toolcrib is measured as a plain release" >&2
  (cd "$here/.." && cargo build --release -p toolcrib --bin toolcrib --example echo)
fi
mkdir -p "$target/bench"
echo $build > "$target/bench/build"

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

# What a Python package brings, in an environment of its own: peers want different versions of the same things.
python_peer() {
  place="$target/bench/$1" wanted=$2
  [ "$(cat "$place/installed" 2>/dev/null)" = "$wanted" ] && return
  rm -rf "$place"
  python3 -m venv "$place"
  if "$place/bin/pip" install --quiet --disable-pip-version-check "$wanted"; then
    echo "$wanted" > "$place/installed"
  else
    echo "bench: $wanted cannot be installed: it will not be measured" >&2
  fi
}
python_peer mcp-proxy mcp-proxy==0.13.0
python_peer contextforge mcp-contextforge-gateway==1.0.7

if [ ! -x "$target/bench/python/bin/python" ]; then
  python3 -m venv "$target/bench/python"
  "$target/bench/python/bin/pip" install --quiet --disable-pip-version-check matplotlib==3.11.2 || {
    echo "bench: matplotlib cannot be installed: there will be no plots" >&2
  }
fi
