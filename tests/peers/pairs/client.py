"""The official Python SDK 2.x as a client: tries everything that the protocol has on a server behind Toolcrib.

client.py TARGET legacy | auto. TARGET is JSON: {"url"} or {"command", "args"}; "mark" names the file in which the server
notes cancelled calls. Prints one JSON object: for each thing tried "ok", or what went wrong.
"""

import json
import os
import sys
import warnings

import anyio
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.subscriptions import ResourceUpdated, ToolsListChanged
from mcp.shared.exceptions import MCPDeprecationWarning

warnings.simplefilter("ignore", MCPDeprecationWarning)
TARGET, MODE = json.loads(sys.argv[1]), sys.argv[2]
PATIENCE = 20
logs, heard = [], []


async def on_log(params):
    logs.append((params.level, params.data))


async def on_message(message):
    heard.append(message)


async def on_elicitation(_cx, params):
    assert params.message == "who are you?", params
    return types.ElicitResult(action="accept", content={"name": "Ada"})


async def on_sampling(_cx, params):
    assert params.max_tokens == 50, params
    return types.CreateMessageResult(role="assistant", model="m", stop_reason="endTurn", content=types.TextContent(type="text", text="words"))


async def on_roots(_cx):
    return types.ListRootsResult(roots=[types.Root(uri="file:///somewhere", name="x")])


def same(found, expected):
    if found != expected:
        raise AssertionError(f"{found!r} instead of {expected!r}")


def text(result):
    said = "".join(getattr(block, "text", "?") for block in result.content)
    return f"error: {said}" if result.is_error else said


async def until(found):
    with anyio.fail_after(PATIENCE):
        while not found():
            await anyio.sleep(0.02)


class Trial:
    def __init__(self, client):
        self.client = client
        self.is_modern = client.protocol_version == "2026-07-28"

    async def tool(self, name, arguments=None, **more):
        return text(await self.client.call_tool(f"s__{name}", arguments or {}, **more))

    async def names(self):
        return {tool.name for tool in (await self.client.list_tools()).tools}

    async def tools(self):
        same(await self.tool("echo", {"text": "héllo"}), "héllo")

    async def progress(self):
        told = []

        async def on_progress(done, total, message):
            told.append((done, total, message))

        same(await self.tool("steps", progress_callback=on_progress), "all steps done")
        await until(lambda: len(told) == 3)
        same(told, [(float(done), 3.0, f"step {done}") for done in (1, 2, 3)])

    async def logging(self):
        if not self.is_modern:
            await self.client.set_logging_level("debug")
        same(await self.tool("say"), "said")
        await until(lambda: logs)
        same(logs, [("warning", "a word")])

    async def elicitation(self):
        same(await self.tool("ask"), "hello, Ada")

    async def sampling(self):
        same(await self.tool("sample"), "words")

    async def roots(self):
        same(await self.tool("roots"), "file:///somewhere")

    async def cancellation(self):
        with anyio.move_on_after(0.5) as scope:
            await self.tool("slow")
        same(scope.cancelled_caught, True)
        await until(lambda: os.path.exists(TARGET["mark"]))
        same(await self.tool("echo", {"text": "and on"}), "and on")

    async def resources(self):
        # Beside what we tell of ourselves.
        uris = [str(resource.uri) for resource in (await self.client.list_resources()).resources]
        same([uri for uri in uris if not uri.startswith(("status://", "metrics://", "config://", "logs://"))], ["note://one"])
        same((await self.client.read_resource("note://one")).contents[0].text, "the first note")

    async def templates(self):
        templates = [template.uri_template for template in (await self.client.list_resource_templates()).resource_templates]
        same([template for template in templates if not template.startswith("toolcrib://")], ["note://{number}"])
        same((await self.client.read_resource("note://seven")).contents[0].text, "note seven")

    async def subscriptions(self):
        if self.is_modern:
            async with self.client.listen(resource_subscriptions=["note://one"]) as changes:
                same(list(changes.honored.resource_subscriptions or []), ["note://one"])
                await self.tool("touch")
                same(await changes.__anext__(), ResourceUpdated(uri="note://one"))
            return
        await self.client.subscribe_resource("note://one")
        await self.tool("touch")
        await until(lambda: any(isinstance(message, types.ResourceUpdatedNotification) for message in heard))
        await self.client.unsubscribe_resource("note://one")

    async def prompts(self):
        same([prompt.name for prompt in (await self.client.list_prompts()).prompts], ["s__greet"])
        same((await self.client.get_prompt("s__greet", {"name": "Ada"})).messages[0].content.text, "Please greet Ada")

    async def completion(self):
        reference = types.PromptReference(type="ref/prompt", name="s__greet")
        same((await self.client.complete(reference, {"name": "name", "value": "ant"})).completion.values, ["anton"])

    async def list_changes(self):
        if self.is_modern:
            async with self.client.listen(tools_list_changed=True) as changes:
                await self.tool("grow")
                same(await changes.__anext__(), ToolsListChanged())
        else:
            # That the server arrived was a change, too.
            heard.clear()
            await self.tool("grow")
            await until(lambda: any(isinstance(message, types.ToolListChangedNotification) for message in heard))
        same("s__grown" in await self.names(), True)
        same(await self.tool("grown"), "grown")

    async def ping(self):
        if self.is_modern:
            return "none in this era"
        await self.client.send_ping()


def reason(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:400]


async def main():
    if "url" in TARGET:
        server = TARGET["url"]
    else:
        server = StdioServerParameters(command=TARGET["command"], args=TARGET["args"])
    client = Client(
        server,
        mode=MODE,
        cache=None,
        log_level="debug",
        logging_callback=on_log,
        message_handler=on_message,
        elicitation_callback=on_elicitation,
        sampling_callback=on_sampling,
        list_roots_callback=on_roots,
    )
    async with client:
        trial = Trial(client)
        # What the server behind Toolcrib has arrives when that has started.
        with anyio.fail_after(60):
            while "s__echo" not in await trial.names():
                await anyio.sleep(0.05)
        found = {"revision": str(client.protocol_version)}
        tried = "tools progress logging elicitation sampling roots cancellation resources templates subscriptions prompts completion list_changes ping"
        for name in tried.split():
            try:
                with anyio.fail_after(PATIENCE):
                    found[name] = await getattr(trial, name)() or "ok"
            except Exception as error:
                found[name] = reason(error)
        print(json.dumps(found), flush=True)


anyio.run(main)
