"""Toolcrib with everything on: a token (JWT, HS256), rules, and an audit log in which each call is on disk before its answer leaves."""

import base64
import hashlib
import hmac
import json
import time

from . import toolcrib

NAME, LABEL = "toolcrib-guarded", "Toolcrib: JWT, access, audit (durability: reply)"
JOBS = {name: ("modern", "legacy") for name in ("tool", "http", "stdio")}
GROWTH = ()
PROGRAM = "toolcrib"
SECRET = b"of-a-bench-only-3fJ9vK2mQx7Lr8Tn5Wc1"


def token():
    def encoded(part):
        return base64.urlsafe_b64encode(part).rstrip(b"=")

    now = int(time.time())
    claims = {"iss": "bench", "aud": "toolcrib", "sub": "ann", "roles": ["user"], "iat": now, "exp": now + 86400}
    text = encoded(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + b"." + encoded(json.dumps(claims).encode())
    return (text + b"." + encoded(hmac.new(SECRET, text, hashlib.sha256).digest())).decode()


def guarded(setting, audit):
    written = toolcrib.config(setting) | {
        "audit": audit,
        "auth": {"jwt": {"issuer": "bench", "audience": "toolcrib", "algorithms": ["HS256"], "secret": SECRET.decode()}},
        "access": {"rules": [{"roles": ["admin"], "allow": ["*"]}, {"roles": ["user"], "allow": ["*echo", "up*"]}]},
    }
    return {"command": toolcrib.command(setting, written), "headers": {"Authorization": f"Bearer {token()}"}}


def launch(setting):
    return guarded(setting, {"durability": "reply"})
