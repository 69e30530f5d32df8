"""agentgateway, if its program is on the PATH or AGENTGATEWAY says where it is: it installs from no registry, and is built from its source."""

NAME, LABEL = "agentgateway", "agentgateway"
JOBS = {name: ("modern", "legacy") for name in ("http", "stdio", "list", "big")}
GROWTH = ("tools", "list", "upstreams", "payload")
PROGRAM = "agentgateway"


def launch(setting):
    targets = [
        {"name": upstream["name"], "mcp": {"host": upstream["url"]}} if "url" in upstream
        else {"name": upstream["name"], "stdio": {"cmd": upstream["command"][0], "args": upstream["command"][1:]}}
        for upstream in setting.upstreams
    ]
    config = {"binds": [{"port": setting.port, "listeners": [{"routes": [{"backends": [{"mcp": {"targets": targets}}]}]}]}]}
    return {"command": [setting.programs["agentgateway"], "-f", setting.write("config.yaml", config)], "env": {"RUST_LOG": "error"}}
