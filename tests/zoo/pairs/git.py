"""git's own protocol with its daemon: clones, of which one is held in the middle of its pack."""

from __future__ import annotations

from pathlib import Path

from lib.gate import Gate
from lib.pair import Endpoint, Pair, must_equal
from lib.payload import MEBIBYTE, digest, payload
from lib.processes import Program, run
from lib.session import Session

# git lets the side that packs be wrapped; a part of the pack goes out, the rest waits for the gate.
HOOK = """#!/bin/sh
"$@" | { head -c 2000000; while [ -e %s ]; do sleep 0.05; done; cat; }
"""


class Git(Pair):
    packages = ["git"]
    programs = ["git"]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._gate = Gate(folder)

    def prepare(self) -> None:
        work = self.folder / "work"
        run(["git", "init", "-q", work], self.folder)
        (work / "big").write_bytes(payload(8 * MEBIBYTE))
        author = {
            "GIT_AUTHOR_NAME": "zoo",
            "GIT_AUTHOR_EMAIL": "zoo@zoo.test",
            "GIT_COMMITTER_NAME": "zoo",
            "GIT_COMMITTER_EMAIL": "zoo@zoo.test"
        }
        run(["git", "-C", work, "add", "."], self.folder)
        run(["git", "-C", work, "commit", "-q", "-m", "one"], self.folder, extra=author)
        hook = self.folder / "hook"
        hook.write_text(HOOK % self._gate.path)
        hook.chmod(0o755)

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        # The hook is read from the user's own settings only, never from the repository's.
        (folder / ".gitconfig").write_text(f"[uploadpack]\n packObjectsHook = {self.folder}/hook\n")
        return [
            Program([
                "git", "daemon", f"--base-path={self.folder}", "--export-all",
                f"--listen={at.host}", f"--port={at.port}", "--reuseaddr"
            ], folder)
        ]

    def check(self, at: Endpoint, folder: Path) -> str:
        run(self._clone(at, folder), folder)
        run(["git", "-C", folder / "clone", "fsck", "--strict"], folder)
        must_equal("file", digest(folder / "clone/big"), digest(self.folder / "work/big"))
        return digest(run(["git", "-C", folder / "clone", "ls-tree", "HEAD"], folder))

    def session(self, at: Endpoint, folder: Path) -> Session:

        def has_begun(_: bytes) -> bool:
            parts = folder.glob("clone/.git/objects/pack/tmp_pack_*")
            return any(part.stat().st_size > MEBIBYTE for part in parts)

        self._gate.shut()
        return Session(self._clone(at, folder),
                       folder,
                       ready=has_begun,
                       closing=self._gate.open,
                       result=lambda _: folder / "clone/big")

    @staticmethod
    def _clone(at: Endpoint, folder: Path) -> list[str | Path]:
        return ["git", "clone", "-q", f"git://{at}/work/.git", folder / "clone"]
