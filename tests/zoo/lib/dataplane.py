"""The program under test: one process for a pair, told what to serve through its admin socket."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib.pair import Endpoint
from lib.processes import Broken, Program, await_true


class _UnixConnection(http.client.HTTPConnection):

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class DataPlane:
    """Holds the document that is served; each change is one PUT with the next generation."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self._socket = folder / "admin.sock"
        self._generation = 0
        self._services: dict[str, dict[str, Any]] = {}
        self.program = Program([
            binary, "--admin", f"unix:{self._socket}", "--announce", "none", "--workers", "2",
            "--state-dir", folder / "held", "--log-level", "debug"
        ],
                               folder,
                               name="dataplane")
        await_true("the data plane answers", self._answers)
        self.features: set[str] = set(self._call("GET", "/v1/status")["features"])

    def publish(self,
                key: str,
                vip: Endpoint,
                backends: Sequence[tuple[Endpoint, str]],
                *,
                protocol: str = "tcp",
                policy: dict[str, Any] | None = None) -> None:
        """Serves `backends`, each with its state, at `vip`; returns when every worker does."""
        self._services[key] = {
            "key": f"file/{key}",
            "addresses": [vip.host],
            "ports": [{
                "port": vip.port,
                "protocol": protocol,
                "policy": policy or {},
                "backends": [{
                    "address": at.host,
                    "port": at.port,
                    "state": state
                } for at, state in backends]
            }]
        }
        self._put()

    def withdraw(self, key: str) -> None:
        """Stops serving it; connections that are open there are reset."""
        self._services.pop(key, None)
        self._put()

    def busy(self, key: str) -> dict[str, int]:
        """host:port of the backends of a service that hold connections now, with their number."""
        for service in self._call("GET", "/v1/status")["services"]:
            if service["key"] == f"file/{key}":
                return {
                    backend["backend"]: backend["connections"] for port in service["ports"]
                    for backend in port["backends"]
                    if backend["connections"] > 0
                }
        raise Broken(f"the data plane does not know {key}")

    def stop(self) -> None:
        """SIGTERM, and Broken unless it ends with 0: a crash in a run must not stay unseen."""
        early = self.program.process.poll()
        if early is not None:
            raise Broken(f"the data plane ended by itself with {early}")
        self.program.process.terminate()
        code = self.program.process.wait(10)
        if code != 0:
            raise Broken(f"the data plane ended with {code}")

    def _put(self) -> None:
        self._generation += 1
        services = [self._services[key] for key in sorted(self._services)]
        answer = self._call("PUT", "/v1/state", {
            "schema": "empalme.io/v1",
            "epoch": 1,
            "generation": self._generation,
            "services": services
        })
        if answer["failed"]:
            raise Broken(f"the data plane could not serve: {answer['failed']}")

    def _answers(self) -> bool:
        try:
            self._call("GET", "/v1/status")
        except OSError:
            if self.program.process.poll() is not None:
                raise Broken(f"the data plane ended at once: {self.program.said()}") from None
            return False
        return True

    def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        connection = _UnixConnection(self._socket)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status != 200:
            raise Broken(f"{method} {path}: {response.status} {text[:300]}")
        answer: dict[str, Any] = json.loads(text)
        return answer
