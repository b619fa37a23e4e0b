#!/usr/bin/env python3
"""The real program with few descriptors: it holds the line, stays reachable, uses no CPU, and serves again.

  exhausts.py PROGRAM: a backend and more clients than fit, all on loopback; the limit is lowered for the
  program alone (RLIMIT_NOFILE), and nothing is asserted by time but with wide margins."""
import contextlib
import json
import os
import resource
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time

LIMIT, WORKERS, CLIENTS = 400, 2, 250
RESERVE = min(64 + 4 * WORKERS, LIMIT // 4)
failures = []


def check(holds, sentence):
    if not holds:
        failures.append(sentence)
        print("FAILED:", sentence, flush=True)


def ask(path, target):
    with socket.socket(socket.AF_UNIX) as fd:
        fd.settimeout(10)
        fd.connect(path)
        fd.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while block := fd.recv(65536):
            answer += block
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def metric(path, name):
    for line in ask(path, "/metrics")[1].splitlines():
        if line.startswith(f"empalme_dataplane_{name} "):
            return float(line.split()[1])
    return None


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def echo(listener):
    def serve(fd):
        # A client that leaves with a reset is none of its business.
        with fd, contextlib.suppress(OSError):
            while block := fd.recv(4096):
                fd.sendall(block)

    while True:
        fd, _ = listener.accept()
        threading.Thread(target=serve, args=(fd,), daemon=True).start()


def await_socket(path, running):
    for _ in range(200):
        try:
            return ask(path, "/healthz")[0]
        except OSError:
            if running.poll() is not None:
                sys.exit("FAILED: it has ended")
            time.sleep(0.05)
    sys.exit("FAILED: no admin socket")


def answered(clients, enough):
    """Sends a byte on each and gives those whose byte came back, when that many did or 10 s are over."""
    for fd in clients:
        fd.sendall(b"x")
    return echoed(clients, enough)


def echoed(clients, enough):
    open_ones, out = set(clients), []
    deadline = time.monotonic() + 10
    while len(out) < enough and (left := deadline - time.monotonic()) > 0:
        for fd in select.select(open_ones, [], [], left)[0]:
            open_ones.discard(fd)
            if fd.recv(1) == b"x":
                out.append(fd)
    return out


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    work = tempfile.mkdtemp()
    admin = f"{work}/admin.sock"
    backend = socket.create_server(("127.0.0.1", 0), backlog=512)
    threading.Thread(target=echo, args=(backend,), daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        vip = probe.getsockname()[1]
    state = {"schema": "empalme.io/v1", "epoch": 1, "generation": 1, "services": [{
        "key": "file/web", "addresses": ["127.0.0.1"], "ports": [{
            "port": vip, "backends": [{"address": "127.0.0.1", "port": backend.getsockname()[1]}]}]}]}
    with open(f"{work}/state.json", "w", encoding="ascii") as file:
        json.dump(state, file)
    lower = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, LIMIT))
    with open(f"{work}/log", "w", encoding="ascii") as log:
        running = subprocess.Popen([sys.argv[1], "--admin", f"unix:{admin}", "--state", f"{work}/state.json",
                                    "--workers", str(WORKERS)], stderr=log, stdout=log, preexec_fn=lower)
    try:
        await_socket(admin, running)
        run(running, admin, vip)
        check(running.poll() is None, "it has ended")
    finally:
        running.terminate()
        running.wait(10)
    with open(f"{work}/log", encoding="ascii") as log:
        text = log.read()
    check(f'"descriptors":"{LIMIT}"' in text, "the soft limit is raised, and logged")
    sys.exit(1 if failures else 0)


def run(running, admin, vip):
    check(metric(admin, "descriptor_limit") == LIMIT, "descriptor_limit")
    check(metric(admin, "descriptor_reserve") == RESERVE, "descriptor_reserve")
    clients = [socket.create_connection(("127.0.0.1", vip), timeout=5) for _ in range(CLIENTS)]
    most = (LIMIT - RESERVE) // 2
    deadline = time.monotonic() + 20
    while (metric(admin, "accept_pauses_total") or 0) == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    before, began = cpu_seconds(running.pid), time.monotonic()
    slowest = 0.0
    while time.monotonic() - began < 2:
        asked = time.monotonic()
        check(ask(admin, "/healthz")[0] == 200, "/healthz answers at the limit")
        check(ask(admin, "/v1/status")[0] == 200, "the admin API answers at the limit")
        slowest = max(slowest, time.monotonic() - asked)
        time.sleep(0.2)
    used = cpu_seconds(running.pid) - before
    opened = metric(admin, "descriptors")
    sessions = metric(admin, "connections")
    print(f"at the limit: {sessions:.0f} connections, {opened:.0f} of {LIMIT} descriptors, {used / 2:.1%} of a core "
          f"over 2 s, slowest answer {slowest * 1000:.0f} ms", flush=True)
    check(sessions <= most, f"at most {most} connections fit")
    check(sessions >= most - 60, "the line is not drawn too early")
    check(opened <= LIMIT - RESERVE + 2 * WORKERS + 2, "the reserve is left alone")
    check(used < 0.5, "it spins")
    check(metric(admin, "no_descriptor_total") == 0, "no dial lacks a descriptor")
    happy = answered(clients, int(sessions))
    check(len(happy) == sessions, "who is connected is served")
    waiting = [fd for fd in clients if fd not in happy]
    check(len(waiting) >= CLIENTS - most, "the others wait")
    for fd in happy:
        fd.close()
    began = time.monotonic()
    first = echoed(waiting, 1)
    print(f"served {1000 * (time.monotonic() - began):.0f} ms after others had left", flush=True)
    rest = [fd for fd in waiting if fd not in first]
    check(len(first) + len(echoed(rest, len(rest))) == len(waiting), "all who waited are served")
    check(metric(admin, "accept_pauses_total") > 0, "waiting is counted")


if __name__ == "__main__":
    main()
