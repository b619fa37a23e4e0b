"""The proxies of the contest: how each is started on a port of 127.0.0.1 in front of three backends."""
import json
import os
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FIRST_BACKEND = 9000
NAMESPACE = f"empalme-bench-{os.getpid()}"
# Whatever else the machine does shall cost the contestants little; the same for load and proxies.
AHEAD_OF_OTHERS = ["nice", "-n", "-18"]


def backends():
    return [("127.0.0.1", FIRST_BACKEND + i) for i in range(3)]


def write(path, text):
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    return path


def haproxy(options="", pipe_size=None):
    def command(folder, port):
        servers = "".join(f"  server s{i} {a}:{p}\n" for i, (a, p) in enumerate(backends()))
        option = "".join(f"  option {each}\n" for each in options.split())
        limit = 7000 if options else 9700
        tune = f"  tune.pipesize {pipe_size}\n" if pipe_size else ""
        return ["haproxy", "-db", "-f", write(f"{folder}/haproxy.cfg", (
            f"global\n  maxconn {limit}\n  nbthread 1\n{tune}defaults\n  mode tcp\n  timeout connect 5s\n"
            f"  timeout client 600s\n  timeout server 600s\n{option}"
            f"listen l\n  bind 127.0.0.1:{port} backlog 65535\n  balance roundrobin\n{servers}"))]
    return command


def nginx(folder, port):
    servers = "".join(f"server {a}:{p} max_fails=0; " for a, p in backends())
    config = write(f"{folder}/nginx.conf", (
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\nworker_processes 1;\n"
        f"pid {folder}/nginx.pid;\nerror_log {folder}/nginx.err crit;\nworker_rlimit_nofile 20000;\n"
        "events { worker_connections 19990; use epoll; multi_accept on; }\n"
        f"stream {{ upstream b {{ {servers} }} server {{ listen 127.0.0.1:{port} backlog=65535 reuseport; "
        "tcp_nodelay on; proxy_pass b; proxy_timeout 600s; } }\n"))
    return ["nginx", "-e", f"{folder}/nginx.err", "-g", "daemon off;", "-c", config]


def empalme(workers, policy=None, flags=()):
    def command(folder, port):
        state = {"schema": "empalme.io/v1", "epoch": 1, "generation": 1, "services": [{
            "key": "bench/x", "addresses": ["127.0.0.1"], "ports": [{
                "port": port, "backends": [{"address": a, "port": p} for a, p in backends()]}],
            "policy": policy or {}}]}
        return [f"{ROOT}/build/empalme-dataplane", "--state", write(f"{folder}/state.json", json.dumps(state)),
                "--admin", f"unix:{folder}/admin.sock", "--workers", str(workers), "--announce", "none", *flags]
    return command


ALL = {"empalme": empalme(1), "empalme-2": empalme(2), "haproxy": haproxy(),
       "haproxy-splice": haproxy("splice-auto"), "haproxy-splice-1m": haproxy("splice-request splice-response", 1 << 20),
       "nginx": nginx,
       # What a feature costs: each against "empalme" in the same run.
       "emp-again": empalme(1),  # how far two equal ones differ
       "emp-limits": empalme(1, {"max_connections_per_source": 1000000}),
       "emp-affinity": empalme(1, {"affinity_seconds": 3600}),
       "emp-log": empalme(1, flags=("--log-connections", "1")),
       "emp-log-100": empalme(1, flags=("--log-connections", "100"))}


def in_namespace(*command):
    return ["ip", "netns", "exec", NAMESPACE, *command]


def make_namespace():
    """A namespace of its own: own ports, own sysctls; reno, since bbr changes bulk figures."""
    subprocess.run(["ip", "netns", "add", NAMESPACE], stderr=subprocess.DEVNULL, check=False)
    for line in ("ip link set lo up",
                 "sysctl -qw net.ipv4.tcp_congestion_control=reno",
                 "sysctl -qw net.ipv4.ip_local_port_range=32000\\ 65000 net.core.somaxconn=65535 "
                 "net.ipv4.tcp_max_syn_backlog=65535"):
        subprocess.run(in_namespace("bash", "-c", line), check=True)


def descendants(pid):
    out = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as children:
                for child in children.read().split():
                    out += descendants(int(child))
    except FileNotFoundError:
        pass
    return out


class Running:
    """One proxy, resident until the contest is over; its master ends before its workers."""

    def __init__(self, name, port, folder):
        self.name, self.port = name, port
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                in_namespace(*AHEAD_OF_OTHERS, "taskset", "-c", "0", *ALL[name](folder, port)), stdout=log,
                stderr=subprocess.STDOUT)
        time.sleep(1)
        if self.process.poll() is not None:
            with open(f"{folder}/log", encoding="utf-8") as log:
                raise SystemExit(f"{name} does not start: {log.read()[-400:]}")

    def pids(self):
        return descendants(self.process.pid)

    def stop(self):
        for pid in self.pids():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        self.process.wait()
