#!/usr/bin/env python3
"""A server of the Redis protocol in memory: the commands that resp.toml needs. resp.py HOST PORT"""

import socketserver
import sys
import threading

HOST, PORT = sys.argv[1], int(sys.argv[2])
store, lock = {}, threading.Lock()


class Failure(Exception):
    pass


def execute(command, *args):
    command = command.upper()
    if command == "GET":
        return store.get(args[0])
    if command == "SET":
        if "NX" in args[2:] and args[0] in store:
            return None
        store[args[0]] = args[1]
        return "+OK"
    if command == "CAS":  # key from to: no command of Redis, where it would be a script
        if store.get(args[0]) != args[1]:
            return 0
        store[args[0]] = args[2]
        return 1
    if command == "INCRBY":
        store[args[0]] = str(int(store.get(args[0], "0")) + int(args[1]))
        return int(store[args[0]])
    if command == "SADD":
        store.setdefault(args[0], set()).add(args[1])
        return 1
    if command == "SMEMBERS":
        return list(store.get(args[0], ()))
    if command == "RPUSH":
        store.setdefault(args[0], []).append(args[1])
        return len(store[args[0]])
    if command == "LRANGE":
        return list(store.get(args[0], ()))
    if command == "DELIF":  # key value: what the script of every lock on Redis does
        if store.get(args[0]) != args[1]:
            return 0
        del store[args[0]]
        return 1
    raise Failure(f"unknown command '{command}'")


def encoded(reply):
    if reply is None:
        return "$-1\r\n"
    if isinstance(reply, int):
        return f":{reply}\r\n"
    if isinstance(reply, list):
        return f"*{len(reply)}\r\n" + "".join(map(encoded, reply))
    if reply.startswith(("+", "-")):
        return reply + "\r\n"
    return f"${len(reply)}\r\n{reply}\r\n"


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while line := self.rfile.readline():
            words = []
            for _ in range(int(line[1:])):
                length = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(length + 2)[:-2].decode())
            try:
                with lock:
                    reply = execute(*words)
            except Failure as error:
                reply = f"-ERR {error}"
            self.wfile.write(encoded(reply).encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


Server((HOST, PORT), Handler).serve_forever()
