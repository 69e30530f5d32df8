"""As much of an MCP client as it takes to check answers and to write requests for the load generator, in both eras."""

import http.client
import json
from urllib.parse import urlsplit

MODERN, LEGACY = "2026-07-28", "2025-11-25"
ERAS = ("modern", "legacy")
INFO = {"name": "toolcrib-bench", "version": "1"}
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": INFO,
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Wrong(Exception):
    """An answer that is not what it should be."""


class Client:
    def __init__(self, url, era, headers=None):
        self.url, self.era, self.own = urlsplit(url), era, dict(headers or {})
        self.session = None
        self.connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=60)
        self.number = 0

    def headers(self, method, name=None):
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **self.own}
        if self.era == "modern":
            headers |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
            if name:
                headers["Mcp-Name"] = name
        elif method != "initialize":
            headers["MCP-Protocol-Version"] = LEGACY
            if self.session:
                headers["Mcp-Session-Id"] = self.session
        return headers

    def body(self, method, params, number):
        if self.era == "modern":
            params = {**params, "_meta": META}
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        return message if number is None else {**message, "id": number}

    def ask(self, method, params=None, is_request=True):
        params = params or {}
        self.number += 1
        number = self.number if is_request else None
        headers = self.headers(method, params.get("name"))
        try:
            reply = self.exchange(json.dumps(self.body(method, params, number)), headers)
            self.session = self.session or reply.getheader("mcp-session-id")
            text = reply.read()
        except Exception:
            self.connection.close()
            raise
        self.answer_bytes = len(text)
        if reply.status // 100 != 2:
            raise Wrong(f"{method}: {reply.status} {text[:200]!r}")
        if not is_request:
            return None
        if "event-stream" in (reply.getheader("content-type") or ""):
            answers = [json.loads(line[5:]) for line in text.splitlines() if line.startswith(b"data:") and line[5:].strip()]
        else:
            answers = [json.loads(text)]
        for answer in answers:
            if answer.get("id") == number and "result" in answer:
                return answer["result"]
        raise Wrong(f"{method}: {text[:200]!r}")

    def exchange(self, body, headers):
        """Servers close connections on which nothing was asked for a while: then it is asked on another."""
        for is_last in (False, True):
            try:
                self.connection.request("POST", self.url.path, body, headers)
                return self.connection.getresponse()
            except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
                self.connection.close()
                if is_last:
                    raise

    def open(self):
        if self.era == "legacy":
            self.ask("initialize", {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": INFO})
            self.ask("notifications/initialized", is_request=False)
        return self

    def tools(self):
        tools, cursor = [], None
        while True:
            page = self.ask("tools/list", {"cursor": cursor} if cursor else {})
            tools += page["tools"]
            cursor = page.get("nextCursor")
            if not cursor:
                return tools

    def find(self, name):
        """What the candidate calls this tool: gateways put something in front."""
        names = [tool["name"] for tool in self.tools()]
        for candidate in names:
            if candidate == name or (candidate.endswith(name) and not candidate[-len(name) - 1].isalnum()):
                return candidate
        raise Wrong(f"no tool {name} among {len(names)}: {names[:5]}")

    def call(self, tool, arguments):
        result = self.ask("tools/call", {"name": tool, "arguments": arguments})
        if result.get("isError"):
            raise Wrong(f"{tool}: {str(result)[:200]}")
        return "".join(part.get("text", "") for part in result["content"])

    def as_load(self, method, params):
        """The same request for the load generator."""
        body = json.dumps(self.body(method, params, "@ID@")).replace('"@ID@"', "@ID@")
        length = len(body.encode()) - len("@ID@") + 10
        lines = [f"POST {self.url.path} HTTP/1.1", f"Host: {self.url.netloc}"]
        lines += [f"{name}: {value}" for name, value in self.headers(method, params.get("name")).items()]
        return "\r\n".join([*lines, f"Content-Length: {length}", "", body])
