#!/usr/bin/env python3
"""How much it takes to serve so many agents, from what a call, a session and a record cost as measured: python3 bench/scaling.py [COSTS.json]

First by arithmetic, then by a simulation of replicas that have a queue each, so that bursts are seen, too. The costs stand in bench/costs.json,
which says where they come from."""

import heapq
import json
import math
import pathlib
import random
import statistics
import sys

HERE = pathlib.Path(__file__).parent
AGENTS = (10, 1_000, 100_000)


def plan(costs, agents):
    """What so many agents at work at once need."""
    of = costs["assumed"]
    calls = agents / of["seconds_between_calls"]
    peak = calls * of["peak_over_mean"]
    cores = {part: peak * ms / 1e3 for part, ms in costs["cpu_ms_per_call"].items()}
    replicas = max(of["least_replicas"] if agents > 10 else 1, math.ceil(cores["replica"] / (of["cores_per_replica"] * of["busy_at_most"])))
    records = calls * of["working_seconds_per_day"]
    shared = replicas > 1
    return {
        "agents": agents,
        "calls_per_second": calls,
        "peak_calls_per_second": peak,
        "replica_cores": cores["replica"],
        "replicas": replicas,
        "database_cores": cores["database"] if shared else 0.0,
        "shared_cores": cores["shared"] if shared else 0.0,
        "balancer_cores": cores["balancer"] if shared else 0.0,
        "database_connections": replicas * costs["connections_per_replica"] if shared else 0,
        "records_per_day": records,
        "gib_per_day": records * costs["bytes_per_record"] / 2**30,
        "sessions_mib": agents * costs["kib_per_session"] / 1024,
        "mib_per_replica": costs["mib_per_replica"] + agents * costs["kib_per_session"] / 1024 / replicas,
    }


def simulate(costs, planned, seconds=30, seed=1):
    """Agents call at random, the balancer takes replicas in turn, and each core of a replica serves one call after the other.

    Gives how long calls wait and take, in milliseconds, without the tool itself, and how busy the replicas are."""
    rng = random.Random(seed)
    of = costs["assumed"]
    cores = of["cores_per_replica"]
    free_at = [[0.0] * cores for _ in range(planned["replicas"])]
    service = costs["cpu_ms_per_call"]["replica"] / 1e3
    commit = costs["commit_ms"] / 1e3
    took, busy, turn, now = [], 0.0, 0, 0.0
    while True:
        now += rng.expovariate(planned["peak_calls_per_second"])
        if now > seconds:
            break
        replica = free_at[turn]
        turn = (turn + 1) % len(free_at)
        # Some calls carry more than others: half of the work is the same for all, the rest is spread.
        work = service * (0.5 + 0.5 * rng.expovariate(1.0))
        start = max(now, heapq.heappop(replica))
        heapq.heappush(replica, start + work)
        took.append((start + work - now + commit) * 1e3)
        busy += work
    took.sort()
    return {
        "calls": len(took),
        "p50_ms": statistics.median(took) if took else 0.0,
        "p99_ms": took[int(len(took) * 0.99)] if took else 0.0,
        "busy": busy / (seconds * cores * planned["replicas"]),
    }


def number(value):
    if value >= 1e6:
        return f"{value / 1e6:,.1f} million"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.0f}"


ROWS = [
    ("calls/s, on average", lambda plan, _: number(plan["calls_per_second"])),
    ("calls/s, at the peak", lambda plan, _: number(plan["peak_calls_per_second"])),
    ("cores of replicas, at the peak", lambda plan, _: number(plan["replica_cores"])),
    ("replicas", lambda plan, _: number(plan["replicas"])),
    ("cores of PostgreSQL", lambda plan, _: number(plan["database_cores"]) if plan["replicas"] > 1 else "–"),
    ("cores of Valkey", lambda plan, _: number(plan["shared_cores"]) if plan["replicas"] > 1 else "–"),
    ("cores of the balancer", lambda plan, _: number(plan["balancer_cores"]) if plan["replicas"] > 1 else "–"),
    ("connections to PostgreSQL", lambda plan, _: number(plan["database_connections"]) if plan["replicas"] > 1 else "–"),
    ("records a day", lambda plan, _: number(plan["records_per_day"])),
    ("GiB of records a day", lambda plan, _: number(plan["gib_per_day"])),
    ("MiB of each replica, sessions included", lambda plan, _: number(plan["mib_per_replica"])),
    ("simulated: replicas are busy", lambda _, run: f"{run['busy'] * 100:.0f} %"),
    ("simulated: p50 / p99 of what a call takes here, ms", lambda _, run: f"{run['p50_ms']:.1f} / {run['p99_ms']:.1f}"),
]


def main():
    file = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "costs.json"
    costs = json.loads(file.read_text())
    plans = [plan(costs, agents) for agents in AGENTS]
    runs = [simulate(costs, planned) for planned in plans]
    print("| agents at work at once | " + " | ".join(f"{agents:,}" for agents in AGENTS) + " |")
    print("|---|" + "---:|" * len(AGENTS))
    for title, cell in ROWS:
        print(f"| {title} | " + " | ".join(cell(planned, run) for planned, run in zip(plans, runs)) + " |")


if __name__ == "__main__":
    main()
