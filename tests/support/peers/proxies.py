"""The proxies that the suites compare: how each is configured, started, watched and ended.

All get the same set-up (backends, connect timeout, worker count); what differs is what their names say.
"""
from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

_TESTS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{_TESTS}/bench")
from contestants import ROOT, descendants, write  # noqa: E402  the bench starts the same programs

Address = tuple[str, int]
_ports = itertools.count(8000)


@dataclass(frozen=True)
class Setup:
    """What a proxy shall do. `policy` holds Empalme's own policy fields."""

    backends: list[Address]
    connect_timeout_ms: int = 5000
    workers: int = 1
    descriptors: int | None = None
    policy: dict[str, Any] = field(default_factory=dict)


Command = Callable[[str, int, Setup], list[str]]


def state(port: int, setup: Setup, generation: int = 1) -> dict[str, Any]:
    """The document that makes Empalme do what the set-up says."""
    policy = {"connect_timeout_ms": setup.connect_timeout_ms, **setup.policy}
    return {"schema": "empalme.io/v1", "epoch": 1, "generation": generation, "services": [{
        "key": "peers/x", "addresses": ["127.0.0.1"], "policy": policy, "ports": [{
            "port": port, "backends": [{"address": a, "port": p} for a, p in setup.backends]}]}]}


def _empalme(folder: str, port: int, setup: Setup) -> list[str]:
    return [f"{ROOT}/build/empalme-dataplane", "--state", write(f"{folder}/state.json", json.dumps(state(port, setup))),
            "--admin", f"unix:{folder}/admin.sock", "--workers", str(setup.workers), "--announce", "none"]


def _haproxy(*options: str) -> Command:
    lines = "".join(f"  {option}\n" for option in options)

    def command(folder: str, port: int, setup: Setup) -> list[str]:
        servers = "".join(f"  server s{i} {a}:{p}\n" for i, (a, p) in enumerate(setup.backends))
        return ["haproxy", "-db", "-f", write(f"{folder}/haproxy.cfg", (
            f"global\n  nbthread {setup.workers}\n{'  no strict-limits' if setup.descriptors else ''}\n"
            f"defaults\n  mode tcp\n"
            f"  timeout connect {setup.connect_timeout_ms}ms\n  timeout client 60s\n  timeout server 60s\n{lines}"
            f"listen l\n  bind 127.0.0.1:{port} backlog 4096\n  balance roundrobin\n{servers}"))]
    return command


def _nginx(*options: str) -> Command:
    lines = "".join(f"{option}; " for option in options)

    def command(folder: str, port: int, setup: Setup) -> list[str]:
        servers = "".join(f"server {a}:{p}; " for a, p in setup.backends)
        config = write(f"{folder}/nginx.conf", (
            "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n"
            f"worker_processes {setup.workers};\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.err crit;\n"
            "events { worker_connections 8192; }\n"
            # The zone lets all workers know what one of them found out about a backend.
            f"stream {{ upstream b {{ zone b 64k; {servers} }} server {{ listen 127.0.0.1:{port} backlog=4096; "
            f"tcp_nodelay on; proxy_connect_timeout {setup.connect_timeout_ms}ms; proxy_timeout 60s; "
            f"proxy_pass b; {lines} }} }}\n"))
        return ["nginx", "-e", f"{folder}/nginx.err", "-g", "daemon off;", "-c", config]
    return command


EMPALME = "empalme"
ALL: dict[str, Command] = {
    EMPALME: _empalme,
    "nginx": _nginx(),
    "nginx half_close": _nginx("proxy_half_close on"),
    "HAProxy": _haproxy("option redispatch"),
    "HAProxy splice-auto": _haproxy("option redispatch", "option splice-auto"),
    "HAProxy without redispatch": _haproxy("no option redispatch"),
}


def _listens(port: int) -> bool:
    """Whether somebody listens, without a connection that a backend would have to answer."""
    with open("/proc/thread-self/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table]
    return any(row[3] == "0A" and row[1].endswith(f":{port:04X}") for row in rows[1:])


def _await_stopped(pids: list[int]) -> None:
    """Until every thread has really stopped, which a signal only asks for."""
    tasks = [f"/proc/{pid}/task/{task}/stat" for pid in pids for task in os.listdir(f"/proc/{pid}/task")]
    ends = time.monotonic() + 5
    while time.monotonic() < ends:
        states = set()
        for task in tasks:
            with open(task, encoding="ascii", errors="replace") as stat:
                states.add(stat.read().rpartition(")")[2].split()[0])
        if states == {"T"}:
            return
        time.sleep(0.001)
    raise TimeoutError("the proxy does not stop")


def _prepare(descriptors: int | None) -> Callable[[], None]:
    """Runs in the child: it shall not outlive the suite, and has no more descriptors than asked."""
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(1, signal.SIGKILL)
        if descriptors is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    return prepare


class Proxy:
    """One running proxy, listening when the constructor returns; a context manager that ends it."""

    def __init__(self, name: str, setup: Setup, folder: str) -> None:
        self.name, self.setup, self.port = name, setup, next(_ports)
        self.folder = f"{folder}/{self.port}"
        os.makedirs(self.folder)
        # The workers of nginx are another user, and need their way to the pid file's folder.
        os.chmod(folder, 0o755)
        with open(f"{self.folder}/log", "w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                ALL[name](self.folder, self.port, setup), stdout=log, stderr=subprocess.STDOUT,
                preexec_fn=_prepare(setup.descriptors))
        self._await_listener()

    def _await_listener(self) -> None:
        ends = time.monotonic() + 5
        while not _listens(self.port):
            if self._process.poll() is not None or time.monotonic() > ends:
                self.stop()
                raise RuntimeError(f"{self.name} does not start: {self.log()[-400:]}")
            time.sleep(0.005)

    def log(self) -> str:
        with open(f"{self.folder}/log", encoding="utf-8", errors="replace") as log:
            return log.read()

    @property
    def admin(self) -> str:
        return f"{self.folder}/admin.sock"

    def runs(self) -> bool:
        return self._process.poll() is None

    def pids(self) -> list[int]:
        return list(descendants(self._process.pid))

    def cpu_seconds(self) -> float:
        """CPU time of all its threads up to now; the scheduler's own account, in nanoseconds."""
        total = 0
        for pid in self.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as stat:
                    total += int(stat.read().split()[0])
        return total / 1e9

    def private_bytes(self) -> int:
        """User memory that is its own."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/status", encoding="ascii") as status:
                total += sum(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))
        return total

    def sockets(self) -> int:
        """How many sockets it has open, those included that the kernel has long closed."""
        total = 0
        for pid in self.pids():
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(FileNotFoundError):
                    total += os.readlink(f"/proc/{pid}/fd/{descriptor}").startswith("socket:")
        return total

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stopped as by a busy machine: what is sent meanwhile lies together in its sockets, so that
        a probe of what one read finds does not depend on luck."""
        pids = self.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            _await_stopped(pids)
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._process.wait()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
