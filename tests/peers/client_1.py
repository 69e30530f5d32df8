"""The official Python SDK, 1.x, as a client: lists and calls through Toolcrib, over HTTP or as a child. Asked for a name, it says Ada."""

import asyncio
import json
import sys

from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client


async def on_elicitation(_cx, _params):
    return types.ElicitResult(action="accept", content={"name": "Ada"})


async def use(read, write, calls):
    async with ClientSession(read, write, elicitation_callback=on_elicitation) as session:
        hello = await session.initialize()
        # The tools of the servers behind Toolcrib arrive when those have started.
        tools = await session.list_tools()
        while "s__echo" not in [tool.name for tool in tools.tools]:
            await asyncio.sleep(0.05)
            tools = await session.list_tools()
        results = []
        for name, arguments in calls:
            result = await session.call_tool(name, arguments)
            results.append({"text": result.content[0].text, "isError": result.isError, "structured": result.structuredContent})
        print(json.dumps({"revision": hello.protocolVersion, "tools": [tool.name for tool in tools.tools], "results": results}))


async def main():
    target, calls = json.loads(sys.argv[1]), json.loads(sys.argv[2])
    if "url" in target:
        async with streamablehttp_client(target["url"]) as (read, write, _):
            await use(read, write, calls)
    else:
        async with stdio_client(StdioServerParameters(command=target["command"], args=target["args"])) as (read, write):
            await use(read, write, calls)


asyncio.run(main())
