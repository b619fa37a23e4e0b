"""DNS over TCP; in the session one connection carries one question after another."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint
from lib.payload import words
from lib.session import Session, says
from pairs._dns import COUNT, Dns


class DnsTcp(Dns):
    transport = "+tcp"

    def session(self, at: Endpoint, folder: Path) -> Session:
        return Session(["stdbuf", "-oL", *self.dig(at), "+keepopen", "-f", "-"], folder, opening=self.questions(0, 1),
                       ready=says(words(1)[0].encode()), closing=self.questions(1, COUNT))
