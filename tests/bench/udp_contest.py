#!/usr/bin/env python3
"""CPU time of one UDP exchange through our data plane and through nginx, side by side on loopback.

    udp_contest.py [--bin DIR] [--rounds N] [--goals] [-- OPTIONS OF udp-rr]

Each contestant is one worker on core 0; clients and three echo backends share core 1. Rounds
alternate between contestants, so that whatever else the machine does strikes all of them. Needs
nginx with its stream module, and ports 39100-39103, 39120 and 39130 of 127.0.0.1.

Without `proxy_responses` nginx keeps a client's session until it has been idle, as ours does; with
`proxy_responses 1` it opens a socket for every question. Both are measured. With --goals it fails when
we take more than 0.8 of what nginx takes with sessions that last.
"""

import argparse
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import time

BACKENDS = [39101, 39102, 39103]
PORTS = {"empalme": 39100, "nginx": 39120, "nginx, proxy_responses 1": 39130}
LISTENER = "server { listen 127.0.0.1:%d udp reuseport; proxy_pass echo; proxy_timeout 60s; %s }"
GOAL = 0.8
CONFIG = """
load_module %(module)s;
daemon off; worker_processes 1; worker_cpu_affinity 01; pid %(home)s/pid;
error_log %(home)s/error.log; worker_rlimit_nofile 20000;
events { worker_connections 8192; multi_accept on; }
stream { upstream echo { %(backends)s } %(listeners)s }
"""


def pinned(core, *command, **options):
    return subprocess.Popen(["taskset", "-c", str(core), *map(str, command)], **options)


def start_nginx(home):
    values = {
        "module": "/usr/lib/nginx/modules/ngx_stream_module.so",
        "home": home,
        "backends": " ".join(f"server 127.0.0.1:{port};" for port in BACKENDS),
        "listeners": LISTENER % (PORTS["nginx"], "")
        + LISTENER % (PORTS["nginx, proxy_responses 1"], "proxy_responses 1;"),
    }
    config = pathlib.Path(home, "nginx.conf")
    config.write_text(CONFIG % values)
    command = [shutil.which("nginx", path="/usr/sbin:/usr/bin"), "-p", home, "-c", str(config)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


# The program that users get, with its health checks, metrics and admin API.
def start_empalme(programs, home):
    state = {"schema": "empalme.io/v1", "epoch": 1, "generation": 1, "services": [{
        "key": "bench/udp", "addresses": ["127.0.0.1"], "ports": [{
            "port": PORTS["empalme"], "protocol": "udp",
            "backends": [{"address": "127.0.0.1", "port": port} for port in BACKENDS]}]}]}
    pathlib.Path(home, "state.json").write_text(json.dumps(state))
    return pinned(0, f"{programs}/empalme-dataplane", "--state", f"{home}/state.json", "--admin",
                  f"unix:{home}/admin.sock", "--workers", 1, "--announce", "none", stderr=subprocess.DEVNULL)


def worker_of(master):
    for _ in range(100):
        children = pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.05)
    raise SystemExit("nginx has no worker")


def one_round(binaries, port, pid, options):
    command = ["taskset", "-c", "1", f"{binaries}/udp-rr", "--target", f"127.0.0.1:{port}"]
    run = subprocess.run(
        [*command, "--pid", str(pid), *options], capture_output=True, text=True, timeout=120
    )
    found = re.match(r"(\d+) exchanges/s +(\d+) ns", run.stdout)
    return (int(found[2]), int(found[1])) if found else None


def contest(binaries, pids, rounds, options):
    results = {name: [] for name in PORTS}
    ratios = {name: [] for name in PORTS}
    for _ in range(rounds):
        costs = {}
        for name, port in PORTS.items():
            result = one_round(binaries, port, pids[name], options)
            if result:
                results[name].append(result)
                costs[name] = result[0]
        for name, cost in costs.items():
            if "empalme" in costs:
                ratios[name].append(costs["empalme"] / cost)
    for name, all_of_it in results.items():
        if not all_of_it:
            print(f"{name:26} no result")
            continue
        cost = [each[0] for each in all_of_it]
        rate = [each[1] for each in all_of_it]
        print(
            f"{name:26} {statistics.median(cost):7.0f} ns per exchange"
            f" (lowest {min(cost)}, highest {max(cost)}), {statistics.median(rate):7.0f}/s"
        )
        if name != "empalme" and ratios[name]:
            print(
                f"{'':26} we take {statistics.median(ratios[name]):.2f} of that, round by round"
                f" {min(ratios[name]):.2f} to {max(ratios[name]):.2f}"
            )
    return bool(ratios["nginx"]) and statistics.median(ratios["nginx"]) <= GOAL


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default="build")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--goals", action="store_true", help="fail when we take more than 0.8 of nginx")
    parser.add_argument("options", nargs="*", help="for udp-rr, after --")
    words = parser.parse_args()
    tests = f"{words.bin}/tests"
    started = [pinned(1, f"{tests}/udp-rr", "--echo", port) for port in BACKENDS]
    with tempfile.TemporaryDirectory() as home:
        ours = start_empalme(words.bin, home)
        nginx = start_nginx(home)
        try:
            worker = worker_of(nginx.pid)
            pids = {name: ours.pid if name == "empalme" else worker for name in PORTS}
            time.sleep(0.5)
            met = contest(tests, pids, words.rounds, words.options)
        finally:
            for process in [*started, ours, nginx]:
                process.terminate()
            for process in [*started, ours, nginx]:
                process.wait()
    return 1 if words.goals and not met else 0


if __name__ == "__main__":
    raise SystemExit(main())
