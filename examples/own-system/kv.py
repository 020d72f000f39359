#!/usr/bin/env python3
"""A primary and its copies: the primary takes all writes, sends them to the others, and every node answers reads by itself.

It is wrong, as many systems of this shape are: a copy that the primary cannot reach answers what it knows.
Python's standard library is all that it needs: kv.py ID HOST PORT PEERS, with peers as n2=127.0.0.1:7002,n3=...
"""

import http.server
import json
import sys
import threading
import urllib.error
import urllib.request

ID, HOST, PORT, PEERS = sys.argv[1:5]
PEERS = dict(peer.split("=") for peer in PEERS.split(",") if peer)
PRIMARY = "n1"
store, lock = {}, threading.Lock()


def call(peer, path, body, timeout):
    request = urllib.request.Request(f"http://{PEERS[peer]}{path}", data=body, method="PUT")
    return urllib.request.urlopen(request, timeout=timeout)


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
            return self.answer(200, {"id": ID, "leader": ID == PRIMARY})
        with lock:
            value = store.get(self.path)
        self.answer(404 if value is None else 200, {"value": value})

    def do_PUT(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.removeprefix("/copy")
        if ID != PRIMARY and path == self.path:
            try:
                return self.answer(call(PRIMARY, path, body, 2).status, {})
            except urllib.error.HTTPError as error:
                return self.answer(error.code, {})
            except OSError as error:
                return self.answer(504, {"error": str(error)})
        asked = json.loads(body)
        with lock:
            if "from" in asked and store.get(path) != asked["from"]:
                return self.answer(409, {})
            store[path] = asked["value"]
        for peer in PEERS if ID == PRIMARY else []:
            try:
                call(peer, "/copy" + path, json.dumps({"value": asked["value"]}).encode(), 0.3)
            except OSError:
                pass  # here is the bug: nobody hears that this copy is old
        self.answer(200, {})


http.server.ThreadingHTTPServer((HOST, int(PORT)), Handler).serve_forever()
