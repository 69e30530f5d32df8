#!/bin/sh
# Installs the real clients and servers that the tests talk to, into the given folder (default target/peers); databases and a browser
# come from the system's packages.
# Does nothing where they are installed already.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
peers=${1:-${TOOLCRIB_PEERS:-"$here/../../target/peers"}}

need() {
  command -v "$1" >/dev/null 2>&1 || { echo "peers: $1 is needed: install $2" >&2; exit 1; }
}
need node "Node.js 20 or later (Debian: nodejs npm)"
need npm "npm (Debian: npm)"
need python3 "Python 3.10 or later with venv (Debian: python3 python3-venv)"
need git "git (Debian: git)"
sh "$here/system.sh"

stamp=$(cat "$here/package.json" "$here"/requirements-*.txt "$here/setup.sh" | cksum)
if [ -f "$peers/installed" ] && [ "$(cat "$peers/installed")" = "$stamp" ]; then
  exit 0
fi

echo "peers: installing into $peers (once; takes a minute)" >&2
rm -rf "$peers"
mkdir -p "$peers"
cp "$here/package.json" "$peers/"
# The conformance suite needs Node 22, which comes as a package of its own; its install script links the binary.
(cd "$peers" && npm install --no-audit --no-fund --loglevel=error >&2)
[ -x "$peers/node_modules/node/bin/node" ] || (cd "$peers" && npm rebuild node --loglevel=error >&2)
for version in 1 2; do
  python3 -m venv "$peers/python-$version"
  "$peers/python-$version/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements-$version.txt"
done
# Independent judges of the OpenAPI description, of REST, and of what a collector is told.
python3 -m venv "$peers/python-rest"
"$peers/python-rest/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements-rest.txt"
echo "$stamp" > "$peers/installed"
