#!/usr/bin/env python3
"""Does what README.md says, and measures what it promises: 20,000 connections by 90:10, then by 50:50 after its edit.

Connections that were open before the edit must go on after it, the sources of a group must get that
group alone, and no connection may fail. Run by tests/support/own_loopback.sh, since the ports are
those of the file: split.py BUILD_FOLDER"""
import collections
import pathlib
import re
import socket
import sys
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/support"))
import page_shell  # noqa: E402

SERVICE = ("127.0.0.1", 8080)
GROUP = {"4000": "stable", "4001": "stable", "4002": "canary"}
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


def weights(metrics):
    return re.findall(r"^empalme_group_weight\{.*\} (\d+)$", metrics, re.M)


def exposition():
    with urllib.request.urlopen("http://127.0.0.1:9180/metrics", timeout=5) as answered:
        return answered.read().decode()


def check_edit(shell):
    """The page's edit, with connections open."""
    kept = Kept(OPEN)
    try:
        shell.page("sed -i 's/weight: .*/weight: 50/'")
        until(lambda: weights(exposition()) == ["50", "50"], "the edit is not followed")
        expect(weights(shell.page("/metrics | grep empalme_group")) == ["50", "50"], "the page's metrics do not say so")
        shares(50)
    finally:
        went_on = kept.stop()
    print(f"{went_on} of {OPEN} connections from before the edit went on")
    expect(went_on == OPEN, "connections were lost")


def follow(shell):
    shell.page("for port in 4000 4001 4002")
    shell.page("cp examples/ab-split/lb.yaml")
    shell.page("empalme up")
    until(lambda: answer(connect("127.0.0.1")) in GROUP, "nobody answers")
    answers = re.findall(r"^ *(\d+) (\d+)$", shell.page("sort | uniq -c"), re.M)
    expect(sum(int(times) for times, _ in answers) == 20 and all(port in GROUP for _, port in answers),
           f"twenty answers of the three: {answers}")
    expect(shell.page("--interface 127.0.0.9") == "4002\n", "the group's sources were to get it alone")
    shares(90)
    staff = count(200, "127.0.0.9")
    expect(staff == {"canary": 200}, f"the group's sources were to get it alone: {staff}")
    check_edit(shell)
    shell.page("kill $(jobs -p)")
    shell.end()


def main(build, work):
    with page_shell.PageShell(HERE / "README.md", build, work) as shell:
        try:
            follow(shell)
        except SystemExit:
            print(shell.log()[-2000:], file=sys.stderr)
            raise


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(folder))
