#!/usr/bin/env python3
"""What it costs to end TLS: CPU per handshake (full and resumed), per exchange and per GB, beside HAProxy
and nginx with the same certificate and ciphers, all resident, rounds interleaved. Root, an idle machine.

  python3 tests/bench/tls_contest.py [--rounds 7] [--seconds 2] [--key ec|rsa] [--goals]
                                     [full resumed rr download upload]

With --goals it fails where we take more than HAProxy or nginx.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

import contestants

BACKEND = 9000
GOAL = 1.0
CLIENTS = {"full": 8, "resumed": 8, "rr": 32, "download": 8, "upload": 8}
KEYS = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["-newkey", "rsa:2048"]}


def make_certificate(folder, kind):
    subprocess.run(["openssl", "req", "-x509", *KEYS[kind], "-nodes", "-days", "2", "-subj", "/CN=bench.test", "-addext",
                    "subjectAltName=DNS:bench.test", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
                   check=True, capture_output=True)
    with open(f"{folder}/both.pem", "w", encoding="ascii") as out:
        for name in ("cert", "key"):
            with open(f"{folder}/{name}.pem", encoding="ascii") as part:
                out.write(part.read())


def haproxy(certificates):
    def command(folder, port):
        return ["haproxy", "-db", "-f", contestants.write(f"{folder}/haproxy.cfg", (
            "global\n  maxconn 9000\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 600s\n"
            f"  timeout server 600s\nlisten l\n  bind 127.0.0.1:{port} ssl crt {certificates}/both.pem\n"
            f"  server s 127.0.0.1:{BACKEND}\n"))]
    return command


def nginx(certificates):
    def command(folder, port):
        config = contestants.write(f"{folder}/nginx.conf", (
            "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\nworker_processes 1;\n"
            f"pid {folder}/nginx.pid;\nerror_log {folder}/nginx.err crit;\n"
            "events { worker_connections 9000; use epoll; multi_accept on; }\n"
            f"stream {{ server {{ listen 127.0.0.1:{port} ssl reuseport; tcp_nodelay on; proxy_timeout 600s; "
            f"ssl_certificate {certificates}/cert.pem; ssl_certificate_key {certificates}/key.pem; "
            f"ssl_protocols TLSv1.2 TLSv1.3; proxy_pass 127.0.0.1:{BACKEND}; }} }}\n"))
        return ["nginx", "-e", f"{folder}/nginx.err", "-g", "daemon off;", "-c", config]
    return command


def empalme(folder, port):
    state = {"schema": "empalme.io/v1", "epoch": 1, "generation": 1, "services": [{
        "key": "bench/x", "addresses": ["127.0.0.1"], "ports": [{
            "port": port, "backends": [{"address": "127.0.0.1", "port": BACKEND}],
            "tls": {"mode": "terminate", "certificates": ["bench"]}}]}]}
    return [f"{contestants.ROOT}/build/empalme-dataplane", "--state", contestants.write(f"{folder}/state.json", json.dumps(state)),
            "--admin", f"unix:{folder}/admin.sock", "--workers", "1", "--announce", "none"]


def push(folder, certificates):
    """As a controller would."""
    body = {}
    for name, file in (("certificate", "cert"), ("key", "key")):
        with open(f"{certificates}/{file}.pem", encoding="ascii") as part:
            body[name] = part.read()
    subprocess.run(["curl", "-sf", "--unix-socket", f"{folder}/admin.sock", "-X", "PUT", "--data-binary", "@-",
                    "http://localhost/v1/certificates/bench"], input=json.dumps(body).encode(), check=True, capture_output=True)


def measure(proxy, work, seconds):
    command = contestants.in_namespace(*contestants.AHEAD_OF_OTHERS, "taskset", "-c", "1",
                                       f"{contestants.ROOT}/build/tests/tls-load", "--target", str(proxy.port), "--backend",
                                       str(BACKEND), "--work", work, "--clients", str(CLIENTS[work]), "--seconds", str(seconds))
    for pid in proxy.pids():
        command += ["--pid", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return json.loads(done.stdout)


def contest(proxies, work, rounds, seconds):
    """What misses the goal."""
    missed = []
    results = {proxy.name: [] for proxy in proxies}
    for _ in range(rounds):
        order = list(proxies)
        random.shuffle(order)
        for proxy in order:
            results[proxy.name].append(measure(proxy, work, seconds))
    unit = "s a GB" if work in ("download", "upload") else "us each"
    print(f"\n## {work}, {CLIENTS[work]} clients, {rounds} rounds of {seconds} s: CPU, {unit}")
    ours = results["empalme"]
    for name, rows in results.items():
        ratios = [a["cpu"] / b["cpu"] for a, b in zip(ours, rows) if b["cpu"]]
        if statistics.median(ratios) > GOAL:
            missed.append(f"{work} beside {name}: {statistics.median(ratios):.3f}")
        print(f"{name:10}{statistics.median(row['cpu'] for row in rows):10.3f}  empalme/{name} {statistics.median(ratios):6.3f} "
              f"[{min(ratios):.2f} {max(ratios):.2f}]  rate {statistics.median(row['per_s'] for row in rows):12.0f}  "
              f"errors {sum(row['errors'] for row in rows)}", flush=True)
    return missed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("works", nargs="*", default=list(CLIENTS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--key", choices=KEYS, default="ec")
    parser.add_argument("--goals", action="store_true", help="fail where we take more than a peer")
    asked = parser.parse_args()
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        make_certificate(folder, asked.key)
        contestants.make_namespace()
        contestants.ALL.update({"empalme": empalme, "haproxy": haproxy(folder), "nginx": nginx(folder)})
        proxies = []
        try:
            for at, name in enumerate(("empalme", "haproxy", "nginx")):
                proxies.append(contestants.Running(name, 7100 + at, f"{folder}/{name}"))
            push(f"{folder}/empalme", folder)
            time.sleep(0.5)
            for work in asked.works:
                missed += contest(proxies, work, asked.rounds, asked.seconds)
        finally:
            for proxy in proxies:
                proxy.stop()
            subprocess.run(["ip", "netns", "del", contestants.NAMESPACE], check=False)
    for each in missed:
        print(f"missed: {each}")
    sys.exit(1 if asked.goals and missed else 0)


if __name__ == "__main__":
    main()
