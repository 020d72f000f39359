#!/usr/bin/env python3
"""A client for the wire `exec`: JSON lines in, JSON lines out, one program per client. client.py ADDRESS TIMEOUT_MS"""

import http.client
import json
import sys
import urllib.error
import urllib.request

ADDRESS, TIMEOUT = sys.argv[1], int(sys.argv[2]) / 1000


def send(method, key, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{ADDRESS}/{key}", data=data, method=method)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        return json.load(answer)


def invoke(f, key, value):
    if f == "read":
        return send("GET", key)["value"]
    if f == "write":
        send("PUT", key, {"value": value})
        return None
    if f == "cas":
        send("PUT", key, {"from": value[0], "value": value[1]})
        return True
    raise ValueError(f"there is no {f}")


for line in sys.stdin:
    asked = json.loads(line)
    answer = {"id": asked["id"], "type": "ok"}
    if asked["f"] == "hello":
        answer |= {"version": 1, "operations": ["register.read", "register.write", "register.cas"]}
        print(json.dumps(answer), flush=True)
        continue
    try:
        answer["value"] = invoke(asked["f"], asked["key"], asked["value"])
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
    print(json.dumps(answer), flush=True)
