#!/usr/bin/env python3
"""Runs Toolcrib for a while with servers that crash, hang, swell and are killed, and a config that changes, and looks at what is left.

soak.py TOOLCRIB [--minutes 10] [--seed N]

A line every ten seconds: calls, faults that were staged, failures by cause, memory and processes. It fails if a server that has done nothing wrong ever
fails a call, if processes are left, if memory grows without end, or if the audit log does not verify.
"""

import argparse
import collections
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

SCRIPTED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers", "scripted.py")
CALLERS = 8
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "soak", "version": "1"}}


class Soak:
    def __init__(self, toolcrib, rng):
        self.toolcrib, self.rng = toolcrib, rng
        self.folder = tempfile.mkdtemp(prefix="toolcrib-soak-")
        self.calls, self.faults = collections.Counter(), collections.Counter()
        self.causes, self.wrong = collections.Counter(), []
        self.lock, self.is_over = threading.Lock(), threading.Event()
        self.flavour = 0
        self.configure()
        self.log = open(os.path.join(self.folder, "log"), "w+")
        command = [toolcrib, "serve", "--listen", "127.0.0.1:0", "--config", self.config]
        self.process = subprocess.Popen(command, stderr=self.log, cwd=self.folder)
        self.url = self.wait_for(lambda: re.search(r"serves MCP at (\S+)", self.said()), "it to listen").group(1)
        self.wait_for(lambda: self.get("/readyz") == 200, "it to be ready")

    def configure(self):
        """A sound server, two that misbehave, and one that each reload makes another of."""
        self.config = os.path.join(self.folder, "mcp-config.yaml")
        child = lambda *flags, **more: {"command": sys.executable, "args": [SCRIPTED, *flags], **more}
        servers = {
            "sound": child(),
            "bad": child(timeout=2, startTimeout=3, limits={"memoryMiB": 200}),
            "worse": child("--modern", "--stubborn", timeout=2, startTimeout=3, limits={"memoryMiB": 200}),
            "changing": child(env={"FLAVOUR": str(self.flavour)}),
            "alone": child(sharing="perSession"),
        }
        beside = self.config + ".new"
        with open(beside, "w") as file:
            json.dump({"dataFolder": "data", "mcpServers": servers, "resilience": {"breaker": {"failures": 5, "recovery": 3}}}, file)
        os.replace(beside, self.config)

    def said(self):
        self.log.flush()
        with open(self.log.name) as log:
            return log.read()

    def wait_for(self, ask, what, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := ask():
                return found
            time.sleep(0.05)
        raise SystemExit(f"waited in vain for {what}:\n{self.said()[-4000:]}")

    def get(self, path):
        try:
            return urllib.request.urlopen(self.url.replace("/mcp", path), timeout=5).status
        except urllib.error.HTTPError as error:
            return error.code

    def call(self, tool, arguments, timeout=60):
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments, "_meta": META}}
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream",
                   "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": tool}
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
        try:
            answer = json.load(urllib.request.urlopen(request, timeout=timeout))
        except urllib.error.HTTPError as error:
            answer = json.load(error)
        if "error" in answer:
            return False, answer["error"]["message"]
        text = answer["result"]["content"][0]["text"]
        return not answer["result"].get("isError"), text

    # What runs all the time.

    def use(self):
        """A caller: mostly of the sound server and of our own tools, now and then of the others."""
        rng = random.Random(self.rng.random())
        while not self.is_over.is_set():
            kind = rng.choices(["sound", "own", "changing", "bad", "worse"], [5, 3, 3, 1, 1])[0]
            word = str(rng.randrange(10**6))
            try:
                if kind == "own":
                    good, text = self.call("calculator", {"expression": f"{word}+1"})
                    expected = str(int(word) + 1)
                else:
                    good, text = self.call(f"{kind}__echo", {"text": word})
                    expected = word
            except OSError as error:
                good, text, expected = False, f"the connection failed: {error}", None
            with self.lock:
                self.calls[kind] += 1
                if not good:
                    self.causes[f"{kind}: {cause(text)}"] += 1
                if kind in ("sound", "own", "changing") and (not good or expected not in text):
                    self.wrong.append(f"{kind}: {text[:300]}")

    def trouble(self):
        """Stages one fault after the other."""
        while not self.is_over.wait(self.rng.uniform(0.1, 0.6)):
            fault = self.rng.choice(["die", "hang", "freeze", "flood", "swell", "spawn", "kill", "mute", "deaf", "storm", "reload", "session", "leave"])
            with self.lock:
                self.faults[fault] += 1
            try:
                self.stage(fault)
            except OSError:
                pass  # It may have taken the connection along; the callers see to whether that was right.

    def stage(self, fault):
        server = self.rng.choice(["bad", "worse"])
        if fault == "kill":
            good, pid = self.call(f"{server}__pid", {})
            if good:
                os.kill(int(pid), signal.SIGKILL)
        elif fault == "reload":
            self.flavour += 1
            self.configure()
            self.process.send_signal(signal.SIGHUP)
        elif fault == "session":
            self.come_and_go()
        elif fault == "leave":
            try:
                self.call(f"{server}__hang", {}, timeout=0.2)
            except OSError:
                pass  # That is what was meant: we have left.
        else:
            self.call(f"{server}__{fault}", {})

    def come_and_go(self):
        """A legacy client, whose session has a child of its own; sometimes it does not say goodbye."""
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {},
                 "clientInfo": {"name": "soak", "version": "1"}}}
        reply = urllib.request.urlopen(urllib.request.Request(self.url, json.dumps(hello).encode(), headers), timeout=10)
        headers["mcp-session-id"] = reply.headers["mcp-session-id"]
        headers["mcp-protocol-version"] = "2025-11-25"
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "alone__spawn", "arguments": {}}}
        urllib.request.urlopen(urllib.request.Request(self.url, json.dumps(call).encode(), headers), timeout=30).read()
        if self.rng.random() < 0.8:
            urllib.request.urlopen(urllib.request.Request(self.url, headers=headers, method="DELETE"), timeout=10)

    # What is looked at.

    def family(self):
        """The processes that we have started, directly or not, by their groups."""
        found = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    line = file.read().decode(errors="replace")
            except OSError:
                continue  # Gone meanwhile.
            if SCRIPTED in line or "signal.SIG_IGN" in line:
                found[int(entry)] = line
        return found

    def resident_mib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) // 1024

    def report(self, started):
        with self.lock:
            line = (f"{time.monotonic() - started:6.0f} s  calls {sum(self.calls.values()):7}  faults {sum(self.faults.values()):5}  "
                    f"failures {sum(self.causes.values()):5}  wrong {len(self.wrong)}  memory {self.resident_mib():4} MiB  processes {len(self.family()):3}")
        print(line, flush=True)

    def run(self, minutes):
        started = time.monotonic()
        threads = [threading.Thread(target=self.use) for _ in range(CALLERS)] + [threading.Thread(target=self.trouble)]
        [thread.start() for thread in threads]
        memory = []
        while time.monotonic() - started < minutes * 60 and self.process.poll() is None:
            time.sleep(min(10, minutes * 60))
            if self.process.poll() is None:
                memory.append(self.resident_mib())
                self.report(started)
        self.is_over.set()
        [thread.join() for thread in threads]
        return self.judge(memory)

    def judge(self, memory):
        print("\nfaults:", json.dumps(self.faults, sort_keys=True))
        print("failures:", json.dumps(self.causes, indent=2, sort_keys=True))
        verdicts = []
        if self.process.poll() is not None:
            verdicts.append(f"Toolcrib ended with {self.process.returncode}")
        if self.wrong:
            verdicts.append(f"{len(self.wrong)} calls went wrong that had no reason to, such as: {self.wrong[0]}")
        half = len(memory) // 2
        if half > 3 and min(memory[-3:]) > 2 * max(memory[:half]) + 32:
            verdicts.append(f"memory grew from {max(memory[:half])} to {min(memory[-3:])} MiB")
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(60) != 0:
            verdicts.append(f"it did not end well: {self.process.returncode}")
        deadline = time.monotonic() + 10
        while self.family() and time.monotonic() < deadline:
            time.sleep(0.1)
        if self.family():
            verdicts.append(f"processes are left: {self.family()}")
        verified = subprocess.run([self.toolcrib, "audit", "verify", "--config", self.config], capture_output=True, text=True)
        if verified.returncode != 0:
            verdicts.append(f"the audit log: {verified.stdout}{verified.stderr}")
        for verdict in verdicts:
            print("FAILED:", verdict)
        if verdicts:
            print("the log is", self.log.name)
        else:
            print(f"well: {sum(self.calls.values())} calls, {sum(self.faults.values())} faults, nothing left behind; {verified.stdout.strip()}")
        return not verdicts


def cause(text):
    """The kind of a failure, without what differs from call to call."""
    known = ["the outcome is unknown", "no answer within the deadline", "is left alone for a while", "has not connected", "is not available",
             "overloaded", "unknown tool", "the connection failed"]
    return next((words for words in known if words in text), text[:60])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("toolcrib")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    soak = Soak(os.path.abspath(arguments.toolcrib), random.Random(arguments.seed))
    sys.exit(0 if soak.run(arguments.minutes) else 1)


main()
