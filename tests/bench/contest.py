"""An interleaved contest: every proxy stays resident, each round runs all of them in shuffled order, and
ratios are taken inside a round, so that slow drift of the machine cancels. Root, and one idle machine.

  python3 tests/bench/contest.py [--rounds 7] [--seconds 2] [--set empalme,haproxy,nginx] [--goals]
                                 [conn rr rate bulk idle syscalls]

With --goals it fails when a figure misses its gate (its goal, where it has no gate). The first of the set
is held against the others.
"""
import argparse
import json
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import contestants

CLIENTS = {"conn": 64, "rr": 64, "rate": 256, "bulk": 8}
PEERS = "empalme,haproxy,nginx"
# Who splices, and how, makes all the difference to bulk.
BULK_PEERS = "empalme,haproxy-splice,haproxy,haproxy-splice-1m,nginx"
# (goal, gate) of the ratio to a peer; of bytes for each connection; of system calls for each operation.
GOALS = {
    ("conn", "haproxy"): (0.93, 0.97), ("conn", "nginx"): (0.96, 1.00),
    ("rr", "haproxy"): (0.94, 0.98), ("rr", "nginx"): (0.96, 1.00),
    ("rate", "haproxy"): (0.80, 0.80),
    ("bulk", "haproxy-splice"): (0.55, 0.55), ("bulk", "haproxy"): (0.35, 0.35),
    ("bulk", "haproxy-splice-1m"): (1.10, 1.10),
    ("idle", "bytes"): (256, 256), ("idle", "after close"): (1.10, 1.10),
    ("syscalls", "conn"): (14.5, 14.5), ("syscalls", "rr"): (4.1, 4.1),
}
missed = []


def verdict(work, what, value):
    """What to print behind a figure that has a goal; a missed gate is remembered."""
    if (work, what) not in GOALS:
        return ""
    goal, gate = GOALS[work, what]
    if value <= goal:
        return f"  goal {goal:g} met"
    if value <= gate:
        return f"  goal {goal:g} missed, gate {gate:g} met"
    missed.append(f"{work} {what} {value:.3g} > {gate:g}")
    return f"  MISSED: {gate:g}"


def referee(proxy, work, *arguments):
    command = contestants.in_namespace(
        *contestants.AHEAD_OF_OTHERS, "taskset", "-c", "1", f"{contestants.ROOT}/build/tests/referee", work, "--target", str(proxy.port),
        "--backends", str(contestants.FIRST_BACKEND), *arguments)
    for pid in proxy.pids():
        command += ["--pid", str(pid)]
    return command


def measure(proxy, work, seconds, rate):
    pace = ["--rate", str(rate)] if work == "rate" else []
    done = subprocess.run(referee(proxy, work, "-c", str(CLIENTS[work]), "--seconds", str(seconds), *pace),
                          capture_output=True, text=True, check=False, timeout=120)
    return json.loads(done.stdout)


def contest(proxies, work, rounds, seconds, pace):
    key = "cpu_s_per_gb" if work == "bulk" else "cpu_us_per_operation"
    results = {p.name: [] for p in proxies}
    for _ in range(rounds):
        order = list(proxies)
        random.shuffle(order)
        for proxy in order:
            results[proxy.name].append(measure(proxy, work, seconds, pace))
    print(f"\n## {work}, {CLIENTS[work]} clients, {rounds} rounds of {seconds} s: {key}")
    reference = results[proxies[0].name]
    for name, rows in results.items():
        ratios = [a[key] / b[key] for a, b in zip(reference, rows) if b[key]]
        judged = verdict(work, name, statistics.median(ratios)) if proxies[0].name == "empalme" else ""
        errors, corrupt = sum(r["errors"] for r in rows), sum(r["corrupt"] for r in rows)
        shares = [sum(r["backends"][i] for r in rows) for i in range(3)]
        rate = statistics.median(r["mb_per_s"] if work == "bulk" else r["per_s"] for r in rows)
        late = f" late {sum(r['late'] for r in rows) / max(1, sum(r['operations'] for r in rows)):.2%}" if work == "rate" else ""
        print(f"{name:16}{statistics.median(r[key] for r in rows):10.3f}  {proxies[0].name}/{name} "
              f"{statistics.median(ratios):6.3f} [{min(ratios):.2f} {max(ratios):.2f}]  rate {rate:10.0f}  "
              f"errors {errors} corrupt {corrupt}{late} shares {shares}{judged}", flush=True)


