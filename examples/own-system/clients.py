#!/usr/bin/env python3
"""One program for all clients, for the wire `exec` with programs = "one-for-all": clients.py TIMEOUT_MS

A thread for each client sends its requests; their answers may come in any order.
"""

import http.client
import json
import queue
import sys
import threading
import urllib.error
import urllib.request

TIMEOUT = int(sys.argv[1]) / 1000
OUTPUT = threading.Lock()


def say(answer):
    with OUTPUT:
        print(json.dumps(answer), flush=True)


def send(address, method, key, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{address}/{key}", data=data, method=method)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        return json.load(answer)


def invoke(address, f, key, value):
    if f == "read":
        return send(address, "GET", key)["value"]
    if f == "write":
        send(address, "PUT", key, {"value": value})
        return None
    if f == "cas":
        send(address, "PUT", key, {"from": value[0], "value": value[1]})
        return True
    raise ValueError(f"there is no {f}")


def serve(requests):
    while asked := requests.get():
        answer = {"id": asked["id"], "type": "ok"}
        try:
            answer["value"] = invoke(asked["address"], asked["f"], asked["key"], asked["value"])
        except urllib.error.HTTPError as error:
            if (asked["f"], error.code) == ("read", 404):
                answer["value"] = None
            elif (asked["f"], error.code) == ("cas", 409):
                answer["value"] = False
            else:
                answer |= {"type": "info", "error": f"status {error.code}"}
        except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
            # Lost, late or cut in the middle: nobody knows whether it was executed.
            answer |= {"type": "info", "error": str(error)}
        say(answer)


clients = {}
for line in sys.stdin:
    asked = json.loads(line)
    if asked["f"] == "hello":
        operations = ["register.read", "register.write", "register.cas"]
        say({"id": asked["id"], "type": "ok", "version": 1, "operations": operations, "clients": "all"})
    elif asked["f"] == "close":
        if requests := clients.pop(asked["client"], None):
            requests.put(None)
    else:
        if asked["client"] not in clients:
            requests = clients[asked["client"]] = queue.Queue()
            threading.Thread(target=serve, args=(requests,), daemon=True).start()
        clients[asked["client"]].put(asked)
