"""The official Python SDK, 2.x, as a client: lists and calls through Toolcrib, over HTTP or as a child, in either era. Asked for a name, it says Ada."""

import asyncio
import json
import sys

import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client


async def on_elicitation(_cx, _params):
    return types.ElicitResult(action="accept", content={"name": "Ada"})


async def main():
    target, calls = json.loads(sys.argv[1]), json.loads(sys.argv[2])
    if "url" in target:
        server = target["url"]
    else:
        server = stdio_client(StdioServerParameters(command=target["command"], args=target["args"]))
    async with Client(server, mode=target.get("mode", "auto"), elicitation_callback=on_elicitation) as client:
        # The tools of the servers behind Toolcrib arrive when those have started.
        tools = await client.list_tools()
        while "s__echo" not in [tool.name for tool in tools.tools]:
            await asyncio.sleep(0.05)
            tools = await client.list_tools()
        results = []
        for name, arguments in calls:
            result = await client.call_tool(name, arguments)
            results.append({"text": result.content[0].text, "isError": bool(result.is_error), "structured": result.structured_content})
        revision = str(client.protocol_version)
        print(json.dumps({"revision": revision, "tools": [tool.name for tool in tools.tools], "results": results}))


asyncio.run(main())
