"""Counts its requests in Redis; each answer is the container's name and the count."""
import os
import socket
import time

import flask
import redis

app = flask.Flask(__name__)
store = redis.Redis(host="redis")
name = socket.gethostname()


@app.get("/")
def count():
    number = store.incr("hits")
    time.sleep(float(os.environ.get("WORK_SECONDS", "0")))
    return f"{name} {number}\n"


@app.get("/health")
def health():
    return ("leaving\n", 503) if os.path.exists("/tmp/leaving") else "well\n"
