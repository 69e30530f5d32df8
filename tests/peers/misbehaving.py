"""Servers that misbehave on purpose, each in one way, on the standard library alone.

    misbehaving.py stdio WAY            one server, over standard input and output
    misbehaving.py http                 all ways of HTTP, each under the path of its name; says on standard error where it listens

Each has the tools transfer, which writes a line into the file LEDGER names, behind the name of its way, before anything goes wrong, and echo,
which always behaves once there is a server.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

LOUD = {"type": "object", "properties": {"text": {"type": "string"}}}
TOOLS = [{"name": name, "inputSchema": LOUD} for name in ("transfer", "echo")]


def entered(way):
    with open(os.environ["LEDGER"], "a") as ledger:
        ledger.write(way + "\n")


def result(text):
    return {"content": [{"type": "text", "text": text}]}


def answer(request, **instead):
    return {"jsonrpc": "2.0", "id": request["id"], **(instead or {"result": result("done")})}


def ordinary(method, params):
    """What every server answers, but for calls."""
    if method == "initialize":
        return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "misbehaving", "version": "1"}}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "ping":
        return {}
    if method == "tools/call" and params["name"] == "echo":
        return result(params.get("arguments", {}).get("text", ""))
    return None


# --- over standard input and output


def write(data):
    sys.stdout.buffer.write(data if isinstance(data, bytes) else data.encode())
    sys.stdout.buffer.flush()


def say(message):
    write(json.dumps(message) + "\n")


def crashes(request):
    os._exit(3)


def is_shot(request):
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(request):
    time.sleep(1e6)


def breaks_off(request):
    write(json.dumps(answer(request))[:30])
    os._exit(0)


def stops_in_the_middle(request):
    write(json.dumps(answer(request))[:30])
    time.sleep(1e6)


def trickles(request):
    for character in json.dumps(answer(request)) + "\n":
        write(character)
        time.sleep(0.005)


def never_ends_its_line(request):
    for _ in range(200):
        write("x" * 100_000)
    time.sleep(1e6)


def babbles(request):
    write("Listening on port 3000 …\n{not json}\n[]\n\n\r\n\x00\x1b[31m\n")
    say(answer(request))


def babbles_in_no_encoding(request):
    write(b"\xff\xfe\xfd\n")
    say(answer(request))


def answers_in_no_encoding(request):
    write(json.dumps(answer(request)).encode().replace(b"done", b"\xff\xfe") + b"\n")


def answers_to_another_id(request):
    say(answer({"id": request["id"] + 1000}))


def answers_to_a_text(request):
    say(answer({"id": str(request["id"])}))


def answers_to_nobody(request):
    say(answer({"id": None}, error={"code": -32600, "message": "no id"}))


def answers_twice(request):
    say(answer(request))
    say(answer(request, result=result("another answer")))


def answers_what_nobody_asked(request):
    for number in range(5000):
        say({"jsonrpc": "2.0", "id": 10_000_000 + number, "result": result("unasked")})
    say(answer(request))


def answers_with_both(request):
    say(answer(request, result=result("done"), error={"code": -1, "message": "not done"}))


def answers_with_neither(request):
    say({"jsonrpc": "2.0", "id": request["id"]})


def answers_with_a_text(request):
    say(answer(request, result="done"))


def answers_with_nothing(request):
    say(answer(request, result=None))


def answers_in_a_batch(request):
    say([answer(request)])


def answers_too_deep(request):
    write(json.dumps(answer(request)).replace('"done"', "[" * 50_000 + "]" * 50_000) + "\n")


def answers_with_no_number(request):
    write(json.dumps(answer(request)).replace('"done"', "NaN") + "\n")


def answers_late(request):
    threading.Timer(4, say, (answer(request, result=result("the answer to another")),)).start()


def logs_without_end(request):
    for number in range(20_000):
        say({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": number}})
    say(answer(request))


def announces_without_end(request):
    for _ in range(2000):
        say({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    say(answer(request))


def complains_without_end(request):
    sys.stderr.write("a complaint\n" * 500_000 + "x" * 1_000_000)
    sys.stderr.flush()
    say(answer(request))


def asks_without_end(request):
    for number in range(2000):
        say({"jsonrpc": "2.0", "id": f"question {number}", "method": "sampling/createMessage", "params": {}})
    say(answer(request))


def cancels_what_it_was_asked(request):
    say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request["id"]}})
    say(answer(request))


def closes_its_output(request):
    os.close(1)
    time.sleep(1e6)


def closes_its_input(request):
    say(answer(request))
    os.close(0)
    time.sleep(1e6)


def leaves_others_behind(request):
    stubborn = "import signal,time\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\ntime.sleep(1e6)"
    # They keep the pipes open, too.
    subprocess.Popen([sys.executable, "-c", stubborn, os.environ["MARK"]])
    say(answer(request))
    os._exit(0)


CALLS = {call.__name__: call for call in (
    crashes, is_shot, hangs, breaks_off, stops_in_the_middle, trickles, never_ends_its_line, babbles, babbles_in_no_encoding,
    answers_in_no_encoding, answers_to_another_id, answers_to_a_text, answers_to_nobody, answers_twice, answers_what_nobody_asked,
    answers_with_both, answers_with_neither, answers_with_a_text, answers_with_nothing, answers_in_a_batch, answers_too_deep,
    answers_with_no_number, answers_late, logs_without_end, announces_without_end, complains_without_end, asks_without_end,
    cancels_what_it_was_asked, closes_its_output, closes_its_input, leaves_others_behind,
)}


def says_nothing(request):
    time.sleep(1e6)


def leaves_at_once(request):
    sys.exit("I was not in the mood")


def greets_with_a_text(request):
    say(answer(request, result="welcome"))


def speaks_an_unknown_revision(request):
    say(answer(request, result={**ordinary("initialize", {}), "protocolVersion": "1999-01-01"}))


def has_lists_without_end(request):
    page = int(request.get("params", {}).get("cursor", 0))
    say(answer(request, result={"tools": [{"name": f"tool_{page}", "inputSchema": LOUD}], "nextCursor": str(page + 1)}))


def has_one_page_for_ever(request):
    say(answer(request, result={"tools": [], "nextCursor": "again"}))


def has_too_many_tools(request):
    say(answer(request, result={"tools": [{"name": f"tool_{number}", "inputSchema": LOUD} for number in range(20_000)]}))


def cannot_list(request):
    say(answer(request, error={"code": -32603, "message": "the list is lost"}))


def has_strange_tools(request):
    say(answer(request, result={"tools": [{}, 7, None, {"name": "", "inputSchema": LOUD}, {"name": "no_schema"},
        {"name": "odd", "inputSchema": {"type": "nonsense"}}, TOOLS[1], *TOOLS]}))


GREETINGS = {way.__name__: way for way in (says_nothing, leaves_at_once, greets_with_a_text, speaks_an_unknown_revision)}
LISTS = {way.__name__: way for way in (has_lists_without_end, has_one_page_for_ever, has_too_many_tools, cannot_list, has_strange_tools)}


def stdio(way):
    special = {"tools/call": CALLS.get(way), "initialize": GREETINGS.get(way), "tools/list": LISTS.get(way)}
    for line in sys.stdin:
        request = json.loads(line)
        method, params = request.get("method"), request.get("params", {})
        if "id" not in request or method is None:
            continue
        is_echo = method == "tools/call" and params["name"] == "echo"
        if method == "tools/call" and not is_echo:
            entered(way)
        if special.get(method) and not is_echo:
            special[method](request)
            continue
        plain = ordinary(method, params)
        if method == "tools/call" and plain is None:
            plain = result("done")
        say(answer(request, result=plain) if plain is not None else answer(request, error={"code": -32601, "message": method}))


# --- over HTTP


def head(status="200 OK", kind="application/json", **headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def whole(body, status="200 OK", kind="application/json", **headers):
    body = body if isinstance(body, bytes) else body.encode()
    return head(status, kind, Content_Length=len(body), **headers) + body


def event(message):
    return f"event: message\ndata: {json.dumps(message)}\n\n".encode()


def stream(*parts):
    return head(kind="text/event-stream", Connection="close") + b"".join(parts)


def log(number=0):
    return {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": number}}


def gzipped(size):
    import gzip
    return gzip.compress(b" " * size)


def slowly(data):
    for number in range(0, len(data), 7):
        yield data[number:number + 7]
        time.sleep(0.005)


def for_ever(first, again, pause=0.0):
    yield first
    while True:
        yield again
        time.sleep(pause)


def never(first=b""):
    yield first
    time.sleep(1e6)


REPLIES = {
    "fails": lambda a: [whole("<h1>Oops</h1>", "500 Internal Server Error", "text/html")],
    "has_a_proxy_that_fails": lambda a: [whole("<h1>Bad gateway</h1>", "502 Bad Gateway", "text/html")],
    "is_in_a_hurry": lambda a: [whole("", "429 Too Many Requests", Retry_After="0")],
    "answers_with_a_page": lambda a: [whole("<h1>Welcome</h1>", kind="text/html")],
    "answers_with_plain_text": lambda a: [whole(json.dumps(a), kind="text/plain")],
    "answers_no_content": lambda a: [head("204 No Content")],
    "accepts_and_says_no_more": lambda a: [whole("", "202 Accepted")],
    "answers_with_emptiness": lambda a: [whole("")],
    "answers_half": lambda a: [whole(json.dumps(a)[:30])],
    "promises_more_than_it_sends": lambda a: [head(Content_Length=9999, Connection="close") + json.dumps(a).encode()],
    "sends_more_than_it_promised": lambda a: [whole(json.dumps(a)) + b"and something else"],
    "closes_without_a_word": lambda a: [],
    "never_answers": lambda a: never(),
    "never_ends_its_headers": lambda a: for_ever(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 1000 + b"\r\n"),
    "never_ends_its_body": lambda a: for_ever(head(Connection="close"), b"x" * 100_000),
    "trickles": lambda a: slowly(whole(json.dumps(a))),
    "sends_a_bomb": lambda a: [whole(gzipped(200 << 20), Content_Encoding="gzip")],
    "counts_its_chunks_wrongly": lambda a: [head(Transfer_Encoding="chunked") + b"zz\r\n" + json.dumps(a).encode()],
    "answers_two_times": lambda a: [whole(json.dumps(a)) + whole(json.dumps({**a, "result": result("the answer to another")}))],
    "speaks_no_http": lambda a: [b"SSH-2.0-OpenSSH_9.2\r\n"],
    "streams_in_crumbs": lambda a: slowly(stream(b": hello\r\n\r\n", event(log()), event(a)).replace(b"\ndata", b"\r\ndata")),
    "streams_no_answer": lambda a: [stream(event(log()))],
    "streams_comments_for_ever": lambda a: for_ever(stream(), b": still here\n\n", 0.01),
    "streams_log_messages_for_ever": lambda a: for_ever(stream(), event(log()) * 50, 0.001),
    "streams_a_huge_event": lambda a: for_ever(stream(b"data: "), b"x" * 100_000),
    "streams_nonsense_first": lambda a: [stream(b"data: {nonsense\n\n", b"data\n\n", b"event: x\n\n", event(a))],
    "streams_on_after_its_answer": lambda a: never(stream(event(a), event({**a, "result": result("another")}), event(log()))),
    "streams_the_answer_to_another": lambda a: [stream(event({**a, "id": a["id"] + 1000}))],
    "streams_many_messages": lambda a: [stream(*(event(log(number)) for number in range(10_000)), event(a))],
}


def serve(connection):
    reader = connection.makefile("rb")
    while True:
        line = reader.readline().split()
        if len(line) < 2:
            return
        length, session = 0, False
        while (header := reader.readline().strip().lower()):
            if header.startswith(b"content-length:"):
                length = int(header.split(b":")[1])
        way = line[1].decode().strip("/")
        if line[0] != b"POST":
            connection.sendall(whole("", "405 Method Not Allowed"))
            continue
        request = json.loads(reader.read(length))
        method, params = request.get("method"), request.get("params", {})
        if "id" not in request:
            connection.sendall(whole("", "202 Accepted"))
            continue
        plain = ordinary(method, params)
        if plain is not None:
            connection.sendall(whole(json.dumps(answer(request, result=plain))))
        elif method != "tools/call":
            connection.sendall(whole(json.dumps(answer(request, error={"code": -32601, "message": method}))))
        else:
            if way != "is_in_a_hurry":
                entered(way)
            for part in REPLIES[way](answer(request)):
                connection.sendall(part)
            connection.shutdown(socket.SHUT_RDWR)
            return


def http():
    def attend(connection):
        try:
            serve(connection)
        except OSError:
            pass
        finally:
            connection.close()

    listener = socket.create_server(("127.0.0.1", 0))
    sys.stderr.write(f"listening on {listener.getsockname()[1]}\n")
    sys.stderr.flush()
    while True:
        threading.Thread(target=attend, args=(listener.accept()[0],), daemon=True).start()


if sys.argv[1] == "ways":
    print(json.dumps({"stdio": [*GREETINGS, *LISTS, *CALLS], "http": [*REPLIES]}))
elif sys.argv[1] == "http":
    http()
else:
    stdio(sys.argv[2])
