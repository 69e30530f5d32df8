#!/bin/sh
# Sees to it that the programs are there which the tests start for themselves: PostgreSQL, MariaDB, Valkey or Redis, HAProxy, Chromium, valgrind, and promtool of Prometheus.
# Does nothing where they are installed already; installs Debian's packages where that is allowed.
set -eu

have_postgres() {
  command -v postgres >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1
}
have_mariadb() {
  { command -v mariadbd || ls /usr/sbin/mariadbd; } >/dev/null 2>&1 && command -v mariadb-install-db >/dev/null 2>&1 && command -v mariadb >/dev/null 2>&1
}
have_chromium() {
  command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1
}

packages=
have_postgres || packages="$packages postgresql postgresql-contrib"
have_mariadb || packages="$packages mariadb-server-core mariadb-client-core"
have_chromium || packages="$packages chromium fonts-dejavu-core"
command -v promtool >/dev/null 2>&1 || packages="$packages prometheus"
{ command -v valkey-server || command -v redis-server; } >/dev/null 2>&1 || packages="$packages redis-server"
{ command -v haproxy || ls /usr/sbin/haproxy; } >/dev/null 2>&1 || packages="$packages haproxy"
command -v valgrind >/dev/null 2>&1 || packages="$packages valgrind"
if [ -z "$packages" ]; then
  exit 0
fi

if ! command -v apt-get >/dev/null 2>&1; then
  echo "these are needed (PostgreSQL 15, MariaDB 10.6, Valkey 7.2 or Redis 7, HAProxy 2.6, or later):" >&2
fi
# shellcheck disable=SC2086
exec sh "$(dirname "$0")/packages.sh" peers $packages
