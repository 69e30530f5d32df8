"""A collector of OpenTelemetry for tests: reads what it is told with the official messages, and prints each as a line of JSON.

collector.py PORT [FAILURES]: refuses the first so many messages with 503. The headers that tell who sent a message are printed with it.
"""

import http.server
import sys

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
import json

KINDS = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest, "/v1/logs": ExportLogsServiceRequest}
failures = int(sys.argv[2]) if len(sys.argv) > 2 else 0


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        global failures
        body = self.rfile.read(int(self.headers["content-length"]))
        status = 200
        if failures > 0:
            failures -= 1
            status = 503
        else:
            assert self.headers["content-type"] == "application/x-protobuf", self.headers
            message = KINDS[self.path]()
            message.ParseFromString(body)
            told = {"path": self.path, "key": self.headers.get("x-key"), "message": MessageToDict(message)}
            # Each line in one piece, whoever else has something to say.
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


print("ready", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Collector).serve_forever()
