#!/bin/sh
# Sees to it that the database servers are there which the tests start for themselves: PostgreSQL and MariaDB.
# Does nothing where they are installed already; installs Debian's packages where that is allowed.
set -eu

have_postgres() {
  command -v postgres >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1
}
have_mariadb() {
  { command -v mariadbd || ls /usr/sbin/mariadbd; } >/dev/null 2>&1 && command -v mariadb-install-db >/dev/null 2>&1 && command -v mariadb >/dev/null 2>&1
}
if have_postgres && have_mariadb; then
  exit 0
fi

packages="postgresql postgresql-contrib mariadb-server-core mariadb-client-core"
if ! command -v apt-get >/dev/null 2>&1; then
  echo "peers: PostgreSQL 15 or later (with its contrib modules) and MariaDB 10.6 or later are needed: install their servers" >&2
  exit 1
elif [ "$(id -u)" = 0 ]; then
  as_root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
  as_root=sudo
else
  echo "peers: PostgreSQL and MariaDB are needed: run 'sudo apt-get install --no-install-recommends $packages'" >&2
  exit 1
fi

echo "peers: installing $packages" >&2
$as_root apt-get update -qq >&2
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >&2
