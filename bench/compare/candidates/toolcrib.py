"""Toolcrib as it comes, open to loopback: no tokens, no rules, records of calls in memory."""

NAME, LABEL = "toolcrib", "Toolcrib, policies off"
JOBS = {name: ("modern", "legacy") for name in ("tool", "http", "stdio", "list", "big")}
GROWTH = ("tools", "list", "upstreams", "payload")
SESSIONS = True
PROGRAM = "toolcrib"


def config(setting):
    def server(upstream):
        at = {"url": upstream["url"]} if "url" in upstream else {"command": upstream["command"][0], "args": upstream["command"][1:]}
        return {"name": upstream["name"], **at}

    return {
        "mcpServers": [server(upstream) for upstream in setting.upstreams],
        "dataFolder": str(setting.folder / "data"),
        "audit": {"enabled": False},
        # As many at once as the load has connections.
        "claude": {"mcp": {"maxConcurrentTools": 512}},
        # And no bound on what the others pass on without one.
        "limits": {"maxMessageBytes": 16 << 20, "maxOutputBytes": 16 << 20},
    }


def command(setting, written):
    program = "echo" if setting.job.name == "tool" else "toolcrib"
    return [setting.programs[program], "serve", "--quiet", "--config", setting.write("config.yaml", written), "--listen", f"127.0.0.1:{setting.port}"]


def launch(setting):
    return {"command": command(setting, config(setting))}
