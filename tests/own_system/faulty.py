#!/usr/bin/env python3
"""One server with one mistake that no client sees: faulty.py MISTAKE ID HOST PORT DATA.

It answers as a register should: all nodes keep their keys in one directory of files, each written whole.
"""

import fcntl
import http.server
import json
import os
import sys

MISTAKE, ID, HOST, PORT, DATA = sys.argv[1:6]
SHARED = os.path.join(os.path.dirname(DATA), "shared")
os.makedirs(SHARED, exist_ok=True)
starts = os.path.join(DATA, "starts")
with open(starts, "a") as file:
    file.write("x")
STARTED = os.path.getsize(starts)
asked = 0

if MISTAKE == "restart" and STARTED > 1 and ID == "n2":
    print("the data of an earlier start is here", flush=True)
    sys.exit(7)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, what):
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/health":
            return self.answer(200, {})
        self.serve(None)

    def do_PUT(self):
        self.serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def serve(self, change):
        global asked
        asked += 1
        if ID == "n2" and asked == 20:
            if MISTAKE == "crash":
                print("nothing to see here", flush=True)
                os._exit(9)
            if MISTAKE == "log":
                print("panic: runtime error: index out of range [3] with length 3", flush=True)
        if MISTAKE == "recovery" and ID == "n2" and STARTED > 1 and change is not None:
            return self.answer(503, {})
        path = os.path.join(SHARED, self.path.strip("/"))
        with open(path + ".lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            value = None
            if os.path.exists(path):
                with open(path) as file:
                    value = json.load(file)
            if change is None:
                return self.answer(404 if value is None else 200, {"value": value})
            if "from" in change and change["from"] != value:
                return self.answer(409, {})
            # A node that is killed here leaves the old value or the new one.
            with open(path + "." + ID, "w") as file:
                json.dump(change["value"], file)
            os.replace(path + "." + ID, path)
        self.answer(200, {})


http.server.ThreadingHTTPServer((HOST, int(PORT)), Handler).serve_forever()
