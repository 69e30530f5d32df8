"""What it costs that replicas share: one process by itself, and one to three behind HAProxy with PostgreSQL and Valkey or Redis of their own.

Nothing has a processor to itself here: look at the processor time of each part, which adds up to what a call costs."""

import json
import os
import pathlib
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import jobs
import measure
from candidates import toolcrib_guarded
from client import Client
from processes import Process, free_port

CONNECTIONS = 32
NOBODY = 65534


def program(*names):
    for name in names:
        places = [pathlib.Path(found) for found in [shutil.which(name)] if found]
        places += sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}")) + [pathlib.Path("/usr/sbin") / name]
        for place in places:
            if place.exists():
                return str(place)
    raise SystemExit(f"bench: {' or '.join(names)} is needed (Debian: postgresql redis-server haproxy)")


class Set:
    """So many replicas, and all that they need. None: one process that keeps its records in a file."""

    def __init__(self, programs, everywhere, replicas, limits=False):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="toolcrib-bench-replicas-"))
        self.everywhere = everywhere
        self.parts = {}
        self.programs, self.limits = programs, limits
        config = {
            "audit": {"durability": "reply"},
            "auth": {"jwt": {"issuer": "bench", "audience": "toolcrib", "algorithms": ["HS256"], "secret": toolcrib_guarded.SECRET.decode()}},
            "access": {"rules": [{"roles": ["user"], "allow": ["*"]}]},
        }
        if limits:
            config["access"]["limits"] = [{"roles": ["user"], "perDay": 1_000_000_000}]
        if replicas is None:
            port = free_port()
            self.start_replica(0, port, config)
        else:
            self.start_sharing()
            ports = [free_port() for _ in range(replicas)]
            for number, port in enumerate(ports):
                storage = {
                    "database": f"postgres://postgres@127.0.0.1:{self.database_port}/postgres?sslmode=disable",
                    "shared": f"redis://127.0.0.1:{self.shared_port}",
                    "key": self.key, "replica": f"replica-{number}", "advertise": f"http://127.0.0.1:{port}",
                }
                self.start_replica(number, port, config | {"storage": storage})
            port = free_port()
            self.start_balancer(port, ports)
        self.url = f"http://127.0.0.1:{port}/mcp"

    def start(self, part, command, env=None):
        self.parts.setdefault(part, []).append(Process(command, str(self.folder), self.everywhere, env))

    def start_replica(self, number, port, config):
        config["dataFolder"] = str(self.folder / f"data-{number}")
        file = self.folder / f"config-{number}.yaml"
        file.write_text(json.dumps(config))
        self.start("replicas", [self.programs["echo"], "serve", "--quiet", "--config", str(file), "--listen", f"127.0.0.1:{port}"])
        measure.wait_for_port(port)

    def start_sharing(self):
        """PostgreSQL refuses to run as root, so it runs as somebody else then."""
        self.key, self.database_port, self.shared_port = secrets.token_hex(32), free_port(), free_port()
        as_somebody = []
        data = self.folder / "database"
        data.mkdir()
        if os.geteuid() == 0:
            self.folder.chmod(0o755)
            os.chown(data, NOBODY, NOBODY)
            as_somebody = [program("setpriv"), "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
        subprocess.run([*as_somebody, program("initdb"), "--pgdata", str(data), "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"],
                       check=True, capture_output=True)
        self.start("PostgreSQL", [*as_somebody, program("postgres"), "-D", str(data), "-p", str(self.database_port), "-c", "listen_addresses=127.0.0.1",
                                  "-c", "unix_socket_directories="])
        (self.folder / "shared").mkdir()
        self.start("Valkey", [program("valkey-server", "redis-server"), "--bind", "127.0.0.1", "--port", str(self.shared_port), "--save", "",
                              "--appendonly", "yes", "--dir", str(self.folder / "shared")])
        measure.wait_for_port(self.shared_port)
        url, end = f"postgres://postgres@127.0.0.1:{self.database_port}/postgres", time.monotonic() + 60
        while subprocess.run([program("psql"), url, "-c", "SELECT 1"], capture_output=True).returncode and time.monotonic() < end:
            time.sleep(0.1)

    def start_balancer(self, port, replicas):
        servers = "\n".join(f"  server r{number} 127.0.0.1:{replica}" for number, replica in enumerate(replicas))
        file = self.folder / "haproxy.cfg"
        file.write_text(f"defaults\n  mode http\n  timeout connect 1s\n  timeout client 1h\n  timeout server 1h\nfrontend all\n  bind 127.0.0.1:{port}\n"
                        f"  default_backend replicas\nbackend replicas\n  balance roundrobin\n{servers}\n")
        self.start("HAProxy", [program("haproxy"), "-f", str(file)])
        measure.wait_for_port(port)

    def database(self, sql):
        url = f"postgres://postgres@127.0.0.1:{self.database_port}/postgres"
        return subprocess.run([program("psql"), url, "-Atc", sql], check=True, capture_output=True, text=True).stdout.strip()

    def spent(self):
        return {part: sum(process.cpu_seconds() for process in processes) for part, processes in self.parts.items()}

    def stop(self):
        for processes in self.parts.values():
            for process in processes:
                process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


CASES = [
    ("one process, records in a file", None, False, "modern"),
    ("one replica", 1, False, "modern"),
    ("one replica, limits", 1, True, "modern"),
    ("two replicas", 2, False, "modern"),
    ("three replicas", 3, False, "modern"),
    ("three replicas, limits", 3, True, "modern"),
    ("three replicas, sessions of legacy clients", 3, False, "legacy"),
]


def measured(bench, seconds, times):
    records = []
    for round_ in range(times):
        for label, replicas, limits, era in CASES:
            running = Set(bench.programs, bench.load_cpus | bench.candidate_cpus, replicas, limits)
            try:
                records.append(one(bench, running, label, replicas, era, seconds) | {"round": round_})
            finally:
                running.stop()
            print(f"{label:45} {records[-1]['per_second']:.0f}/s {records[-1]['cpu_ms']}", file=sys.stderr, flush=True)
    return records


def one(bench, running, label, replicas, era, seconds):
    headers = {"Authorization": f"Bearer {toolcrib_guarded.token()}"}
    client = Client(running.url, era, headers).open()
    # All requests of a session come by one name; the balancer spreads them.
    tool = client.find("echo")
    measure.check(client, next(job for job in jobs.JOBS if job.name == "tool"), tool)
    request = running.folder / "request"
    request.write_text(client.as_load("tools/call", {"name": tool, "arguments": {"text": jobs.TEXT}}))
    everywhere, bench.load_cpus = bench.load_cpus, running.everywhere
    try:
        bench.load(running.url, str(request), CONNECTIONS, 1)
        before = running.spent()
        rows = replicas and (int(running.database("SELECT count(*) FROM toolcrib.audit")), size_of(running))
        told = bench.load(running.url, str(request), CONNECTIONS, seconds)
        after = running.spent()
    finally:
        bench.load_cpus = everywhere
    record = {
        "label": label, "per_second": told["calls"] / (told["us"] / 1e6), "p50_ms": told["p50"] / 1e3, "p99_ms": told["p99"] / 1e3, "failed": told["failed"],
        "cpu_ms": {part: (after[part] - before[part]) / max(1, told["calls"]) * 1e3 for part in after},
    }
    if replicas:
        kept = int(running.database("SELECT count(*) FROM toolcrib.audit")) - rows[0]
        record["recorded"] = kept / max(1, told["calls"])
        record["bytes_per_record"] = (size_of(running) - rows[1]) / max(1, kept)
    return record


def size_of(running):
    return int(running.database("SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0) FROM pg_inherits WHERE inhparent = 'toolcrib.audit'::regclass"))


def table(records):
    if not records:
        return []
    parts = ["replicas", "HAProxy", "PostgreSQL", "Valkey"]
    head = ["", "calls/s", "p50 ms", "p99 ms", *(f"CPU ms/call: {part}" for part in parts), "failed", "bytes/record"]
    lines = [f"### Replicas, {CONNECTIONS} connections, JWT, access, audit (durability: reply)", "", "| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for label in dict.fromkeys(record["label"] for record in records):
        of = [record for record in records if record["label"] == label]

        def middle(read):
            values = [value for record in of if (value := read(record)) is not None]
            return statistics.median(values) if values else None

        row = [label, f"{middle(lambda record: record['per_second']):,.0f}", f"{middle(lambda record: record['p50_ms']):.2f}", f"{middle(lambda record: record['p99_ms']):.2f}"]
        for part in parts:
            value = middle(lambda record: record["cpu_ms"].get(part))
            row.append("–" if value is None else f"{value:.3f}")
        size = middle(lambda record: record.get("bytes_per_record"))
        row += [str(sum(record["failed"] for record in of)), "–" if size is None else f"{size:.0f}"]
        lines.append("| " + " | ".join(row) + " |")
    return [*lines, ""]
