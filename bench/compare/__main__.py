"""Toolcrib beside its peers on the same work, on this machine, in turns: python3 bench/compare (or make bench). See bench/README.md."""

import argparse
import importlib
import json
import os
import pathlib
import platform
import pkgutil
import shutil
import subprocess
import sys
import time

import candidates
import jobs
import measure
import replicas
import report
from client import ERAS
from processes import processors

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PEERS = pathlib.Path(os.environ.get("TOOLCRIB_PEERS", ROOT / "target" / "peers"))


def built_last():
    written = TARGET / "bench" / "build"
    return written.read_text().strip() if written.exists() else "release"


def programs(build):
    known = {
        "toolcrib": build / "toolcrib",
        "echo": build / "examples" / "echo",
        "bare": TARGET / "bench" / "release" / "bare",
        "sdk": TARGET / "bench" / "release" / "sdk",
        "python": PEERS / "python-2" / "bin" / "python",
        "node": shutil.which("node"),
        "mcp-proxy": TARGET / "bench" / "mcp-proxy" / "bin" / "mcp-proxy",
        "contextforge": TARGET / "bench" / "contextforge" / "bin" / "mcpgateway",
        "nginx": shutil.which("nginx") or "/usr/sbin/nginx",
        "wrk": shutil.which("wrk"),
        "agentgateway": shutil.which("agentgateway") or os.environ.get("AGENTGATEWAY"),
    }
    if known["node"] and (TARGET / "bench" / "node" / "installed").exists():
        known["node-peers"] = TARGET / "bench" / "node"
    return {name: str(path) for name, path in known.items() if path and pathlib.Path(path).exists()}


def known_candidates(only, found):
    names = [module.name for module in pkgutil.iter_modules(candidates.__path__)]
    modules = [importlib.import_module(f"candidates.{name}") for name in names]
    for module in modules:
        needed = getattr(module, "PROGRAM", None)
        if needed and needed not in found and (not only or module.NAME in only):
            print(f"bench: {module.LABEL} is not measured: {needed} is not here", file=sys.stderr)
    chosen = [module for module in modules if (not only or module.NAME in only) and getattr(module, "PROGRAM", "sdk") in found]
    order = ["direct", "bare", "nginx", "sdk-rust", "toolcrib", "toolcrib-tokens", "toolcrib-guarded"]
    return sorted(chosen, key=lambda module: (order.index(module.NAME) if module.NAME in order else len(order), module.NAME))


def entries(args, chosen):
    """What is to be measured, in one repetition."""
    wanted = [job for job in jobs.JOBS if job.name in args.jobs]
    growing = [job for name, some in jobs.GROWTH.items() if name in args.growth for job in some]
    for job in wanted:
        for candidate in chosen:
            for era in candidate.JOBS.get(job.name, ()):
                if era in args.eras:
                    yield candidate, job, era
    for job in growing:
        for candidate in chosen:
            if job.name.partition("-")[0] in candidate.GROWTH and "modern" in args.eras:
                yield candidate, job, "modern"


def main():
    def words(text):
        return [word for word in text.split(",") if word]

    reading = argparse.ArgumentParser(prog="bench/compare", description=__doc__)
    reading.add_argument("--jobs", type=words, default=[job.name for job in jobs.JOBS], help="of " + ", ".join(job.name for job in jobs.JOBS))
    reading.add_argument("--growth", type=words, default=list(jobs.GROWTH), help="of " + ", ".join(jobs.GROWTH))
    reading.add_argument("--only", type=words, default=[], help="candidates, by name")
    reading.add_argument("--eras", type=words, default=list(ERAS), help="of " + ", ".join(ERAS))
    reading.add_argument("--times", type=int, default=3, help="repetitions of everything, one after the other")
    reading.add_argument("--seconds", type=int, default=3, help="of load for each number of connections")
    reading.add_argument("--connections", type=lambda text: tuple(int(word) for word in words(text)), help="in place of those of each job")
    reading.add_argument("--replicas", action="store_true", help="only what replicas cost that share")
    reading.add_argument("--no-sessions", action="store_true", help="leave out what idle sessions cost")
    reading.add_argument("--out", type=pathlib.Path, help="where what was measured is kept; by default target/bench/results.json, of replicas replicas.json")
    reading.add_argument("--build", type=pathlib.Path, help="where toolcrib and examples/echo are; by default what `make bench` built last, target/dist or target/release")
    reading.add_argument("--report", action="store_true", help="only write the table and the plots of what was measured before")
    args = reading.parse_args()
    args.out = args.out or TARGET / "bench" / ("replicas.json" if args.replicas else "results.json")
    if args.report:
        print(report.written(json.loads(args.out.read_text()), args.out.parent))
        return
    if args.connections:
        jobs.JOBS[:] = [measure_with(job, args.connections) for job in jobs.JOBS]
    build = args.build or TARGET / built_last()
    print(f"bench: Toolcrib is that of {build}", file=sys.stderr)
    found = programs(build.resolve())
    for needed in ("toolcrib", "echo", "bare", "sdk", "wrk"):
        if needed not in found:
            raise SystemExit(f"bench: {needed} is not here: run `make bench`, which makes or installs it")
    load, candidate = processors()
    os.sched_setaffinity(0, load)
    bench = measure.Bench(found, load, candidate, args.seconds)
    chosen = known_candidates(args.only, found)
    results = {"when": time.strftime("%Y-%m-%d %H:%M"), "machine": machine(), "build": build.name, "load_before": os.getloadavg()[0], "records": [], "sessions": []}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if args.replicas:
        results["replicas"] = replicas.measured(bench, args.seconds, args.times)
        results["load_after"] = os.getloadavg()[0]
        args.out.write_text(json.dumps(results, indent=1))
        print(report.written(results, args.out.parent))
        return
    work = [(round_, *entry) for round_ in range(args.times) for entry in entries(args, chosen)]
    for number, (round_, candidate, job, era) in enumerate(work, 1):
        record = bench.run(candidate, job, era) | {"round": round_}
        results["records"].append(record)
        args.out.write_text(json.dumps(results, indent=1))
        cells = "  ".join(f"{cell['connections']}: {cell['per_second']:.0f}/s {cell['cpu_ms'] * 1e3:.0f} us" for cell in record["cells"])
        print(f"[{number}/{len(work)}] {candidate.NAME:16} {job.name:14} {era:6} {record.get('failed', cells)}", file=sys.stderr, flush=True)
    if not args.no_sessions:
        results["sessions"] = [measure.idle_sessions(bench, candidate) for candidate in chosen if getattr(candidate, "SESSIONS", False)]
    results["load_after"] = os.getloadavg()[0]
    args.out.write_text(json.dumps(results, indent=1))
    print(report.written(results, args.out.parent))


def measure_with(job, connections):
    import dataclasses

    return dataclasses.replace(job, connections=connections)


def machine():
    model = next((line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    rust = subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.strip()
    return f"{os.cpu_count()} processors ({model}), Linux {platform.release()}, {rust}"


if __name__ == "__main__":
    main()
