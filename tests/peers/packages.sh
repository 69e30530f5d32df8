#!/bin/sh
# Installs packages of Debian where that is allowed, and says how where it is not: packages.sh WHO PACKAGE...
set -eu

who=$1
shift
if ! command -v apt-get >/dev/null 2>&1; then
  echo "$who: these are needed, or what your system calls so: $*" >&2
  exit 1
elif [ "$(id -u)" = 0 ]; then
  as_root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
  as_root=sudo
else
  echo "$who: run 'sudo apt-get install --no-install-recommends $*'" >&2
  exit 1
fi

echo "$who: installing $*" >&2
$as_root apt-get update -qq >&2
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
