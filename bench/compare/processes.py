"""Processes under measurement: each on processors of its own, with what the operating system says of it and its children."""

import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def processors():
    """Those of load and upstreams, and those of the candidate."""
    all_of_them = sorted(os.sched_getaffinity(0))
    if len(all_of_them) < 2:
        raise SystemExit("bench: two processors are needed: one for the candidate, one for the load")
    return set(all_of_them[:-1]), {all_of_them[-1]}


def busy_seconds():
    """What all processors of the machine have done, in seconds."""
    fields = [int(field) for field in open("/proc/stat").readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICK


def _stat(pid):
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return {"parent": int(fields[1]), "ticks": int(fields[11]) + int(fields[12])}


def _family(root):
    """A process and all that it started."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _stat(entry)):
            children.setdefault(stat["parent"], []).append(int(entry))
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


class Process:
    """A command that runs. Children of the program `apart` are not counted as part of it."""

    def __init__(self, command, folder, cpus, env=None, apart=None):
        self.apart = apart
        self.log = pathlib.Path(folder) / f"{pathlib.Path(command[0]).name}-{time.monotonic_ns()}.log"

        def prepare():
            os.sched_setaffinity(0, cpus)
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)

        with open(self.log, "wb") as log:
            self.began = time.monotonic()
            self.child = subprocess.Popen(
                command, cwd=folder, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=prepare, start_new_session=True)

    def _own(self):
        def is_apart(pid):
            try:
                return self.apart.encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                return False

        return [pid for pid in _family(self.child.pid) if pid == self.child.pid or not (self.apart and is_apart(pid))]

    def cpu_seconds(self):
        return sum(stat["ticks"] for pid in self._own() if (stat := _stat(pid))) / TICK

    def apart_cpu_seconds(self):
        own = self._own()
        return sum(stat["ticks"] for pid in _family(self.child.pid) if pid not in own and (stat := _stat(pid))) / TICK

    def memory_mib(self):
        total = 0
        for pid in self._own():
            try:
                lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        return total / 1024

    def has_ended(self):
        return self.child.poll() is not None

    def last_words(self):
        return self.log.read_text(errors="replace")[-800:]

    def stop(self):
        family = _family(self.child.pid)
        self.child.terminate()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            pass
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.child.wait()
