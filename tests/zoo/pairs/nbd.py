"""Network Block Device: nbdkit with nbdcopy, which reads with several connections at once."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint, Pair, must_equal
from lib.payload import MEBIBYTE, digest, payload
from lib.processes import Program, run
from lib.session import Session, at_least


class Nbd(Pair):
    packages = ["nbdkit", "libnbd-bin"]
    programs = ["nbdkit", "nbdcopy", "nbdinfo"]

    def prepare(self) -> None:
        (self.folder / "disk").write_bytes(payload(32 * MEBIBYTE))

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        return [
            Program([
                "nbdkit", "--foreground", "--readonly", "-i", at.host, "-p",
                str(at.port), "file", self.folder / "disk"
            ], folder)
        ]

    def check(self, at: Endpoint, folder: Path) -> str:
        size = run(["nbdinfo", "--size", f"nbd://{at}"], folder)
        must_equal("size", int(size), 32 * MEBIBYTE)
        run(["nbdcopy", "--connections=4", f"nbd://{at}", folder / "copy"], folder)
        must_equal("disk", digest(folder / "copy"), digest(self.folder / "disk"))
        return digest(folder / "copy")

    def session(self, at: Endpoint, folder: Path) -> Session:
        return Session(["nbdcopy", "--connections=1", f"nbd://{at}", "-"],
                       folder,
                       ready=at_least(MEBIBYTE))
