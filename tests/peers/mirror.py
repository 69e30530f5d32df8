"""A server for tests that gives back what it gets: the result of a call, a read or a prompt is the text of its parameters, byte for byte.

mirror.py stdio | http PORT, with --modern for 2026-07-28, legacy otherwise. Its lists are the files tools.json,
resources.json, templates.json and prompts.json of the folder that MIRROR names, byte for byte as well.
"""

import http.server
import json
import os
import sys

MODERN = "--modern" in sys.argv
LISTS = {
    "tools/list": ("tools", "tools"),
    "resources/list": ("resources", "resources"),
    "resources/templates/list": ("resourceTemplates", "templates"),
    "prompts/list": ("prompts", "prompts"),
}
CAPABILITIES = {"tools": {}, "resources": {}, "prompts": {}}


def complete(members):
    """A result with these members, as text."""
    return '{"resultType":"complete",' + members if MODERN else "{" + members


def result(line, message):
    method = message["method"]
    if method == "initialize" and not MODERN:
        return json.dumps({"protocolVersion": "2025-06-18", "capabilities": CAPABILITIES, "serverInfo": {"name": "mirror", "version": "1"}})
    if method == "server/discover" and MODERN:
        known = {"supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES, "ttlMs": 0, "cacheScope": "private"}
        return complete(json.dumps(known)[1:])
    if method in LISTS:
        key, file = LISTS[method]
        with open(os.path.join(os.environ["MIRROR"], file + ".json"), encoding="utf-8", newline="") as items:
            return complete(f'"{key}":{items.read()}}}')
    if method in ("tools/call", "resources/read", "prompts/get"):
        # Whoever sends it writes the parameters last.
        return complete(line[line.index('"params":') + 10 : -1])
    return None


def answer(line):
    message = json.loads(line)
    if "id" not in message:
        return None
    head = f'{{"jsonrpc":"2.0","id":{json.dumps(message["id"])},'
    found = result(line, message)
    return head + (f'"result":{found}}}' if found else '"error":{"code":-32601,"message":"unknown"}}')


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Small answers leave at once.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_POST(self):
        said = answer(self.rfile.read(int(self.headers["content-length"])).decode())
        body = (said or "").encode()
        self.send_response(200 if said else 202)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def do_GET(self):
        self.send_response(405)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


if sys.argv[1] == "http":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
else:
    for arrived in sys.stdin.buffer:
        said = answer(arrived.decode().rstrip("\n"))
        if said:
            sys.stdout.buffer.write(said.encode() + b"\n")
            sys.stdout.buffer.flush()
