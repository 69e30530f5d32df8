"""A handler that reads the envelope and formats an answer: what HTTP and JSON cost."""

NAME, LABEL = "bare", "bare axum handler (the limit)"
JOBS = {"tool": ("modern", "legacy"), "list": ("modern",)}
GROWTH = ()
PROGRAM = "bare"


def launch(setting):
    tools = 500 if setting.job.name == "list" else 2
    return {"command": [setting.programs["bare"], "--listen", f"127.0.0.1:{setting.port}", "--tools", str(tools)]}
