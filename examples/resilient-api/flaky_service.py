"""A service that is busy, broken and slow. GET /log tells what it was asked."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

asked = []
lock = threading.Lock()
ending = threading.Event()


class Service(BaseHTTPRequestHandler):
    def answer(self, status, body, **headers):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path == "/log":
            return self.answer(200, asked)
        with lock:
            asked.append(self.path)
            times = asked.count(self.path)
        if self.path.startswith("/stock/"):
            if self.headers.get("Authorization") != "Bearer demo-key-of-the-service":
                return self.answer(401, {"error": "who are you?"})
            if times == 1:
                return self.answer(503, {"error": "too much to do"}, Retry_After="0")
            if times == 2:
                return self.answer(500, {"error": "out of order"})
            return self.answer(200, {"pieces": 42})
        if self.path.startswith("/price/"):
            return self.answer(500, {"error": "the price computer is broken"})
        if self.path.startswith("/list/"):
            return self.answer(200, {"price": "9.90"})
        self.answer(404, {"error": "there is nothing here"})

    def do_POST(self):
        with lock:
            asked.append(self.path)
        # Whoever asks has left long before.
        ending.wait()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8099), Service)
server.daemon_threads = True
print(f"flaky service at http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
