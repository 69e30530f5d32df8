"""A server on the official Python SDK."""

import pathlib

NAME, LABEL = "sdk-python", "mcp 2.3 (official Python SDK)"
JOBS = {"tool": ("modern", "legacy")}
GROWTH = ()
PROGRAM = "python"
SERVER = pathlib.Path(__file__).parents[2] / "fixtures" / "python" / "sdk_server.py"


def launch(setting):
    return {"command": [setting.programs["python"], str(SERVER), str(setting.port)]}
