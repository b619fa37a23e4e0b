#!/usr/bin/env python3
"""The real program without memory: it answers or refuses, keeps its connections, and takes changes again after.

  short_of_memory.py PROGRAM: RLIMIT_AS of the program alone is lowered to what it uses and a little more while
  states are put and patched, and lifted again; connections through it are open all the while, on loopback."""
import contextlib
import json
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time

CONNECTIONS, SLACKS_KIB = 20, (0, 300, 2000, 0, 1000, 4000)
failures = []


def check(holds, sentence):
    if not holds:
        failures.append(sentence)
        print("FAILED:", sentence, flush=True)


def ask(path, method, target, body=None, patience=10):
    """The status and the body; (0, '') where the connection was closed without an answer."""
    data = b"" if body is None else json.dumps(body).encode()
    answer = b""
    with socket.socket(socket.AF_UNIX) as fd:
        fd.settimeout(patience)
        with contextlib.suppress(ConnectionError):
            fd.connect(path)
            fd.sendall(f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                       f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
            while block := fd.recv(65536):
                answer += block
    head, _, text = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]), text.decode()) if head else (0, "")


def metric(path, name):
    for line in ask(path, "GET", "/metrics")[1].splitlines():
        if line.startswith(f"empalme_dataplane_{name} "):
            return float(line.split()[1])
    return None


def echo(listener):
    def serve(fd):
        with fd, contextlib.suppress(OSError):
            while block := fd.recv(4096):
                fd.sendall(block)

    while True:
        fd, _ = listener.accept()
        threading.Thread(target=serve, args=(fd,), daemon=True).start()


def service(key, port, backends):
    return {"key": key, "addresses": ["127.0.0.1"], "ports": [{
        "port": port, "backends": [{"address": "127.0.0.1", "port": each} for each in backends]}]}


class Program:
    """The program, the port it serves, and who publishes to it."""

    def __init__(self, program, folder, vip, backend):
        self.admin = f"{folder}/admin.sock"
        self.vip, self.backend = vip, backend
        self.generation, self.extra = 0, 0
        with open(f"{folder}/log", "w", encoding="ascii") as log:
            self.running = subprocess.Popen([program, "--admin", f"unix:{self.admin}", "--workers", "2"],
                                            stderr=log, stdout=log)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if ask(self.admin, "GET", "/healthz")[0] == 200:
                    return
            time.sleep(0.05)
        sys.exit("FAILED: no admin socket")

    def limit(self, slack_kib):
        with open(f"/proc/{self.running.pid}/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        most = resource.RLIM_INFINITY if slack_kib is None else used + slack_kib * 1024
        resource.prlimit(self.running.pid, resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))

    def put(self, services, patience=10):
        """One service is served; addresses that are refused have the others cost memory and nothing else."""
        self.generation += 1
        many = [service(f"file/b{i:05d}", 80, range(1000, 1020)) for i in range(services)]
        for number, each in enumerate(many):
            each["addresses"] = [f"169.254.{number // 250}.{1 + number % 250}"]
        return ask(self.admin, "PUT", "/v1/state", {
            "schema": "empalme.io/v1", "epoch": 1, "generation": self.generation,
            "services": [service("file/a", self.vip, [self.backend])] + many}, patience)[0]

    def patch(self):
        status, text = ask(self.admin, "GET", "/v1/state")
        if status != 200:
            return status
        held = json.loads(text)["generation"]
        self.extra += 1
        self.generation = held + 1
        added = service(f"file/c{self.extra:05d}", 1, range(1000, 1020))
        added["ports"][0]["port"] = 0x8000 + self.extra % 0x4000
        added["addresses"] = [f"127.1.{self.extra // 250}.{1 + self.extra % 250}"]
        return ask(self.admin, "PATCH", "/v1/state", {
            "schema": "empalme.io/v1", "epoch": 1, "base_generation": held, "generation": held + 1,
            "changed": [added], "removed": []})[0]


def served(clients):
    try:
        for fd in clients:
            fd.sendall(b"x")
        return sum(fd.recv(1) == b"x" for fd in clients)
    except (ConnectionError, TimeoutError):
        return 0


def squeeze(program, clients, slack, change):
    """Changes under the limit until one is not applied; then all is as before, as soon as it is lifted."""
    program.limit(slack)
    statuses = []
    for _ in range(400):
        try:
            statuses.append(change())
        except TimeoutError:
            statuses.append(-1)
        if statuses[-1] != 200:
            break
    going = program.running.poll() is None and served(clients) == len(clients)
    check(-1 not in statuses, f"{slack} KiB: a change is answered or its connection closed: {statuses[-3:]}")
    check(going, f"{slack} KiB: it lives, and its connections go on")
    if not going:
        return False
    program.limit(None)
    held = json.loads(ask(program.admin, "GET", "/v1/state")[1])["generation"]
    program.generation = max(program.generation, held)
    after = program.put(3)
    check(after == 200, f"{slack} KiB: a change is applied once there is memory again, not {after}")
    with socket.create_connection(("127.0.0.1", program.vip), timeout=5) as fresh:
        check(served([fresh]) == 1, f"{slack} KiB: new connections are served")
    print(f"{slack} KiB: {len(statuses)} changes, the last one answered {statuses[-1]}", flush=True)
    return after == 200


def main():
    folder = tempfile.mkdtemp()
    backend = socket.create_server(("127.0.0.1", 0), backlog=128)
    threading.Thread(target=echo, args=(backend,), daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        vip = probe.getsockname()[1]
    program = Program(sys.argv[1], folder, vip, backend.getsockname()[1])
    try:
        check(program.put(50) == 200, "a state is applied while there is memory")
        clients = [socket.create_connection(("127.0.0.1", vip), timeout=10) for _ in range(CONNECTIONS)]
        check(served(clients) == CONNECTIONS, "connections are served while there is memory")
        sizes = iter(range(300, 100_000, 300))
        for slack in SLACKS_KIB:
            if not squeeze(program, clients, slack, lambda: program.put(next(sizes) % 3000)):
                break
            if not squeeze(program, clients, slack, program.patch):
                break
        if program.running.poll() is None:
            program.limit(None)
            check((metric(program.admin, "no_memory_total") or 0) > 0, "the want is counted")
    finally:
        program.running.terminate()
        try:
            check(program.running.wait(10) == 0, "it ends when asked to")
        except subprocess.TimeoutExpired:
            program.running.kill()
            check(False, "it ends when asked to")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
