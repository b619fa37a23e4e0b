"""Holds a server's answer back, where a client cannot be held from its own side."""

from __future__ import annotations

from pathlib import Path


class Gate:
    """A file that says "wait" while it is there; servers and their helpers look for it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "hold"

    def shut(self) -> None:
        self.path.touch()

    def open(self) -> None:
        self.path.unlink(missing_ok=True)
