"""gRPC: etcd with etcdctl; the session is a lock whose lease is kept alive by a stream."""

from __future__ import annotations

from pathlib import Path

from lib.gate import Gate
from lib.pair import Endpoint, Pair, must_equal
from lib.payload import digest, words
from lib.processes import Program, await_true, run
from lib.session import Session, says

VERSION = {"ETCDCTL_API": "3"}
HOLDER = "echo under way; while [ -e {} ]; do sleep 0.05; done; echo done"


class Etcd(Pair):
    packages = ["etcd-server", "etcd-client"]
    programs = ["etcd", "etcdctl"]
    not_applicable = {"killed": "etcdctl waits for a dead server without end, also directly"}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._gate = Gate(folder)

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        peers = f"http://{at.host}:{at.port + 100}"
        return [
            Program([
                "etcd", "--name", "zoo", "--data-dir", folder / "data", "--listen-client-urls",
                f"http://{at}", "--advertise-client-urls", f"http://{at}", "--listen-peer-urls",
                peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", f"zoo={peers}"
            ], folder)
        ]

    def fill(self, at: Endpoint, folder: Path) -> None:
        await_true(
            "etcd is ready",
            lambda: b"true" in run([*self._client(at), "endpoint", "health", "-w", "json"],
                                   folder,
                                   codes=[0, 1],
                                   extra=VERSION))

    def check(self, at: Endpoint, folder: Path) -> str:
        value = "\n".join(words(10000))
        run([*self._client(at), "put", "big"], folder, stdin=value.encode(), extra=VERSION)
        got = run([*self._client(at), "get", "big", "--print-value-only"], folder, extra=VERSION)
        must_equal("value", digest(got.rstrip()), digest(value))
        return digest(got)

    def session(self, at: Endpoint, folder: Path) -> Session:
        self._gate.shut()
        return Session([
            *self._client(at), "lock", "--ttl", "5", folder.name, "--", "sh", "-c",
            HOLDER.format(self._gate.path)
        ],
                       folder,
                       ready=says(b"under way"),
                       closing=self._gate.open,
                       extra=VERSION)

    @staticmethod
    def _client(at: Endpoint) -> list[str]:
        return ["etcdctl", "--endpoints", f"http://{at}"]
