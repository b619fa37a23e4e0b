#!/usr/bin/env python3
"""What the real program asks of the kernel for each connection and each exchange, counted: it may not grow unseen.

  system_calls.py PROGRAM REFEREE: strace counts all threads of the program while the referee drives short
  connections, then exchanges, through it. epoll_wait is left out, for how many events come at once is the load's
  business. Exit status 77 where strace is missing or may not look at other processes."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

MOST = {"conn": 14.5, "rr": 4.1}
CLIENTS, SECONDS, LEAST_OPERATIONS, MOST_ROUNDS = 32, 2, 5000, 20
PROGRAM, REFEREE = sys.argv[1:3]


def free_ports(count):
    """Neighbours on which nobody listens now."""
    for first in range(20000, 30000, count):
        held = []
        try:
            for port in range(first, first + count):
                held.append(socket.create_server(("127.0.0.1", port)))
            return first
        except OSError:
            continue
        finally:
            for each in held:
                each.close()
    sys.exit("FAILED: no free ports")


def state(port, first_backend):
    backends = [{"address": "127.0.0.1", "port": first_backend + i} for i in range(3)]
    return {"schema": "empalme.io/v1", "epoch": 1, "generation": 1, "services": [{
        "key": "file/web", "addresses": ["127.0.0.1"], "ports": [{"port": port, "backends": backends}]}]}


def start(work, port, first_backend):
    with open(f"{work}/state.json", "w", encoding="ascii") as file:
        json.dump(state(port, first_backend), file)
    running = subprocess.Popen([PROGRAM, "--admin", f"unix:{work}/admin.sock", "--state", f"{work}/state.json",
                                "--workers", "1"], stderr=subprocess.DEVNULL)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return running
        time.sleep(0.05)
    sys.exit("FAILED: it does not listen")


def attached(pid):
    """Whether all threads of the process are looked at."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as status:
            if "TracerPid:\t0\n" in status.read():
                return False
    return True


def watch(pid, table):
    trace = subprocess.Popen(["strace", "-f", "-c", "-o", table, "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    for _ in range(100):
        if attached(pid):
            return trace
        if trace.poll() is not None:
            print("skipped: strace may not look at another process here:", trace.stderr.read().strip())
            sys.exit(77)
        time.sleep(0.05)
    sys.exit("FAILED: strace does not get hold of it")


def counted(table):
    calls = {}
    with open(table, encoding="ascii") as lines:
        for line in lines:
            found = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
            if found and found[2] not in ("total", "epoll_wait", "epoll_pwait", "epoll_pwait2"):
                calls[found[2]] = int(found[1])
    return calls


def drive(kind, port, first_backend):
    """Rounds until there was enough to count, however slow the machine: what all of them did, and how many they were."""
    done = {"operations": 0, "errors": 0, "corrupt": 0}
    for rounds in range(1, MOST_ROUNDS + 1):
        said = subprocess.run([REFEREE, kind, "--target", str(port), "--backends", str(first_backend),
                               "-c", str(CLIENTS), "--warm", "0", "--seconds", str(SECONDS)],
                              capture_output=True, text=True, check=False, timeout=60)
        row = json.loads(said.stdout)
        done = {name: count + row[name] for name, count in done.items()}
        if done["operations"] >= LEAST_OPERATIONS:
            break
    return done, rounds


def measure(kind, work, running, port, first_backend):
    table = f"{work}/{kind}"
    trace = watch(running.pid, table)
    # Nothing before the watch, nothing after it: what is counted is what was done.
    row, rounds = drive(kind, port, first_backend)
    trace.send_signal(signal.SIGINT)
    trace.wait(20)
    calls = counted(table)
    operations = max(1, row["operations"])
    # In each round each client has one connection more than was finished: the one that the end cuts off, or that has
    # all exchanges.
    each = (sum(calls.values()) - rounds * CLIENTS * MOST["conn"]) / operations
    most_common = sorted(calls.items(), key=lambda call: -call[1])
    print(f"{kind}: {each:.2f} system calls each of {operations:.0f}, at most {MOST[kind]}: ",
          "  ".join(f"{name} {count / operations:.2f}" for name, count in most_common[:12]), flush=True)
    return (operations >= LEAST_OPERATIONS and row["errors"] == 0 and row["corrupt"] == 0 and
            MOST[kind] / 2 < each <= MOST[kind])


def main():
    if shutil.which("strace") is None:
        print("skipped: strace is not installed")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as work:
        port = free_ports(4)
        running = start(work, port, port + 1)
        try:
            good = [measure(kind, work, running, port, port + 1) for kind in MOST]
        finally:
            running.terminate()
            running.wait(10)
    if not all(good):
        sys.exit("FAILED: too many system calls, or the work went wrong")


if __name__ == "__main__":
    main()
