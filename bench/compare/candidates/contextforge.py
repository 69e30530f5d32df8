"""ContextForge with one worker and SQLite, as its package starts. It learns of servers by REST once it runs, and knows no clients of 2026-07-28.

What differs from its defaults: sessions are kept (USE_STATEFUL_SESSIONS), as the other candidates keep theirs; its cache is in memory; servers on
loopback are permitted; and whatever it guards itself with is switched off, as it is for the others: tokens, limits of rate, plugins, the admin pages.
"""

import json
import urllib.request

NAME, LABEL = "contextforge", "ContextForge 1.0.7"
JOBS = {name: ("legacy",) for name in ("http", "list", "big")}
GROWTH = ()
PROGRAM = "contextforge"
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def launch(setting):
    env = {
        "DATABASE_URL": f"sqlite:///{setting.folder}/contextforge.db",
        "CACHE_TYPE": "memory",
        "USE_STATEFUL_SESSIONS": "true",
        "LOG_LEVEL": "ERROR",
        "ENVIRONMENT": "development",
        "SSRF_ALLOW_LOCALHOST": "true",
        "SSRF_ALLOW_PRIVATE_NETWORKS": "true",
        "JWT_SECRET_KEY": "of-a-bench-only-3fJ9vK2mQx7Lr8Tn5Wc1",
        "AUTH_ENCRYPTION_SECRET": "of-a-bench-only-8Rk2pWz6Yq4Hs9Bd7Nv3",
    }
    env |= dict.fromkeys(("AUTH_REQUIRED", "MCP_REQUIRE_AUTH", "RATE_LIMITING_ENABLED", "PLUGINS_ENABLED"), "false")
    env |= dict.fromkeys(("MCPGATEWAY_UI_ENABLED", "MCPGATEWAY_ADMIN_API_ENABLED"), "false")
    env["ALLOW_UNAUTHENTICATED_ADMIN"] = "true"
    options = ["--host", "127.0.0.1", "--port", str(setting.port), "--no-access-log", "--log-level", "error"]
    return {"command": [setting.programs["contextforge"], *options], "env": env}


def settle(setting):
    for upstream in setting.upstreams:
        body = json.dumps({"name": upstream["name"], "url": upstream["url"], "transport": "STREAMABLEHTTP"}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{setting.port}/gateways", body, {"Content-Type": "application/json"})
        with DIRECTLY.open(request, timeout=60) as answer:
            answer.read()
