"""A server for tests, of the legacy era, over stdio, on the standard library alone.

Tools: echo; freeze, which does nothing more for ever; swell, which takes 400 MiB of memory and keeps it; allowed, which tells its limits (address space, CPU, open files); hang, which never answers, and slow, which takes its time, each saying on standard error that it has begun; pid; die, which ends the process without an answer; grow, which adds a tool and
says so; spawn, which starts a grandchild that ignores every polite signal and outlives its parent; flood, which answers with nine million
bytes; reach, which tells what comes of reading or writing a file, itself or by a program that it starts (cat), or of connecting to a port; mute and deaf, which close standard output or input and stay.
steps reports progress four times, half a second apart, before it answers. ask asks the user for a name, and answers with the name and the
text that it was called with; it goes on reading meanwhile, so that many calls may ask at once. ask_late asks a second after it was called, and withdraw takes
its question back after half a second and answers half a second later. heard tells every message
that came so far. storm says two hundred times that its tools changed. given answers with its arguments, and meta with what
stands beside them.
With --proud it leaves when it is asked anything before initialize, as some old servers do. With --modern it speaks 2026-07-28 instead. With --stubborn it ignores SIGTERM and the end of its input.
"""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

MODERN = "--modern" in sys.argv
TOOLS = ["echo", "hang", "slow", "pid", "die", "grow", "spawn", "flood", "mute", "deaf", "steps", "ask", "ask_late", "withdraw", "heard", "storm", "given", "variable", "freeze", "swell", "allowed", "reach", "meta"]
HEARD = []
ASKED = {}
LOUD = {"type": "object", "properties": {"text": {"type": "string"}}}


def say(message):
    sys.stdout.write(json.dumps(message, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def text(value):
    # A number as nobody would write it, and members that nobody knows: both must arrive as they are.
    return {"content": [{"type": "text", "text": str(value), "x-unknown": 1.50}], "x-extra": {"z": 1, "a": 2}}


def call(params):
    name, arguments = params["name"], params.get("arguments", {})
    if name == "echo":
        return text(arguments.get("text", ""))
    if name in ("hang", "slow"):
        sys.stderr.write(f"{name} has begun\n")
        sys.stderr.flush()
        if name == "hang":
            return None
        time.sleep(2)
        return text("done at last")
    if name == "swell":
        swollen = bytearray(b"x" * (400 << 20))
        time.sleep(600)
        return text(len(swollen))
    if name == "allowed":
        return text([resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NOFILE)])
    if name == "reach":
        return text(reach(*arguments["text"].split(" ", 1)))
    if name == "freeze":
        time.sleep(1e6)
    if name == "pid":
        return text(os.getpid())
    if name == "die":
        sys.stderr.write("last words\n")
        sys.stderr.flush()
        os._exit(3)
    if name == "grow":
        TOOLS.append("grown")
        say({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        return text("grown")
    if name == "spawn":
        stubborn = "import signal,time\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\ntime.sleep(600)"
        child = subprocess.Popen([sys.executable, "-c", stubborn], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return text(child.pid)
    if name == "steps":
        for done in (1, 2, 3, 4):
            time.sleep(0.5)
            token = params.get("_meta", {}).get("progressToken")
            if token is not None:
                progress = {"progressToken": token, "progress": done, "total": 4, "x-extra": 1.50}
                say({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress})
        return text("all steps done")
    if name == "heard":
        return text(json.dumps(HEARD))
    if name == "storm":
        for _ in range(200):
            say({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        return text("over")
    if name == "given":
        return text(json.dumps(arguments))
    if name == "meta":
        return text(json.dumps(params.get("_meta", {})))
    if name == "variable":
        return text(os.environ.get(arguments.get("text", ""), "not set"))
    if name == "flood":
        return text("x" * 9_000_000)
    if name == "mute":
        os.close(1)
        time.sleep(600)
    if name == "deaf":
        os.close(0)
        say({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "deaf"}})
        time.sleep(600)
    raise LookupError(name)


def reach(how, what):
    try:
        if how == "connect":
            socket.create_connection(("127.0.0.1", int(what)), timeout=5).close()
        elif how == "cat":
            said = subprocess.run(["cat", what], capture_output=True, text=True)
            return "reached" if said.returncode == 0 else said.stderr.strip().rsplit(": ", 1)[-1]
        else:
            with open(what, {"read": "r", "write": "w"}[how]):
                pass
        return "reached"
    except OSError as error:
        return error.strerror


def ask(call_id, params):
    # Every process counts its questions from the same number: only whoever keeps connections apart keeps answers apart.
    question = len(ASKED)
    ASKED[question] = (call_id, params.get("arguments", {}).get("text", ""))
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    say({"jsonrpc": "2.0", "id": question, "method": "elicitation/create", "params": {"message": "who?", "requestedSchema": schema, "x-extra": 1.50}})


def withdraw(call_id):
    question = next(number for number, (call, _) in ASKED.items() if call == call_id)
    say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": question}})
    threading.Timer(0.5, say, ({"jsonrpc": "2.0", "id": call_id, "result": text("never mind")},)).start()


def told(message):
    call_id, about = ASKED[message["id"]]
    if "error" in message:
        sys.stderr.write("the question was refused\n")
        sys.stderr.flush()
        result = {**text(f"refused: {message['error']['message']}"), "isError": True}
    else:
        result = text(f"{message['result'].get('content', {}).get('name')}, asked about {about}")
    say({"jsonrpc": "2.0", "id": call_id, "result": result})


def answer(method, params):
    if method == "initialize" and not MODERN:
        return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {"listChanged": True}}, "serverInfo": {"name": "scripted", "version": "1"}}
    if method == "server/discover" and "--proud" in sys.argv:
        sys.exit(1)
    if method == "server/discover" and MODERN:
        return {"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "public"}
    if method == "tools/list":
        tools = [{"name": name, "inputSchema": LOUD, "x-unknown": [1]} for name in TOOLS]
        if "SCRIPTED_SCHEMA" in os.environ:
            tools.append({"name": "hostile", "inputSchema": json.loads(os.environ["SCRIPTED_SCHEMA"])})
        return {"tools": tools}
    if method == "tools/call":
        return call(params)
    raise LookupError(method)


def main():
    if "--stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin:
        message = json.loads(line)
        HEARD.append(message.get("method", "an answer"))
        if "id" not in message:
            continue
        if "method" not in message:
            told(message)
            continue
        if message["method"] == "tools/call" and message["params"]["name"] in ("ask", "ask_late", "withdraw"):
            late = 1 if message["params"]["name"] == "ask_late" else 0
            threading.Timer(late, ask, (message["id"], message["params"])).start()
            if message["params"]["name"] == "withdraw":
                threading.Timer(0.5, withdraw, (message["id"],)).start()
            continue
        try:
            result = answer(message["method"], message.get("params", {}))
        except LookupError as error:
            say({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": f"unknown method {error}"}})
            continue
        if result is not None:
            if MODERN:
                result.setdefault("resultType", "complete")
            say({"jsonrpc": "2.0", "id": message["id"], "result": result})
    while "--stubborn" in sys.argv:
        time.sleep(60)


main()
