"""A server of 2026-07-28 on the official Python SDK 2.x, with everything that the protocol has. It refuses `initialize`.

modern_server.py stdio | http PORT. The file that MARK names is told of cancelled calls.
"""

import os
import sys
import warnings
from typing import Annotated

import anyio
import mcp_types as types
from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, ListRoots, MCPServer, Resolve, Sample
from mcp.server.runner import _serve_modern_stream
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel

warnings.simplefilter("ignore", MCPDeprecationWarning)
server = MCPServer("modern", version="1", log_level="WARNING")
inner = server._lowlevel_server


class Person(BaseModel):
    name: str


def who() -> Elicit[Person]:
    return Elicit("who are you?", Person)


def words() -> Sample:
    return Sample([types.SamplingMessage(role="user", content=types.TextContent(type="text", text="say something"))], max_tokens=50)


def where() -> ListRoots:
    return ListRoots()


@server.tool()
def echo(text: str) -> str:
    return text


@server.tool()
async def steps(cx: Context) -> str:
    for done in (1, 2, 3):
        await cx.report_progress(done, 3, f"step {done}")
    return "all steps done"


@server.tool()
async def say(cx: Context) -> str:
    await cx.log("warning", "a word", logger_name="modern")
    return "said"


@server.tool()
async def ask(answer: Annotated[ElicitationResult[Person], Resolve(who)]) -> str:
    return f"hello, {answer.data.name}" if isinstance(answer, AcceptedElicitation) else answer.action


@server.tool()
async def sample(answer: Annotated[types.CreateMessageResult, Resolve(words)]) -> str:
    return answer.content.text


@server.tool()
async def roots(answer: Annotated[types.ListRootsResult, Resolve(where)]) -> str:
    return str(answer.roots[0].uri)


@server.tool()
async def slow() -> str:
    try:
        await anyio.sleep(60)
    except anyio.get_cancelled_exc_class():
        with open(os.environ["MARK"], "a") as mark:
            mark.write("cancelled\n")
        raise
    return "slept"


def grown() -> str:
    return "grown"


@server.tool()
async def grow(cx: Context) -> str:
    server.add_tool(grown)
    await cx.notify_tools_changed()
    return "grew"


@server.tool()
async def touch(cx: Context) -> str:
    await cx.notify_resource_updated("note://one")
    return "touched"


@server.resource("note://one", mime_type="text/plain")
def one() -> str:
    return "the first note"


@server.resource("note://{number}", mime_type="text/plain")
def note(number: str) -> str:
    return f"note {number}"


@server.prompt()
def greet(name: str) -> str:
    return f"Please greet {name}"


@server.completion()
async def complete(reference, argument, _context):
    if isinstance(reference, types.PromptReference) and reference.name == "greet":
        return types.Completion(values=[name for name in ("anna", "anton") if name.startswith(argument.value)])
    return None


async def set_level(_cx, _params):
    return types.EmptyResult()


# The SDK says that it logs only where somebody could set a level.
inner.add_request_handler("logging/setLevel", types.SetLevelRequestParams, set_level)


async def refuse_initialize(cx, call_next):
    if cx.method == "initialize":
        said = {"supported": list(MODERN_PROTOCOL_VERSIONS), "requested": (cx.params or {}).get("protocolVersion", "")}
        raise MCPError(types.UNSUPPORTED_PROTOCOL_VERSION, "modern only", said)
    return await call_next(cx)


async def serve_pipe():
    # The SDK's own way to serve a pipe waits to see which era the client is of.
    async with stdio_server() as (reading, writing), inner.lifespan(inner) as state:
        await _serve_modern_stream(inner, reading, writing, lifespan_state=state, raise_exceptions=False)


server.middleware.append(refuse_initialize)
if sys.argv[1] == "http":
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
else:
    anyio.run(serve_pipe)
