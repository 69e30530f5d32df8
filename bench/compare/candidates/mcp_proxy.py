"""mcp-proxy: a server on standard input and output, offered over HTTP. It knows sessions only."""

NAME, LABEL = "mcp-proxy", "mcp-proxy 0.13"
JOBS = {"stdio": ("legacy",)}
GROWTH = ()
PROGRAM = "mcp-proxy"


def launch(setting):
    options = ["--host", "127.0.0.1", "--port", str(setting.port), "--log-level", "ERROR", "--"]
    return {"command": [setting.programs["mcp-proxy"], *options, *setting.upstreams[0]["command"]]}
