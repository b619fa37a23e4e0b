"""DNS over TCP; in the session one connection carries one question after another."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint
from lib.payload import words
from lib.session import Session, says
from pairs._dns import Dns

# dnsmasq ends a connection after 100 questions.
SESSION = 90


class DnsTcp(Dns):
    transport = "+tcp"
    reconnects = True

    def session(self, at: Endpoint, folder: Path) -> Session:
        return Session(
            ["stdbuf", "-oL", *self.dig(at), "+keepopen", "-f", "-"],
            folder,
            opening=self.questions(0, 1),
            ready=says(words(1)[0].encode()),
            closing=self.questions(1, SESSION),
            # A dig that lost its connection complains instead of the next answer, and goes on.
            result=lambda output: b"".join(output.splitlines()[-50:]))
