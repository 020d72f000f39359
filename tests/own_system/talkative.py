#!/usr/bin/env python3
"""The sample server, which also writes to its log and waits until its cluster is set up. talkative.py SHARED ID HOST PORT PEERS"""

import os
import runpy
import signal
import sys
import threading
import time

SHARED, ID = sys.argv[1], sys.argv[2]
HERE = os.path.dirname(os.path.abspath(__file__))


def end_in_order(*_):
    print("ended in order", flush=True)
    os._exit(0)


def serve_once_set_up():
    while not os.path.exists(os.path.join(SHARED, "is-set-up")):
        time.sleep(0.02)
    print(f"serving as user {os.getuid()}", flush=True)
    if ID == "n1":
        print("leader of term 3", flush=True)
    if ID == "n2":
        print("PANIC: not really\nPANIC: once more", flush=True)


signal.signal(signal.SIGINT, end_in_order)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
threading.Thread(target=serve_once_set_up, daemon=True).start()
sys.argv[1:] = sys.argv[2:]
runpy.run_path(os.path.join(HERE, "../../examples/own-system/kv.py"), run_name="__main__")
