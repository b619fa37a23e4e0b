"""Traffic whose every byte is checked, through a data plane around which everything goes wrong.

    ./test soak [SECONDS] [--seed N] [--build FOLDER] [--clients N] [--backends N]

A first storm warms up, then descriptors and memory are taken as the base, then the long storm
blows, and afterwards both must be back. Every failed connection must be explained by something
that the storm did to it (judge.py). The closing line counts the laws: "N passed, N failed".
"""
import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import judge
from dataplane import DataPlane
from storm import DATAGRAMS, EXTRA, MAIN, PROXIED, STEADY, Backend, Storm
from watch import Watch

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MEGABYTE = 1 << 20
ADMIN_PATIENCE = 1.0
CROWDS = 2  # processes that clients live in
LONG = 600  # seconds from which on a run must have checked much


def arguments():
    parser = argparse.ArgumentParser(prog="./test soak")
    parser.add_argument("seconds", nargs="?", type=int, default=600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--build", default=f"{ROOT}/build")
    parser.add_argument("--clients", type=int, default=80)
    parser.add_argument("--backends", type=int, default=6)
    return parser.parse_args()


# A sanitizer keeps freed memory back.
def is_sanitized(build):
    cache = f"{build}/CMakeCache.txt"
    if not os.path.exists(cache):
        return False
    with open(cache, encoding="utf-8") as lines:
        return any(re.match(r"EMPALME_SANITIZE:\w+=.", line) for line in lines)


class Soak:
    def __init__(self, options):
        self.options = options
        self.chance = random.Random(options.seed)
        self.folder = tempfile.mkdtemp(prefix="empalme-soak-")
        # Addresses of this run's own: no other port of the machine is in the way.
        self.net = f"127.{random.randrange(64, 250)}.{os.getpid() % 250 + 1}"
        self.findings = f"{self.folder}/findings"
        self.dataplane = DataPlane(f"{options.build}/empalme-dataplane", self.folder, 2)
        backends = [Backend(i, f"{self.net}.{i + 1}", 9000, self.findings)
                    for i in range(options.backends + 2)]
        self.storm = Storm(self.dataplane, f"{self.net}.200", backends[2:], backends[:2],
                           self.chance)
        self.failures = []
        self.sums = {"connections": 0, "failed": 0, "bytes": 0, "proxied": 0, "datagrams": 0,
                     "answers": 0}

    def run(self):
        self.dataplane.wait_until_up()
        for one in self.storm.crowd + self.storm.steady:
            one.start()
        self.dataplane.put(self.storm.services())
        watch = Watch(self.dataplane)
        try:
            warm = max(10, min(60, self.options.seconds // 4))
            self.blow(warm)
            base = self.measure()
            self.blow(max(10, self.options.seconds - warm))
            after = self.measure(base)
        finally:
            watch.end()
        return self.laws(watch, base, after)

    def blow(self, seconds):
        reports = [f"{self.folder}/crowd-{i}" for i in range(CROWDS)]
        crowds = [self.start_crowd(seconds, report) for report in reports]
        try:
            self.storm.rage(seconds)
        finally:
            for crowd, report in zip(crowds, reports):
                self.take(crowd, report, seconds * 3 + 120)

    # To a file: a pipe that nobody empties would stop the clients.
    def start_crowd(self, seconds, report):
        def service(key, port):
            return {"key": key, "address": self.storm.address, "port": port}
        plan = {"seed": self.chance.randrange(1 << 31), "seconds": seconds,
                "clients": self.options.clients // CROWDS, "steady": 4,
                "services": [service(MAIN, 7000), service(EXTRA, 7002),
                             {**service(PROXIED, 7003), "proxied": True}],
                "datagrams": 4, "datagram_service": service(DATAGRAMS, 7000),
                "steady_service": service(STEADY, 7001)}
        with open(report, "wb") as out:
            return subprocess.Popen([sys.executable, f"{HERE}/clients.py", json.dumps(plan)],
                                    stdout=out)

    def take(self, crowd, report, patience):
        try:
            crowd.wait(patience)
        finally:
            crowd.kill()
        with open(report, encoding="utf-8") as lines:
            for line in lines:
                said = json.loads(line)
                for name, value in said.get("sums", {}).items():
                    self.sums[name] += value
                if "sums" not in said:
                    self.failures.append(said)

    # Waits for the last connection to end, and for descriptors to be as `base` when it is given.
    def measure(self, base=None):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.dataplane.alive():
            active = (self.dataplane.metric("connections_accepted_total") -
                      self.dataplane.metric("connections_closed_total"))
            now = self.dataplane.descriptors()
            if active == 0 and (base is None or now[1] == base["others"]):
                break
            time.sleep(0.2)
        if base is None:
            time.sleep(6)  # an ejection's length: whoever probes a backend still is through then
        pipes, others = self.dataplane.descriptors()
        return {"active": active, "pipes": pipes, "others": others, "rss": self.dataplane.rss()}

    def laws(self, watch, base, after):
        explained = {}
        unexplained = []
        for failure in self.failures:
            why = judge.explain(failure, self.storm.events)
            explained[why] = explained.get(why, 0) + 1
            if why is None:
                unexplained.append(failure)
        corrupt = [f["error"] for f in self.failures if f["kind"] == "corrupt"]
        if os.path.exists(self.findings):
            with open(self.findings, encoding="utf-8") as findings:
                corrupt += findings.read().splitlines()
        alive = self.dataplane.alive()
        code = self.dataplane.end() if alive else self.dataplane.process.returncode
        room = base["rss"] * 1.2 + 8 * MEGABYTE
        print(f"storm: {self.storm.counts}")
        print(f"traffic: {self.sums}; failures by what explains them: {explained}")
        print(f"base: {base}\nafter: {after}")
        slowest, target = watch.slowest
        return [
            ("no byte is wrong", not corrupt, corrupt[:10]),
            ("every failure is explained", not unexplained, unexplained[:10]),
            ("there was traffic", self.sums["connections"] > self.sums["failed"] * 2, self.sums),
            (f"a run of {LONG} s has checked a gigabyte",
             self.options.seconds < LONG or self.sums["bytes"] >= 1024 * MEGABYTE, self.sums),
            ("headers of the PROXY protocol came through", self.sums["proxied"] > 0, self.sums),
            ("most datagrams are answered", self.sums["answers"] > self.sums["datagrams"] * 0.8,
             self.sums),
            ("the data plane lives and ends in peace", alive and code == 0, f"code {code}"),
            ("connections are back to none", after["active"] == 0, after),
            ("descriptors are back", after["others"] == base["others"], after),
            ("memory is back", after["rss"] <= room or is_sanitized(self.options.build),
             f"{after['rss']} above {room:.0f}"),
            (f"the admin answers within {ADMIN_PATIENCE} s (slowest {slowest:.2f} s for {target}, "
             f"the machine up to {watch.latest:.2f} s late)",
             slowest <= ADMIN_PATIENCE + watch.latest and not watch.failures,
             watch.failures[:10]),
        ]

    def end(self):
        self.storm.end()
        if self.dataplane.alive():
            self.dataplane.end()


def main():
    options = arguments()
    print(f"{options.seconds} s, seed {options.seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    soak = Soak(options)
    try:
        laws = soak.run()
    finally:
        soak.end()
    for law, holds, detail in laws:
        print(f"{'ok    ' if holds else 'FAILED'} {law}{'' if holds else f': {detail}'}")
    failed = sum(not holds for _, holds, _ in laws)
    if failed:
        print(f"the data plane's log: {soak.dataplane.log}")
    else:
        shutil.rmtree(soak.folder)
    print(f"{len(laws) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
