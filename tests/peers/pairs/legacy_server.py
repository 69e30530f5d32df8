"""A server of the legacy era on the official Python SDK 1.x, with everything that the protocol has.

legacy_server.py stdio | http PORT | sse PORT. The file that MARK names is told of cancelled calls.
"""

import os
import sys
import weakref

import anyio
from mcp import types
from mcp.server.fastmcp import Context, FastMCP
from mcp.server.lowlevel import NotificationOptions
from mcp.shared.message import ServerMessageMetadata
from pydantic import AnyUrl, BaseModel

TRANSPORT = sys.argv[1]
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 0
SESSIONS = weakref.WeakSet()
WATCHERS = weakref.WeakKeyDictionary()


class Server(FastMCP):
    async def list_tools(self):
        SESSIONS.add(self._mcp_server.request_context.session)
        return await super().list_tools()


server = Server("legacy", host="127.0.0.1", port=PORT, log_level="WARNING")
inner = server._mcp_server
plain_capabilities = inner.get_capabilities


def capabilities(_options, experimental):
    # The SDK says that nothing changes and nobody can subscribe, whatever handlers there are.
    said = plain_capabilities(NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True), experimental)
    said.resources.subscribe = True
    return said


inner.get_capabilities = capabilities


class Person(BaseModel):
    name: str


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
    await cx.session.send_log_message("warning", "a word", logger="legacy", related_request_id=cx.request_id)
    return "said"


@server.tool()
async def ask(cx: Context) -> str:
    answer = await cx.elicit("who are you?", schema=Person)
    return f"hello, {answer.data.name}" if answer.action == "accept" else answer.action


@server.tool()
async def sample(cx: Context) -> str:
    words = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="say something"))
    answer = await cx.session.create_message([words], max_tokens=50, related_request_id=cx.request_id)
    return answer.content.text


@server.tool()
async def roots(cx: Context) -> str:
    about = ServerMessageMetadata(related_request_id=cx.request_id)
    answer = await cx.session.send_request(types.ServerRequest(types.ListRootsRequest()), types.ListRootsResult, metadata=about)
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
    SESSIONS.add(cx.session)
    for session in list(SESSIONS):
        # A session that is gone must not hold up the others.
        with anyio.move_on_after(1):
            await session.send_tool_list_changed()
    return "grew"


@server.tool()
async def touch() -> str:
    for session, uris in list(WATCHERS.items()):
        if "note://one" in uris:
            with anyio.move_on_after(1):
                await session.send_resource_updated(AnyUrl("note://one"))
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


@inner.subscribe_resource()
async def subscribe(uri: AnyUrl) -> None:
    WATCHERS.setdefault(inner.request_context.session, set()).add(str(uri))


@inner.unsubscribe_resource()
async def unsubscribe(uri: AnyUrl) -> None:
    WATCHERS.get(inner.request_context.session, set()).discard(str(uri))


@inner.set_logging_level()
async def set_level(_level: str) -> None:
    pass


server.run({"stdio": "stdio", "http": "streamable-http", "sse": "sse"}[TRANSPORT])
