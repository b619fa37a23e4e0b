#!/usr/bin/env python3
"""Measures what lb.yaml promises: 20,000 connections by 90:10, then by 50:50 after an edit of the file.

Connections that were open before the edit must go on after it, the sources of a group must get that
group alone, and no connection may fail. Run by tests/support/own_loopback.sh, since the ports are
those of the file: split.py BUILD_FOLDER"""
import collections
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

SERVICE = ("127.0.0.1", 8080)
GROUP = {"4000": "stable", "4001": "stable", "4002": "canary"}
HERE = pathlib.Path(__file__).resolve().parent
CONNECTIONS = 20_000
THREADS = 4
OPEN = 50


def connect(source):
    client = socket.socket()
    client.settimeout(5)
    client.bind((source, 0))
    client.connect(SERVICE)
    return client


def answer(client):
    """The name of the server that answers on that connection."""
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    got = b""
    while block := client.recv(4096):
        got += block
    client.close()
    return got.rpartition(b"\r\n\r\n")[2].decode().strip()


class Kept:
    """Connections that stay open, with a question every second, since the server hangs up on the silent."""

    def __init__(self, count):
        self.clients = [connect("127.0.0.1") for _ in range(count)]
        self.lost = set()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.over.wait(1):
            self.ask_all()

    def ask_all(self):
        for client in self.clients:
            try:
                client.sendall(b"GET / HTTP/1.1\r\nHost: demo\r\n\r\n")
                if not client.recv(4096).startswith(b"HTTP/1.1 200"):
                    self.lost.add(client)
            except OSError:
                self.lost.add(client)

    def stop(self):
        """How many are open still."""
        self.over.set()
        self.thread.join()
        self.ask_all()
        return len(self.clients) - len(self.lost)


def count(connections, source="127.0.1."):
    """How many connections each group had, and how many failed ("failed")."""
    counts = [collections.Counter() for _ in range(THREADS)]

    def run(mine, address):
        for _ in range(connections // THREADS):
            try:
                mine[GROUP[answer(connect(address))]] += 1
            except (OSError, KeyError):
                mine["failed"] += 1

    threads = [threading.Thread(target=run, args=(mine, f"{source}{i + 1}" if source[-1] == "." else source))
               for i, mine in enumerate(counts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts, collections.Counter())


def until(holds, what):
    for _ in range(150):
        try:
            if holds():
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"FAILED: {what}")


def expect(truth, what):
    if not truth:
        raise SystemExit(f"FAILED: {what}")


def shares(percent):
    counts = count(CONNECTIONS)
    share = 100 * counts["stable"] / CONNECTIONS
    print(f"{CONNECTIONS} connections: stable {share:.2f} %, canary "
          f"{100 * counts['canary'] / CONNECTIONS:.2f} %, failed {counts['failed']}", flush=True)
    expect(counts["failed"] == 0, "connections failed")
    expect(abs(share - percent) <= 1, f"stable was to have {percent} %")


def main(build, work):
    programs = []
    file = work / "lb.yaml"
    file.write_text((HERE / "lb.yaml").read_text())

    def start(*command):
        log = open(work / "programs.log", "ab")
        programs.append(subprocess.Popen([build / command[0], *command[1:]], stdout=log, stderr=log))

    kept = None
    try:
        for port in GROUP:
            start("empalme-demo-web", "--name", port, "--listen", f"127.0.0.1:{port}")
        start("empalme", "up", "--source", f"file:{file}", "--socket-dir", work / "run",
              "--observe", "127.0.0.1:9180", "--observe-controller", "none")
        until(lambda: answer(connect("127.0.0.1")) in GROUP, "nobody answers")
        shares(90)
        kept = Kept(OPEN)
        staff = count(200, "127.0.0.9")
        expect(staff == {"canary": 200}, f"the group's sources were to get it alone: {staff}")

        file.write_text(re.sub(r"weight: \d+", "weight: 50", file.read_text()))

        def weighs(text):
            return re.findall(r"^empalme_group_weight\{.*\} (\d+)$", text, re.M) == ["50", "50"]

        until(lambda: weighs(subprocess.run(["curl", "-s", "http://127.0.0.1:9180/metrics"], check=False,
                                            capture_output=True, text=True).stdout), "the edit is not followed")
        shares(50)
        went_on = kept.stop()
        print(f"{went_on} of {OPEN} connections from before the edit went on")
        expect(went_on == OPEN, "connections were lost")
    except SystemExit:
        print((work / "programs.log").read_text()[-2000:], file=sys.stderr)
        raise
    finally:
        if kept:
            kept.over.set()
        for program in programs:
            program.terminate()
        for program in programs:
            program.wait()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(folder))
