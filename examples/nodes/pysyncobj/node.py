#!/usr/bin/env python3
"""A key-value node on PySyncObj: node.py DATA SELF BIND-ADDRESS API-ADDRESS MEMBERS, with members as 127.0.0.1:7001,...

Every operation, reads included, is a command of the replicated log. A follower forwards commands by itself.
"""

import http.server
import json
import logging
import queue
import sys

from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf, replicated

DATA, SELF, BIND, API, MEMBERS = sys.argv[1:6]
# With these the command was not proposed. All other failures leave its outcome open.
NOT_PROPOSED = (FAIL_REASON.QUEUE_FULL, FAIL_REASON.MISSING_LEADER, FAIL_REASON.REQUEST_DENIED)


class Store(SyncObj):
    def __init__(self):
        super().__init__(SELF, [member for member in MEMBERS.split(",") if member != SELF], SyncObjConf(
            bindAddress=BIND,
            journalFile=f"{DATA}/journal",
            fullDumpFile=f"{DATA}/dump",
            logCompactionMinEntries=20,  # few, so that a node that is behind needs a dump
            appendEntriesUseBatch=False,  # the documented choice for short latencies
            commandsWaitLeader=False,
            connectionRetryTime=0.5,
            leaderFallbackTimeout=5.0,
        ))
        self.values = {}

    @replicated
    def execute(self, name, key, *arguments):
        """Returns the value, or for changes whether anything was changed."""
        old = self.values.get(key)
        if name == "get":
            return old
        if name == "cas" and (old or "") != arguments[0]:
            return False
        if name == "add":
            self.values[key] = str(int(old or 0) + int(arguments[0]))
        elif name == "append":
            self.values[key] = f"{old},{arguments[0]}" if old else arguments[0]
        else:
            self.values[key] = arguments[-1]
        return True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def execute(self, words):
        """Returns the result if the command was executed; answers the client otherwise."""
        done = queue.SimpleQueue()
        store.execute(*words, callback=lambda result, reason: done.put((result, reason)))
        try:
            result, reason = done.get(timeout=1)
        except queue.Empty:
            return self.answer(503, "no answer in time")
        if reason != FAIL_REASON.SUCCESS:
            return self.answer(421 if reason in NOT_PROPOSED else 503, f"reason {reason}")
        if words[0] == "get":
            return self.answer(404 if result is None else 200, result or "")
        self.answer(200 if result else 409)

    def do_GET(self):
        if self.path == "/health":
            return self.answer(200, json.dumps({"leader": store._isLeader(), "term": store.raftCurrentTerm}))
        self.execute(["get", self.path[1:]])

    def do_POST(self):
        self.execute(self.rfile.read(int(self.headers["Content-Length"])).decode().split(" "))


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
store = Store()
host, port = API.split(":")
Server((host, int(port)), Handler).serve_forever()
