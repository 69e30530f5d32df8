"""One candidate, one job, one era: start it, see that it answers rightly, put load on it, and see that it still does."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time

import jobs
from client import Client, Wrong
from processes import Process, busy_seconds

LOAD = pathlib.Path(__file__).with_name("load.lua")
WARM_UP_SECONDS = 1
PATIENCE_SECONDS = 60


class Bench:
    def __init__(self, programs, load_cpus, candidate_cpus, seconds):
        self.programs, self.load_cpus, self.candidate_cpus, self.seconds = programs, load_cpus, candidate_cpus, seconds
        self.next_id = 1_000_000_000

    def run(self, candidate, job, era):
        folder = tempfile.mkdtemp(prefix=f"toolcrib-bench-{candidate.NAME}-")
        record = {"candidate": candidate.NAME, "label": candidate.LABEL, "job": job.name, "era": era, "cells": []}
        processes = []
        try:
            self._run(candidate, job, era, folder, record, processes)
        except (Wrong, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            words = processes[-1].last_words() if processes else ""
            record["failed"] = f"{type(error).__name__}: {error}"
            record["log"] = words
        finally:
            for process in reversed(processes):
                process.stop()
            shutil.rmtree(folder, ignore_errors=True)
        return record

    def _run(self, candidate, job, era, folder, record, processes):
        setting = jobs.Setting(job, self.programs, folder)
        upstreams = []
        for upstream in setting.upstreams:
            if "url" in upstream:
                upstreams.append(Process(upstream["command"], folder, self.load_cpus))
                processes.append(upstreams[-1])
                wait_for_port(upstream["port"])
        launch = candidate.launch(setting)
        url, headers = launch.get("url", setting.url), launch.get("headers", {})
        if "command" in launch:
            process = Process(launch["command"], folder, self.candidate_cpus, launch.get("env"), apart=self.programs["sdk"])
            processes.append(process)
            if hasattr(candidate, "settle"):
                wait_for_port(setting.port)
                candidate.settle(setting)
        else:
            # Without a gateway the upstream is what is measured.
            process, upstreams = upstreams[0], []
        client, tool = first_answer(process, url, era, headers, job)
        record["start_seconds"] = time.monotonic() - process.began
        check(client, job, tool)
        if job.tool == "echo":
            check_together(url, era, headers, client, tool)
        record["answer_bytes"] = client.answer_bytes
        time.sleep(0.3)
        record["idle_mib"] = process.memory_mib()
        params = {"name": tool, "arguments": job.arguments} if job.tool else {}
        request = setting.write("request", client.as_load(job.method, params))
        warmed = self.load(url, request, 4, WARM_UP_SECONDS)
        each = warmed["bytes"] / max(1, warmed["calls"])
        for connections in job.connections:
            cell = self._cell(url, request, connections, process, upstreams)
            check(client, job, tool)
            # Right answers are all of one length: a refusal under load that calls itself a success is found out by that.
            if warmed["calls"] > 100 and abs(cell.pop("bytes") / max(1, cell["calls"]) - each) > 0.02 * each:
                raise Wrong(f"at {connections} connections answers were of another length than at 4")
            record["cells"].append(cell)

    def _cell(self, url, request, connections, process, upstreams):
        def spent():
            return process.cpu_seconds(), process.apart_cpu_seconds() + sum(upstream.cpu_seconds() for upstream in upstreams)

        peak, is_over = [process.memory_mib()], threading.Event()

        def watch():
            while not is_over.wait(0.2):
                peak.append(process.memory_mib())

        watching = threading.Thread(target=watch)
        watching.start()
        before, busy, mine = spent(), busy_seconds(), os.times()
        try:
            told = self.load(url, request, connections, self.seconds)
            after, busy_now, mine_now = spent(), busy_seconds(), os.times()
        finally:
            is_over.set()
            watching.join()
        if not told["calls"]:
            raise Wrong(f"not one answer at {connections} connections within {self.seconds} s")
        own, relayed = after[0] - before[0], after[1] - before[1]
        ours = own + relayed + sum(mine_now[:4]) - sum(mine[:4])
        calls = told["calls"]
        return {
            "bytes": told["bytes"],
            "connections": connections,
            "calls": told["calls"],
            "failed": told["failed"],
            "per_second": told["calls"] / (told["us"] / 1e6),
            "p50_ms": told["p50"] / 1e3,
            "p90_ms": told["p90"] / 1e3,
            "p99_ms": told["p99"] / 1e3,
            "cpu_ms": own / calls * 1e3,
            "upstream_cpu_ms": relayed / calls * 1e3,
            "memory_mib": max(peak),
            # What others did on this machine meanwhile, in processors.
            "foreign": max(0.0, busy_now - busy - ours) / (told["us"] / 1e6),
        }

    def load(self, url, request, connections, seconds):
        env = {**os.environ, "TOOLCRIB_BENCH_REQUEST": request, "TOOLCRIB_BENCH_FIRST_ID": str(self.next_id)}
        self.next_id += 10_000_000
        command = [self.programs["wrk"], "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(LOAD), url]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds + PATIENCE_SECONDS,
                              preexec_fn=lambda: os.sched_setaffinity(0, self.load_cpus))
        for line in done.stdout.splitlines():
            if line.startswith("@"):
                return json.loads(line[1:])
        raise Wrong(f"wrk: {done.stdout[-200:]} {done.stderr[-200:]}")


def wait_for_port(port):
    import socket

    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.005)


def first_answer(process, url, era, headers, job):
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            client = Client(url, era, headers).open()
            tool = client.find(job.tool) if job.tool else None
            check(client, job, tool)
            return client, tool
        except (Wrong, OSError, ValueError) as error:
            if process.has_ended():
                raise Wrong(f"it has ended: {process.last_words()}") from error
            if time.monotonic() > end:
                raise Wrong(f"no right answer within {PATIENCE_SECONDS} s: {error}") from error
            time.sleep(0.005)


def check(client, job, tool):
    if not tool:
        tools = client.tools()
        expected = job.upstreams * job.tools
        if len(tools) < expected:
            raise Wrong(f"{len(tools)} tools instead of {expected}")
        return
    got = client.call(tool, job.arguments)
    if got != job.expected:
        raise Wrong(f"{tool} gave {got[:80]!r}")


def check_together(url, era, headers, of, tool):
    """Several at once, each with a text of its own, on one session: nobody gets the answer of another."""
    wrong = []

    def call(number):
        client = Client(url, era, headers)
        client.session, client.number = of.session, 1000 * (number + 1)
        try:
            for round_ in range(10):
                text = f"caller {number} in round {round_}"
                if (got := client.call(tool, {"text": text})) != text:
                    wrong.append(f"{text!r}: {got[:80]!r}")
        except Exception as error:
            wrong.append(str(error))

    callers = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    if wrong:
        raise Wrong(wrong[0])


def idle_sessions(bench, candidate, number=1000):
    """What a session costs that does nothing: memory, and processor time while nothing is asked."""
    folder = tempfile.mkdtemp(prefix=f"toolcrib-bench-{candidate.NAME}-")
    setting = jobs.Setting(next(job for job in jobs.JOBS if job.name == "tool"), bench.programs, folder)
    launch = candidate.launch(setting)
    process = Process(launch["command"], folder, bench.candidate_cpus)
    try:
        first_answer(process, setting.url, "legacy", {}, setting.job)
        before = process.memory_mib()
        began, cpu = time.monotonic(), process.cpu_seconds()
        clients = [Client(setting.url, "legacy").open() for _ in range(number)]
        opening_ms = (process.cpu_seconds() - cpu) / number * 1e3
        for client in clients:
            client.connection.close()
        time.sleep(1)
        cpu = process.cpu_seconds()
        time.sleep(3)
        return {"candidate": candidate.NAME, "label": candidate.LABEL, "sessions": number, "kib_each": (process.memory_mib() - before) * 1024 / number,
                "opening_cpu_ms": opening_ms, "idle_cpu_percent": (process.cpu_seconds() - cpu) / 3 * 100, "seconds": time.monotonic() - began}
    except (Wrong, OSError, ValueError) as error:
        return {"candidate": candidate.NAME, "label": candidate.LABEL, "failed": str(error)}
    finally:
        process.stop()
        shutil.rmtree(folder, ignore_errors=True)
