"""supergateway: a server on standard input and output, offered over HTTP. It knows sessions only, and starts a server for each."""

import shlex

NAME, LABEL = "supergateway", "supergateway 4.0"
JOBS = {"stdio": ("legacy",)}
GROWTH = ()
PROGRAM = "node-peers"


def launch(setting):
    program = setting.programs["node-peers"] + "/node_modules/supergateway/dist/index.js"
    server = shlex.join(setting.upstreams[0]["command"])
    options = ["--stdio", server, "--outputTransport", "streamableHttp", "--stateful", "--port", str(setting.port), "--logLevel", "none"]
    return {"command": [setting.programs["node"], program, *options], "env": {"NODE_ENV": "production"}}