def private_bytes(proxy):
    total = 0
    for pid in proxy.pids():
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            total += sum(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))
    return total


def idle(proxies, count):
    print(f"\n## idle: user memory of {count} connections that have had one exchange")
    for proxy in proxies:
        base = private_bytes(proxy)
        load = subprocess.Popen(referee(proxy, "idle", "-c", str(count), "--seconds", "3"),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        settled = load.stderr.readline().strip()
        time.sleep(1)
        held = private_bytes(proxy)
        load.communicate()
        time.sleep(1)
        each, after = (held - base) / count, private_bytes(proxy)
        judged = ""
        if proxy.name == "empalme":
            judged = verdict("idle", "bytes", each) + verdict("idle", "after close", after / base)
        print(f"{proxy.name:16} base {base / 1e6:7.2f} MB  {settled}  {each:7.0f} B each  "
              f"after close {after / 1e6:7.2f} MB, {after / base:.2f} of the base{judged}", flush=True)


def syscalls(proxies):
    print("\n## system calls per operation (epoll_wait left out)")
    for proxy in proxies:
        for work in ("conn", "rr"):
            with tempfile.NamedTemporaryFile() as out:
                command = ["strace", "-f", "-c", "-o", out.name]
                for pid in proxy.pids():
                    command += ["-p", str(pid)]
                trace = subprocess.Popen(command, stderr=subprocess.DEVNULL)
                time.sleep(0.7)
                row = json.loads(subprocess.run(
                    referee(proxy, work, "-c", "64", "--warm", "0", "--seconds", "2"), capture_output=True,
                    text=True, check=False).stdout)
                trace.send_signal(signal.SIGINT)
                trace.wait()
                calls = {}
                for line in open(out.name, encoding="ascii"):
                    found = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
                    if found and found[2] not in ("total", "epoll_wait"):
                        calls[found[2]] = int(found[1]) / row["operations"]
                detail = "  ".join(f"{k} {v:.2f}" for k, v in sorted(calls.items(), key=lambda c: -c[1]) if v > 0.01)
                total = sum(calls.values())
                judged = verdict("syscalls", work, total) if proxy.name == "empalme" else ""
                print(f"{proxy.name:16}{work:5}{total:7.2f}   {detail}{judged}", flush=True)


def run(work, proxies, options):
    if work == "idle":
        idle(proxies, options.idle)
    elif work == "syscalls":
        syscalls(proxies)
    else:
        contest(proxies, work, options.rounds, options.seconds, options.rate)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", nargs="*", default=["conn", "rr", "rate", "bulk", "idle", "syscalls"])
    parser.add_argument("--set", help=f"default: {PEERS}; with bulk {BULK_PEERS}")
    parser.add_argument("--goals", action="store_true", help="fail when a figure misses its gate")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rate", type=float, default=40000, help="exchanges per second of 'rate'")
    parser.add_argument("--idle", type=int, default=9500)
    options = parser.parse_args()
    contestants.make_namespace()
    proxies = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            named = options.set or (BULK_PEERS if "bulk" in options.work else PEERS)
            for i, name in enumerate(named.split(",")):
                proxies.append(contestants.Running(name, 20000 + 10 * i, f"{folder}/{name}"))
            for work in options.work:
                run(work, proxies if options.set or work == "bulk" else
                    [each for each in proxies if each.name in PEERS.split(",")], options)
        finally:
            for proxy in proxies:
                proxy.stop()
            subprocess.run(["ip", "netns", "del", contestants.NAMESPACE], check=False)
    for each in missed:
        print(f"missed: {each}")
    sys.exit(1 if options.goals and missed else 0)


if __name__ == "__main__":
    main()
