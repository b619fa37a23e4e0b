"""What the control plane costs at 10,000 Services: a real controller and a real data plane beside an API
server that holds that many, then endpoints that turn ready and not ready at a steady rate. Needs root, for
a network namespace of its own.

  python3 tests/bench/fleet_scale.py [--services 10000] [--endpoints 10] [--rates 50,1000] [--seconds 20] [--goals]

Latency is from the watch event's write to the data plane's 200 for the PATCH that carries it; CPU is that of
all threads of both programs over the window, idle cost included, divided by the changes. A change that is
never acknowledged, a refused request or a listener that is not served is a failure; with --goals, so is a
figure that misses its goal. On a starved machine the open loop says little, since changes pile up into few
PATCHes; --rounds N has N rounds of 1 and of 20 changes (what 20 ms of coalescing make of 50/s and 1,000/s),
each acknowledged before the next, whose CPU can be trusted.
"""
import argparse
import asyncio
import gc
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

import fleet_scale_api
import fleet_scale_tap

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VIPS = "10.64.0.0/14"
POOL = "10.64.0.1-10.67.255.254"
GOALS = {"sync": 60, "controller": 600, "dataplane": 300, "cpu": 0.4, 50: 50, 1000: 100}
NOT_SOLVED = 5  # seconds after the last change
failures = []


def cpu_ns(pid):
    """Of all threads so far; none of them ends while we look."""
    out = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
            out += int(file.read().split()[0])
    return out


def memory_mb(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(rf"{field}:\s+(\d+)", file.read()).group(1)) / 1024


def fail(what):
    failures.append(what)
    print(f"FAILED: {what}", flush=True)


def judge(options, name, value, goal):
    if options.goals and value > goal:
        fail(f"{name} {value:.2f} is above the goal of {goal}")


class Fleet:
    """Both programs and what stands around them."""

    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="empalme-fleet-")
        self.api = fleet_scale_api.Api(options.services, options.endpoints)
        self.tap = fleet_scale_tap.Tap(f"{self.folder}/dataplane.sock")
        self.programs = {}

    def run(self, name, *arguments):
        with open(f"{self.folder}/{name}.log", "wb") as log:
            self.programs[name] = subprocess.Popen(
                [f"{self.options.build}/empalme-{name}", *arguments], stderr=log, stdout=log)

    async def start(self):
        port = await self.api.start()
        with open(f"{self.folder}/config", "w", encoding="ascii") as file:
            json.dump({"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                       "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                       "users": [{"name": "u", "user": {"token": "bench"}}]}, file)
        await self.tap.start(f"{self.folder}/tap.sock")
        self.run("dataplane", "--admin", f"unix:{self.tap.dataplane}", "--workers", "2", "--announce", "none",
                 "--state-dir", f"{self.folder}/state")
        while not os.path.exists(self.tap.dataplane):
            await asyncio.sleep(0.05)
        self.began = time.monotonic()
        self.run("controller", "--source", "kubernetes", "--pool", POOL, "--kubeconfig", f"{self.folder}/config",
                 "--dataplane", f"unix:{self.folder}/tap.sock", "--admin", f"unix:{self.folder}/controller.sock")

    def stop(self):
        for name, program in self.programs.items():
            program.terminate()
            if program.wait(30) != 0:
                fail(f"the {name} ended with {program.returncode}")
        if self.options.keep:
            print("kept:", self.folder)
        else:
            shutil.rmtree(self.folder)

    def cpu(self):
        return {name: cpu_ns(program.pid) / 1e9 for name, program in self.programs.items()}

    async def ask(self, target):
        process = await asyncio.create_subprocess_exec(
            "curl", "-s", "--unix-socket", self.tap.dataplane, f"http://dataplane{target}",
            stdout=subprocess.PIPE)
        return json.loads((await process.communicate())[0])

    def listeners(self):
        """Listening sockets of this namespace: those of the data plane, but for the API server's."""
        with open("/proc/net/tcp", encoding="ascii") as file:
            return len({line.split()[1] for line in file if line.split()[3] == "0A"}) - 1

    async def sync(self, limit):
        programmed = None
        while time.monotonic() - self.began < limit:
            if programmed is None and self.listeners() >= self.options.services and self.tap.puts + self.tap.patches:
                programmed = time.monotonic() - self.began
            if programmed and len(self.api.with_status) == self.options.services:
                return programmed, time.monotonic() - self.began
            await asyncio.sleep(0.1)
        fail(f"after {limit} s: {self.listeners()} listeners, {len(self.api.with_status)} with a status")
        return programmed or limit, limit


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000 if values else float("inf")


async def changes(fleet, rate, seconds):
    """An open loop: each change at its own time, whatever became of those before."""
    order = list(range(fleet.options.services))
    fleet.options.random.shuffle(order)
    fleet.tap.latencies.clear()
    late = 0
    began, before = time.monotonic(), fleet.cpu()
    total = rate * seconds
    for n in range(total):
        due = began + n / rate
        now = time.monotonic()
        if due > now:
            await asyncio.sleep(due - now)
        else:
            late += now - due > 0.005
            await asyncio.sleep(0)
        service = order[n % len(order)]
        fleet.tap.sent.setdefault(service, time.monotonic())
        fleet.api.flip(service)
    until = time.monotonic() + NOT_SOLVED
    while fleet.tap.sent and time.monotonic() < until:
        await asyncio.sleep(0.01)
    after = fleet.cpu()
    if fleet.tap.sent:
        fail(f"{len(fleet.tap.sent)} changes at {rate}/s were not acknowledged")
        fleet.tap.sent.clear()
    return {name: (after[name] - before[name]) / total * 1000 for name in after}, late / total


