#!/usr/bin/env python3
"""A correct store of which only the leader serves clients: n1 for three seconds, then n2.

All nodes share the directory SHARED, so they never talk: leader_only.py SHARED ID HOST PORT
"""

import fcntl
import http.server
import os
import sys
import time

SHARED, ID, HOST, PORT = sys.argv[1:5]
BEGAN = os.path.join(SHARED, "began")
if not os.path.exists(BEGAN):
    open(BEGAN, "a").close()


def leads():
    age = time.time() - os.path.getmtime(BEGAN)
    return ID == ("n1" if age < 3 else "n2")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, text=""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path == "/leads":
            return self.answer(200, '{"leads": %s}' % str(leads()).lower())
        if not leads():
            return self.answer(503, "not the leader")
        file = os.path.join(SHARED, self.path.strip("/"))
        with open(os.path.join(SHARED, "lock"), "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if body:
                with open(file, "w") as out:
                    out.write(body)
                return self.answer(200)
            if not os.path.exists(file):
                return self.answer(404)
            with open(file) as held:
                return self.answer(200, held.read())

    do_GET = do_PUT = serve


http.server.ThreadingHTTPServer((HOST, int(PORT)), Handler).serve_forever()
