"""What a build goes through that counts what is run: the calls of bench/compare, and each ready tool. training.py FOLDER

What is called here is laid out to be quick, and what never is to be small, so everything that calls are to be quick at belongs here."""

import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

BENCH = pathlib.Path(__file__).resolve().parents[1] / "bench" / "compare"
sys.path.insert(0, str(BENCH))

import measure
from client import ERAS
from jobs import Setting, Job
from processes import Process, processors

SECONDS = 2
CONNECTIONS = 4
PAGE = ("<title>Chisels</title><nav>Home</nav><article><h1>Chisels</h1>"
        + "<p>A chisel that is dull asks for force where an edge asks for none, and force is what slips.</p>" * 100 + "</article>")
ITEMS = json.dumps([{"id": number, "name": "chisel", "price": 12.5} for number in range(500)])


class Site(http.server.BaseHTTPRequestHandler):
    """What the tools reach that reach outside."""

    protocol_version = "HTTP/1.1"
    # Head and body leave together: two small writes would wait for each other, forty milliseconds long.
    wbufsize = 1 << 20

    def do_GET(self):
        kind, text = ("text/html", PAGE) if self.path == "/page" else ("application/json", ITEMS)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def calls(site):
    return {
        "calculator": {"expression": "200 + 10% * sqrt(2)"},
        "analyze_text": {"text": "It was not bad at all, rather good.", "analysis_type": "sentiment"},
        "web_scraper": {"url": f"{site}/page"},
        "api_client": {"url": f"{site}/items", "select": "$[499].price"},
        "database_query": {"query": "SELECT id, name FROM users LIMIT 20"},
        "describe_database": {},
    }


def ready_tools(programs, load, candidate):
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    place = f"127.0.0.1:{site.server_port}"
    folder = tempfile.mkdtemp(prefix="toolcrib-training-")
    bench = measure.Bench(programs, load, candidate, SECONDS)
    setting = Setting(Job("ready", "The ready tools"), programs, folder)
    config = {"dataFolder": f"{folder}/data", "egress": {"exceptions": [place], "requestsPerSecond": 10_000}}
    command = [programs["toolcrib"], "serve", "--quiet", "--config", setting.write("config.yaml", json.dumps(config)), "--listen", f"127.0.0.1:{setting.port}"]
    process = Process(command, folder, candidate)
    try:
        measure.wait_for_port(setting.port)
        for era in ERAS:
            client = measure.Client(setting.url, era).open()
            for name, arguments in calls(f"http://{place}").items():
                client.call(name, arguments)
                request = setting.write("request", client.as_load("tools/call", {"name": name, "arguments": arguments}))
                told = bench.load(setting.url, request, CONNECTIONS, SECONDS)
                if told["failed"] or not told["calls"]:
                    raise SystemExit(f"training: {name} {era}: of {told['calls']} calls {told['failed']} failed")
                print(f"training: {name} {era}: {told['calls']} calls", file=sys.stderr)
                client.call(name, arguments)
    finally:
        process.stop()
        site.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    out = build / "training.json"
    compared = [sys.executable, str(BENCH), "--build", str(build), "--out", str(out), "--only", "toolcrib,toolcrib-tokens,toolcrib-guarded"]
    subprocess.run([*compared, "--times", "1", "--seconds", str(SECONDS), "--connections", "1,16,64", "--growth", "", "--no-sessions"],
                   check=True, stdout=subprocess.DEVNULL)
    for record in json.loads(out.read_text())["records"]:
        failed = record.get("failed") or sum(cell["failed"] for cell in record["cells"])
        if failed:
            raise SystemExit(f"training: {record['candidate']} {record['job']} {record['era']}: failed: {failed}")
    load, candidate = processors()
    os.sched_setaffinity(0, load)
    ready_tools({"toolcrib": str(build / "toolcrib"), "wrk": shutil.which("wrk")}, load, candidate)


if __name__ == "__main__":
    main()