async def measure(fleet, rate):
    options = fleet.options
    patches, polls, puts = fleet.tap.patches, fleet.tap.polls, fleet.tap.puts
    cost, late = await changes(fleet, rate, options.seconds)
    p50, p99 = (percentile(fleet.tap.latencies, share) for share in (0.5, 0.99))
    total = sum(cost.values())
    print(f"{rate:5}/s: CPU {total:.3f} ms a change (controller {cost['controller']:.3f}, "
          f"dataplane {cost['dataplane']:.3f}); programmed in p50 {p50:.1f} ms, p99 {p99:.1f} ms; "
          f"{fleet.tap.patches - patches} PATCHes, {fleet.tap.puts - puts} PUTs, {fleet.tap.polls - polls} polls, {late:.1%} sent late", flush=True)
    judge(options, f"CPU at {rate}/s (ms)", total, GOALS["cpu"])
    judge(options, f"p99 at {rate}/s (ms)", p99, GOALS.get(rate, 100))


async def rounds(fleet, count, together):
    """A closed loop: so many changes at once, then the next when the data plane has them."""
    order = list(range(fleet.options.services))
    fleet.options.random.shuffle(order)
    fleet.tap.latencies.clear()
    patches, before = fleet.tap.patches, fleet.cpu()
    for n in range(count):
        for service in order[n * together % len(order):][:together]:
            fleet.tap.sent[service] = time.monotonic()
            fleet.api.flip(service)
        until = time.monotonic() + NOT_SOLVED
        while fleet.tap.sent and time.monotonic() < until:
            await asyncio.sleep(0.001)
        if fleet.tap.sent:
            return fail(f"{len(fleet.tap.sent)} changes were not acknowledged")
    after = fleet.cpu()
    cost = {name: (after[name] - before[name]) / count / together * 1000 for name in after}
    total = sum(cost.values())
    print(f"{together:3} at once: CPU {total:.3f} ms a change (controller {cost['controller']:.3f}, "
          f"dataplane {cost['dataplane']:.3f}); {(fleet.tap.patches - patches) / count:.2f} PATCHes a round, "
          f"p50 {percentile(fleet.tap.latencies, 0.5):.1f} ms", flush=True)
    return judge(fleet.options, f"CPU of {together} at once (ms)", total, GOALS["cpu"])


async def idle(fleet, seconds):
    before = fleet.cpu()
    await asyncio.sleep(seconds)
    after = fleet.cpu()
    print("idle:", ", ".join(f"{name} {(after[name] - before[name]) / seconds * 1000:.2f} ms CPU/s" for name in after))


async def unlike(fleet):
    """How many services are held, and how many of them differ from the cluster."""
    services = (await fleet.ask("/v1/state"))["services"]
    wrong = 0
    for service in services:
        unready = sum(each.get("state", "ready") != "ready" for each in service["ports"][0]["backends"])
        wrong += unready != (int(service["key"][-5:]) in fleet.api.slices.unready)
    return len(services), wrong


async def check_end(fleet):
    until = time.monotonic() + NOT_SOLVED
    while True:
        held, wrong = await unlike(fleet)
        if not wrong or time.monotonic() > until:
            break
        await asyncio.sleep(0.2)
    if wrong or held != fleet.options.services:
        fail(f"{held} services are held, {wrong} of them unlike the cluster")
    if fleet.tap.refused:
        fail(f"{fleet.tap.refused} requests were refused")
    status = await fleet.ask("/v1/status")
    if status["failed"]:
        fail(f"{len(status['failed'])} failures, the first: {status['failed'][0]}")


async def bench(options):
    fleet = Fleet(options)
    gc.freeze()
    gc.disable()
    try:
        await fleet.start()
        programmed, written = await fleet.sync(options.limit)
        cpu = fleet.cpu()
        print(f"{options.services} Services, {options.services * options.endpoints} endpoints: programmed in "
              f"{programmed:.1f} s, every status written in {written:.1f} s ({fleet.api.patches} patches, "
              f"{fleet.api.events} Events); CPU: controller {cpu['controller']:.1f} s, "
              f"dataplane {cpu['dataplane']:.1f} s", flush=True)
        judge(options, "first sync (s)", programmed, GOALS["sync"])
        if failures:
            return
        await asyncio.sleep(options.settle)
        await idle(fleet, 5)
        for together in (1, 20) if options.rounds else ():
            await rounds(fleet, options.rounds, together)
        for rate in options.rates:
            await measure(fleet, rate)
        for name, program in fleet.programs.items():
            rss, peak = memory_mb(program.pid, "VmRSS"), memory_mb(program.pid, "VmHWM")
            print(f"{name}: {rss:.0f} MB resident, {peak:.0f} MB at most")
            judge(options, f"{name} (MB)", rss, GOALS[name])
        await check_end(fleet)
    finally:
        fleet.stop()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=f"{ROOT}/build")
    parser.add_argument("--services", type=int, default=10000)
    parser.add_argument("--endpoints", type=int, default=10)
    parser.add_argument("--rates", type=lambda text: [int(each) for each in text.split(",") if each], default=[50, 1000])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--settle", type=float, default=5, help="seconds between the first sync and the changes")
    parser.add_argument("--limit", type=float, default=180, help="seconds for the first sync")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--goals", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    options = arguments()
    if not options.inside:
        return subprocess.call(["unshare", "--net", sys.executable, *sys.argv, "--inside"])
    subprocess.check_call(["ip", "link", "set", "lo", "up"])
    subprocess.check_call(["ip", "route", "add", "local", VIPS, "dev", "lo"])
    options.seed = random.randrange(1 << 32) if options.seed is None else options.seed
    options.random = random.Random(options.seed)
    print(f"seed {options.seed}", flush=True)
    asyncio.run(bench(options))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
