"""Subversion's own protocol: svnserve with checkouts."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint, Pair, must_equal
from lib.payload import MEBIBYTE, digest, payload, words
from lib.processes import Program, run
from lib.session import Session, at_least


class Svn(Pair):
    packages = ["subversion"]
    programs = ["svn", "svnadmin", "svnserve"]

    def prepare(self) -> None:
        data = self.folder / "data"
        data.mkdir()
        (data / "big").write_bytes(payload(24 * MEBIBYTE))
        for number, word in enumerate(words(20)):
            (data / f"small{number:02}").write_text(word)
        run(["svnadmin", "create", self.folder / "repository"], self.folder)
        run(["svn", "import", "-q", "-m", "one", data, f"file://{self.folder}/repository"],
            self.folder)

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        return [
            Program([
                "svnserve", "-d", "--foreground", "--listen-host", at.host, "--listen-port",
                str(at.port), "-r", self.folder
            ], folder)
        ]

    def check(self, at: Endpoint, folder: Path) -> str:
        run(["svn", "checkout", "-q", f"svn://{at}/repository", folder / "got"], folder)
        got = digest(*sorted(path for path in (folder / "got").iterdir() if path.is_file()))
        must_equal("files", got, digest(*sorted((self.folder / "data").iterdir())))
        return got

    def session(self, at: Endpoint, folder: Path) -> Session:
        return Session(["svn", "cat", f"svn://{at}/repository/big"],
                       folder,
                       ready=at_least(MEBIBYTE))
