"""FastMCP: a server of its own, and as a gateway the proxy that its documentation recommends."""

import pathlib

NAME, LABEL = "fastmcp", "FastMCP 4.1"
JOBS = {name: ("modern", "legacy") for name in ("tool", "http", "stdio", "list")}
GROWTH = ()
PROGRAM = "python"
PLACE = pathlib.Path(__file__).parents[2] / "fixtures" / "python"


def launch(setting):
    python = setting.programs["python"]
    if setting.job.name == "tool":
        return {"command": [python, str(PLACE / "fastmcp_server.py"), str(setting.port)]}
    servers = {
        upstream["name"]: {"url": upstream["url"]} if "url" in upstream else {"command": upstream["command"][0], "args": upstream["command"][1:]}
        for upstream in setting.upstreams
    }
    return {"command": [python, str(PLACE / "fastmcp_gateway.py"), str(setting.port), setting.write("servers.json", servers)]}
