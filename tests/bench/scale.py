"""What size costs: a data plane of its own takes many services from nothing, then has one of them changed
again and again while connections run through others. Needs no root.

  python3 tests/bench/scale.py [--services 1000] [--backends 10] [--puts 3] [--patches 200] [--goals]

Round trips are a client's, from the first byte of the request to the end of the 200; CPU is that of all
threads of the data plane. It is a failure, whatever the times, when a connection through another service
is reset, loses a byte, or is not counted; with --goals it is one, too, when a figure misses its goal.
"""
import argparse
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import scale_load

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LISTEN_PORT = 18080
GOAL_PUT_MS, GOAL_PATCH_MS = 150, 5


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("dataplane", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def listener(i):
    return f"127.{64 + i // 62500}.{i // 250 % 250}.{i % 250 + 1}"


def backend(i, k):
    n = i * 16 + k
    return {"address": f"127.{128 + n // 62500}.{n // 250 % 250}.{n % 250 + 1}", "port": scale_load.BACKEND_PORT}


def service(i, backends):
    return {"key": f"scale/s{i:05}", "addresses": [listener(i)],
            "ports": [{"port": LISTEN_PORT, "backends": [backend(i, k) for k in range(backends)]}]}


class DataPlane:
    """One process, ended with the block; what it has kept goes with its folder."""

    def __init__(self, program, workers):
        self.folder = tempfile.TemporaryDirectory()
        self.admin = f"{self.folder.name}/admin.sock"
        self.log = open(f"{self.folder.name}/log", "w", encoding="utf-8")
        self.process = subprocess.Popen(
            [program, "--admin", f"unix:{self.admin}", "--announce", "none", "--workers", str(workers),
             "--state-dir", f"{self.folder.name}/state"], stdout=self.log, stderr=subprocess.STDOUT)

    def __enter__(self):
        for _ in range(500):
            try:
                self.connection = UnixConnection(self.admin)
                self.connection.connect()
                return self
            except OSError:
                time.sleep(0.01)
        raise SystemExit("the data plane does not start")

    def __exit__(self, *_):
        self.connection.close()
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def ask(self, method, path, body=None):
        """Milliseconds, status and body of one call."""
        began = time.perf_counter()
        self.connection.request(method, path, body)
        answer = self.connection.getresponse()
        text = answer.read()
        return (time.perf_counter() - began) * 1000, answer.status, text

    def change(self, method, document):
        body = json.dumps(document)
        took, status, text = self.ask(method, "/v1/state", body)
        answer = json.loads(text)
        if status != 200 or answer["failed"]:
            raise SystemExit(f"{method}: {status} {text[:400]}")
        return took

    def cpu_ms(self):
        total = 0
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{task}/schedstat", encoding="ascii") as stat:
                total += int(stat.read().split()[0])
        return total / 1e6

    def resident_mb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) / 1024

    def accepted(self):
        """Connections counted, by service."""
        text = self.ask("GET", "/metrics")[2].decode()
        found = re.findall(r'^empalme_service_connections_accepted_total\{.*?service="([^"]+)".*\} (\S+)$', text, re.M)
        return {key: int(float(value)) for key, value in found}


def line(what, times, goal=None):
    text = f"{what:34} median {statistics.median(times):9.2f}  worst {max(times):9.2f} ms"
    if goal is not None:
        text += f"   goal {goal} ms: {'met' if statistics.median(times) <= goal else 'MISSED'}"
    print(text, flush=True)
    return statistics.median(times)


class Editor:
    """Adds a backend to a service and takes it away again, by turns."""

    def __init__(self, plane, generation, backends):
        self.plane, self.generation, self.backends = plane, generation, backends

    def patch(self, i, turn):
        document = {"schema": "empalme.io/v1", "epoch": 1, "base_generation": self.generation,
                    "generation": self.generation + 1, "removed": [],
                    "changed": [service(i, self.backends + (1 - turn % 2))]}
        self.generation += 1
        return self.plane.change("PATCH", document)


def put_from_nothing(options, state):
    times, cpu, memory = [], [], []
    for _ in range(options.puts):
        with DataPlane(options.program, options.workers) as plane:
            before = plane.cpu_ms()
            times.append(plane.change("PUT", state))
            cpu.append(plane.cpu_ms() - before)
            memory.append(plane.resident_mb())
    median = line(f"PUT of {options.services} x {options.backends}", times, GOAL_PUT_MS if options.services == 1000 else None)
    line("  CPU of it", cpu)
    print(f"  resident memory afterwards {statistics.median(memory):.1f} MB", flush=True)
    return median


def patch_one(options, state):
    with DataPlane(options.program, options.workers) as plane:
        plane.change("PUT", state)
        editor = Editor(plane, 1, options.backends)
        time.sleep(1.5)  # the first save is over
        before = plane.cpu_ms()
        quiet = [editor.patch(0, turn) for turn in range(options.patches)]
        line("PATCH of one service, idle", quiet)
        print(f"  CPU of each {(plane.cpu_ms() - before) / options.patches:.3f} ms (a save each second included)")
        loaded = list(range(1, 1 + options.loaded))
        with scale_load.Load([(listener(i), LISTEN_PORT) for i in [0] + loaded]) as load:
            times = []
            for turn in range(options.patches):
                times.append(editor.patch(0, turn))
                time.sleep(options.pause)
            result = load.finish()
        median = line("PATCH of one service, under load", times, GOAL_PATCH_MS)
        print(f"  meanwhile {result['steady']} kept connections had {result['exchanges']} exchanges, and "
              f"{result['fresh']} came new; resident memory {plane.resident_mb():.1f} MB")
        return median, check(result, plane.accepted(), loaded)


def check(result, accepted, loaded):
    """What was disturbed; nothing is the only good answer."""
    wrong = list(result["wrong"])
    for i, opened in zip([0] + loaded, result["opened"]):
        counted = accepted.get(f"scale/s{i:05}", 0)
        if counted != opened:
            wrong.append(f"service {i}: {opened} connections opened, {counted} counted")
    if result["fresh"] == 0 or result["exchanges"] < result["steady"]:
        wrong.append("the load did not run")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=f"{ROOT}/build/empalme-dataplane")
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--backends", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--puts", type=int, default=3)
    parser.add_argument("--patches", type=int, default=200)
    parser.add_argument("--loaded", type=int, default=20, help="other services with connections")
    parser.add_argument("--pause", type=float, default=0.01, help="seconds between two patches under load")
    parser.add_argument("--goals", action="store_true", help="fail when a figure misses its goal")
    options = parser.parse_args()
    state = {"schema": "empalme.io/v1", "epoch": 1, "generation": 1,
             "services": [service(i, options.backends) for i in range(options.services)]}
    put = put_from_nothing(options, state)
    patch, wrong = patch_one(options, state)
    for each in wrong[:20]:
        print("DISTURBED:", each)
    print("other connections:", "disturbed" if wrong else "undisturbed, every byte and every count in place")
    missed = options.goals and (put > GOAL_PUT_MS or patch > GOAL_PATCH_MS)
    sys.exit(1 if wrong or missed else 0)


if __name__ == "__main__":
    main()
