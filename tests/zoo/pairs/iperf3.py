"""iperf3: a control and several data connections, which must meet in one server."""

from __future__ import annotations

import json
from pathlib import Path

from lib.pair import Endpoint, Pair, must_equal
from lib.payload import MEBIBYTE, digest
from lib.processes import Program, run
from lib.session import Session, says


class Iperf3(Pair):
    packages = ["iperf3"]
    programs = ["iperf3"]
    several_connections = True
    one_at_a_time = True

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        return [Program(["iperf3", "-s", "-B", at.host, "-p", str(at.port)], folder)]

    def check(self, at: Endpoint, folder: Path) -> str:
        return digest(
            *(self._transfer(at, folder, option) for option in ("--no-delay", "--reverse")))

    def session(self, at: Endpoint, folder: Path) -> Session:
        return Session([*self._client(at), "-t", "1", "-i", "0.2", "-P", "2", "--forceflush"],
                       folder,
                       ready=says(b"SUM"),
                       freeze=True,
                       result=lambda output: str(b"receiver" in output))

    def _transfer(self, at: Endpoint, folder: Path, option: str) -> str:
        size = 64 * MEBIBYTE
        end = json.loads(run([*self._client(at), "-n", str(size), "-J", option], folder))["end"]
        # The control connection says "done" while data is still under way: the more buffers there
        # are between the two, the less has been received by then.
        must_equal("all was sent", end["sum_sent"]["bytes"] >= size, True)
        must_equal("something was received", end["sum_received"]["bytes"] > 0, True)
        return "whole"

    @staticmethod
    def _client(at: Endpoint) -> list[str]:
        return ["iperf3", "-c", at.host, "-p", str(at.port)]
