#!/bin/sh
# Three replicas with their own PostgreSQL, Valkey (or Redis) and HAProxy, as plain processes: deploy/replicas/run.sh [FOLDER]
# What they keep is in FOLDER (default: a new one, which stays). LISTEN is where clients come, HOST:PORT (default 127.0.0.1:3001), BINARY another build
# than target/release/toolcrib, PORTS the first of five that are free. Ends, with all that it started, on Ctrl-C.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
binary=${BINARY:-"$here/../../target/release/toolcrib"}
folder=${1:-$(mktemp -d)}
first=${PORTS:-3101}
listen=${LISTEN:-127.0.0.1:3001}
[ -x "$binary" ] || { echo "there is no $binary: cargo build --release -p toolcrib makes it" >&2; exit 1; }
binary=$(realpath "$binary")
mkdir -p "$folder"
folder=$(realpath "$folder")
case $folder$binary in *\'*) echo "a path with a ' in it is not taken: $folder, $binary" >&2; exit 1 ;; esac

find_program() {
  command -v "$1" 2>/dev/null || find /usr/lib/postgresql /usr/sbin -name "$1" 2>/dev/null | sort -V | tail -n 1
}
postgres=$(find_program postgres)
initdb=$(find_program initdb)
valkey=$(find_program valkey-server)
[ -n "$valkey" ] || valkey=$(find_program redis-server)
haproxy=$(find_program haproxy)
curl=$(find_program curl)
[ -n "$postgres" ] && [ -n "$initdb" ] && [ -n "$valkey" ] && [ -n "$haproxy" ] && [ -n "$curl" ] || {
  echo "these are needed: PostgreSQL, Valkey or Redis, HAProxy and curl (Debian: apt-get install postgresql redis-server haproxy curl)" >&2
  exit 1
}

# PostgreSQL refuses to run as root.
as_somebody=
if [ "$(id -u)" = 0 ]; then
  as_somebody="setpriv --reuid=nobody --regid=nogroup --clear-groups"
  chmod 755 "$folder"
fi

started=
trap 'trap - EXIT INT TERM; kill $started 2>/dev/null || :; wait; exit 0' INT TERM
trap 'kill $started 2>/dev/null || :; wait' EXIT
start() {
  log=$1
  shift
  "$@" > "$folder/$log.log" 2>&1 &
  started="$started $!"
}
wait_until() {
  what=$1
  shift
  tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || { echo "$what does not come; $folder holds what it said" >&2; exit 1; }
    sleep 0.2
  done
}
answers() {
  "$curl" -fsS --noproxy "*" --max-time 1 -H "Host: localhost" "http://$1"
}

is_taken() {
  "$curl" -s --noproxy "*" --max-time 1 -o /dev/null "http://$1"
  [ $? != 7 ]
}
for address in "127.0.0.1:$first" "127.0.0.1:$((first + 1))" "127.0.0.1:$((first + 2))" "127.0.0.1:$((first + 3))" "127.0.0.1:$((first + 4))" "$listen"; do
  if is_taken "$address"; then
    echo "$address is taken: say with PORTS where five are free, and with LISTEN where clients come" >&2
    exit 1
  fi
done

database_port=$first
shared_port=$((first + 1))
if [ ! -d "$folder/database" ]; then
  mkdir "$folder/database"
  [ -z "$as_somebody" ] || chown nobody:nogroup "$folder/database"
  $as_somebody "$initdb" --pgdata "$folder/database" --username=toolcrib --auth=trust --encoding=UTF8 >/dev/null
fi
# shellcheck disable=SC2086
start database $as_somebody "$postgres" -D "$folder/database" -p "$database_port" -c listen_addresses=127.0.0.1 -c unix_socket_directories=
mkdir -p "$folder/shared"
start shared "$valkey" --bind 127.0.0.1 --port "$shared_port" --save "" --appendonly yes --dir "$folder/shared"
if [ ! -f "$folder/toolcrib.key" ]; then
  (umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > "$folder/toolcrib.key")
fi
DATABASE_URL="postgres://toolcrib@127.0.0.1:$database_port/postgres?sslmode=disable"
SHARED_URL="redis://127.0.0.1:$shared_port"
STORAGE_KEY=$(cat "$folder/toolcrib.key")
export DATABASE_URL SHARED_URL STORAGE_KEY
cat > "$folder/env" <<ENV
export DATABASE_URL='$DATABASE_URL' SHARED_URL='$SHARED_URL' STORAGE_KEY="\$(cat '$folder/toolcrib.key')" REPLICA=shell ADVERTISE=http://127.0.0.1
ENV
cp "$here/mcp-config.yaml" "$folder/"

for number in 1 2 3; do
  port=$((first + 1 + number))
  export "REPLICA_$number=127.0.0.1:$port"
  tries=0
  # The database may still be starting.
  until REPLICA="replica-$number" ADVERTISE="http://127.0.0.1:$port" "$binary" key list --config "$folder/mcp-config.yaml" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || { echo "PostgreSQL does not come; $folder/database.log holds what it said" >&2; exit 1; }
    sleep 0.2
  done
  start "replica-$number" env REPLICA="replica-$number" ADVERTISE="http://127.0.0.1:$port" \
    "$binary" serve --config "$folder/mcp-config.yaml" --listen "127.0.0.1:$port"
  wait_until "replica $number" answers "127.0.0.1:$port/readyz"
done
export LISTEN="$listen"
start haproxy "$haproxy" -f "$here/haproxy.cfg"
wait_until HAProxy answers "$listen/readyz"

cat <<TOLD
Three replicas are one server: http://$listen/mcp
What they keep and say is in $folder. A key for somebody, and what was called:
  . '$folder/env'
  '$binary' key create --sub ann --role user --config '$folder/mcp-config.yaml'
  '$binary' audit --config '$folder/mcp-config.yaml'
TOLD
wait
