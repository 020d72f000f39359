#!/usr/bin/env python3
"""A bare load generator with the requests of client.py, one process for each client. load.py ADDRESS CLIENTS SECONDS

It prints how many operations succeeded. systems/examples/overhead.rs compares it with a run of Tribunal.
"""

import http.client
import json
import multiprocessing
import sys
import time
import urllib.error
import urllib.request

ADDRESS, CLIENTS, SECONDS = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])


def send(method, key, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{ADDRESS}/{key}", data=data, method=method)
    with urllib.request.urlopen(request, timeout=1) as answer:
        return json.load(answer)


def work(client):
    done, number, end = 0, 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        number += 1
        try:
            # A third of the clients only read, and the others half of the time.
            if client % 3 == 0 or number % 2 == 0:
                send("GET", f"k{number % 10}")
            else:
                send("PUT", f"k{number % 10}", {"value": number * CLIENTS + client})
            done += 1
        except urllib.error.HTTPError as error:
            done += error.code == 404
        except (OSError, http.client.HTTPException):
            pass
    return done


if __name__ == "__main__":
    with multiprocessing.Pool(CLIENTS) as pool:
        print(sum(pool.map(work, range(CLIENTS))))
