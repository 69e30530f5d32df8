"""A server on the official TypeScript SDK. The handler that serves both eras answers the old one without sessions, which is another job."""

NAME, LABEL = "sdk-typescript", "@modelcontextprotocol/server 2.4 (official TypeScript SDK)"
JOBS = {"tool": ("modern",)}
GROWTH = ()
PROGRAM = "node-peers"


def launch(setting):
    return {"command": [setting.programs["node"], setting.programs["node-peers"] + "/server.mjs", str(setting.port)], "env": {"NODE_ENV": "production"}}
