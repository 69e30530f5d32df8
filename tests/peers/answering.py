"""The official Python SDK 2.x as a client that answers every question with its defaults: calls every tool of the server at
the URL that comes last, behind Toolcrib, once.

answering.py TOOLCRIB URL, as the conformance suite starts its clients.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile

import mcp_types as types
from mcp import Client

OWN = ("analyze_text", "api_client", "calculator", "database_query", "describe_database", "weather_api", "web_scraper")


async def on_elicitation(_cx, params):
    properties = params.requested_schema.get("properties", {})
    content = {name: schema["default"] for name, schema in properties.items() if "default" in schema}
    for name in params.requested_schema.get("required", []):
        content.setdefault(name, True if properties[name].get("type") == "boolean" else "sample")
    return types.ElicitResult(action="accept", content=content)


async def on_sampling(_cx, _params):
    return types.CreateMessageResult(role="assistant", model="m", stop_reason="endTurn", content=types.TextContent(type="text", text="words"))


async def on_roots(_cx):
    return types.ListRootsResult(roots=[])


async def main(url):
    mode = "auto" if os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION") == "2026-07-28" else "legacy"
    callbacks = {"elicitation_callback": on_elicitation, "sampling_callback": on_sampling, "list_roots_callback": on_roots}
    async with Client(url, mode=mode, cache=None, **callbacks) as client:
        tools = []
        while not tools:
            await asyncio.sleep(0.05)
            tools = [tool.name for tool in (await client.list_tools()).tools if tool.name not in OWN]
        for name in tools:
            print(name, await client.call_tool(name, {}), flush=True)


config = tempfile.NamedTemporaryFile("w", suffix=".yaml")
json.dump({"dataFolder": tempfile.mkdtemp(), "mcpServers": {"suite": {"url": sys.argv[2]}}, "claude": {"mcp": {"prefix": "never"}}}, config)
config.flush()
command = [sys.argv[1], "serve", "--listen", "127.0.0.1:0", "--config", config.name]
with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as serving:
    try:
        for line in serving.stderr:
            if "serves MCP at " in line:
                asyncio.run(main(line.split("serves MCP at ")[1].strip()))
                break
    finally:
        serving.terminate()
