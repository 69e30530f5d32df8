"""A FastMCP server, in whichever era it likes: echo, and ask, which asks the user for a name."""

import sys
from dataclasses import dataclass

from fastmcp import Context, FastMCP

server = FastMCP("fast")


@dataclass
class Person:
    name: str


@server.tool
def echo(text: str) -> str:
    return text


@server.tool
async def ask(text: str, cx: Context) -> str:
    answer = await cx.elicit("your name?", response_type=Person)
    return f"{answer.data.name}, asked about {text}" if answer.action == "accept" else answer.action


if sys.argv[1] == "http":
    server.run(transport="http", host="127.0.0.1", port=int(sys.argv[2]), show_banner=False)
else:
    server.run(show_banner=False)
