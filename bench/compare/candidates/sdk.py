"""A server on rmcp, the official SDK for Rust."""

NAME, LABEL = "sdk-rust", "rmcp 3.11 (official Rust SDK)"
JOBS = {"tool": ("modern", "legacy"), "list": ("modern", "legacy")}
GROWTH = ()
SESSIONS = True
PROGRAM = "sdk"


def launch(setting):
    tools = 500 if setting.job.name == "list" else 2
    return {"command": [setting.programs["sdk"], "--listen", f"127.0.0.1:{setting.port}", "--tools", str(tools)]}
