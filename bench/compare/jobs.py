"""What candidates are asked to do."""

import dataclasses
import json
import pathlib

from processes import free_port

TEXT = "Of all that is called, this is the text that comes back."
MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Job:
    name: str
    title: str
    upstreams: int = 0
    tools: int = 2
    via: str = "http"
    tool: str | None = "echo"
    size: int = 0
    connections: tuple = (1, 16, 64, 256)

    @property
    def method(self):
        return "tools/call" if self.tool else "tools/list"

    @property
    def arguments(self):
        return {"bytes": self.size} if self.tool == "big" else {"text": TEXT}

    @property
    def expected(self):
        return "x" * self.size if self.tool == "big" else TEXT


JOBS = [
    Job("tool", "A tool that the candidate serves itself"),
    Job("http", "Relay to a server over HTTP", upstreams=1),
    Job("stdio", "Relay to a server over standard input and output", upstreams=1, via="stdio"),
    Job("list", "tools/list of 10 servers of 50 tools each", upstreams=10, tools=50, tool=None, connections=(1, 16, 64)),
    Job("big", "A result of 1 MiB, relayed over HTTP", upstreams=1, tool="big", size=MIB, connections=(1, 16)),
]

# The same, as one thing grows.
GROWTH = {
    "tools": [Job(f"tools-{number}", f"Relay, {number} tools", upstreams=1, tools=number, connections=(16,)) for number in (10, 100, 1000, 10_000)],
    "list": [Job(f"list-{number}", f"tools/list, {number} tools", upstreams=1, tools=number, tool=None, connections=(4,)) for number in (10, 100, 1000, 10_000)],
    "upstreams": [Job(f"upstreams-{number}", f"Relay, {number} servers", upstreams=number, connections=(16,)) for number in (1, 10, 100)],
    "payload": [Job(f"payload-{size}", f"Relay, a result of {size} bytes", upstreams=1, tool="big", size=size, connections=(4,))
                for size in (100, 1000, 10_000, 100_000, MIB, 10 * MIB)],
}


class Setting:
    """A job as a candidate sees it: where to listen, what to relay to, and a folder for its files."""

    def __init__(self, job, programs, folder):
        self.job, self.programs, self.folder = job, programs, pathlib.Path(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        self.upstreams = []
        for number in range(job.upstreams):
            port, name = free_port(), f"up{number}"
            arguments = ["--tools", str(job.tools)]
            if job.via == "http":
                listen = ["--listen", f"127.0.0.1:{port}"]
                self.upstreams.append({"name": name, "url": f"http://127.0.0.1:{port}/mcp", "port": port, "command": [programs["sdk"], *listen, *arguments]})
            else:
                self.upstreams.append({"name": name, "command": [programs["sdk"], *arguments]})

    def write(self, name, content):
        file = self.folder / name
        file.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
        return str(file)
