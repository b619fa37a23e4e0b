"""The data plane under test: its process, its admin socket, what /proc says about it."""
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import time


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class DataPlane:
    def __init__(self, program, folder, workers):
        self.socket = f"{folder}/admin.sock"
        self.log = f"{folder}/dataplane.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [program, "--admin", f"unix:{self.socket}", "--workers", str(workers),
                 "--state-dir", f"{folder}/held", "--drain", "5"], stderr=log)
        self.generation = 0
        self.limits = None

    def wait_until_up(self, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.limits = resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE)
                return self.ask("GET", "/healthz")
            except OSError:
                if time.monotonic() > deadline or not self.alive():
                    raise
                time.sleep(0.05)

    def alive(self):
        return self.process.poll() is None

    def ask(self, method, target, body=None, timeout=10):
        connection = UnixConnection(self.socket, timeout)
        try:
            connection.request(method, target, body)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise OSError(f"{method} {target}: {answer.status} {text[:300]}")
            return text
        finally:
            connection.close()

    def put(self, services):
        self._change("PUT", {"generation": self.generation + 1, "services": services})

    def patch(self, changed=(), removed=()):
        self._change("PATCH", {"base_generation": self.generation,
                               "generation": self.generation + 1, "changed": list(changed),
                               "removed": list(removed)})

    def _change(self, method, document):
        body = json.dumps({"schema": "empalme.io/v1", "epoch": 1, **document})
        answer = json.loads(self.ask(method, "/v1/state", body))
        if answer["failed"]:
            raise OSError(f"not programmed: {answer['failed']}")
        self.generation += 1

    def drain(self, method, backend):
        body = json.dumps({"backend": f"{backend.address}:{backend.port}"})
        self.ask(method, "/v1/drain", body)

    def metric(self, name):
        name = f"empalme_dataplane_{name} "
        for line in self.ask("GET", "/metrics").decode().splitlines():
            if line.startswith(name):
                return float(line.split()[-1])
        raise KeyError(name)

    def descriptors(self):
        """(pipes, all others): how many pipes wait in the pool depends on the load before."""
        folder = f"/proc/{self.process.pid}/fd"
        kinds = []
        for name in os.listdir(folder):
            try:
                kinds.append(os.readlink(f"{folder}/{name}").split(":")[0])
            except FileNotFoundError:
                pass
        pipes = kinds.count("pipe")
        return pipes, len(kinds) - pipes

    def rss(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            line = next(line for line in status if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def limit_descriptors(self, spare):
        """Leaves it `spare` more than it has; None gives back what it started with."""
        soft, hard = self.limits
        if spare is not None:
            soft = sum(self.descriptors()) + spare
        resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (soft, hard))

    def end(self):
        """Its exit code after SIGTERM; a process that must be killed has the code of SIGKILL."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
