"""What one run showed: the clients' own records set against what was on the wire to the dead backend."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from load import ANSWER
from tap import Flow

CONNECT_TIMEOUT = 1.25  # seconds: Empalme's default, given to all
TIMER = 0.05  # seconds that a timer of a proxy may be late


@dataclass(frozen=True)
class Record:
    """One connection of the load; `how` is how it ended, `got` the bytes of the answer it received."""

    number: int
    start: float
    end: float
    how: str
    got: int

    @property
    def took(self) -> float:
        return self.end - self.start


class Outcome:
    """The figures of one run. `broken` is when the backend was broken, at the earliest; `patience` after
    how many seconds without an answer the proxy is to act: its connect timeout, or before that a hedge."""

    def __init__(self, records: list[Record], flows: list[Flow], broken: float, patience: float) -> None:
        self._records, self._broken, self._patience = records, broken, patience
        self._flows = [flow for flow in flows if flow.opened > broken]
        self._split(flows)

    def _split(self, flows: list[Flow]) -> None:
        """A connection was in flight on the dead backend when that had accepted it; all others that
        got no answer are failed connects."""
        there = {number for flow in flows if flow.accepted for number in flow.requests}
        unknown = sum(1 for f in flows if f.accepted and not f.requests and f.accepted > self._broken - 0.05)
        unanswered = sorted((r for r in self._records if r.how != ANSWER), key=lambda r: r.start)
        self.cut = [r for r in unanswered if r.number in there]
        rest = [r for r in unanswered if r.number not in there]
        # Accepted but closed before the request came through: as many as the wire shows, the first ones.
        nameless = [r for r in rest if r.got == 0][:unknown]
        self.cut += nameless
        self.failed = [r for r in rest if r not in nameless]

    def endings(self) -> Counter[tuple[bool, str]]:
        """How those in flight ended, by whether a part of the answer had come."""
        return Counter((record.got > 0, record.how) for record in self.cut)

    def slowest_answer(self) -> float:
        return max((r.took for r in self._records if r.how == ANSWER and r.end > self._broken), default=0.0)

    def refused_attempts(self) -> int:
        return sum(flow.refused is not None for flow in self._flows)

    def last_attempt_after_refusal(self) -> float | None:
        """Seconds from the first refusal to the last attempt; None when nothing was refused."""
        refusals = [flow.refused for flow in self._flows if flow.refused is not None]
        return max(flow.opened for flow in self._flows) - min(refusals) if refusals else None

    def _first_timeout(self) -> float | None:
        lost = [flow.opened for flow in self._flows if flow.accepted is None]
        return min(lost) + self._patience if lost else None

    def lost_attempts(self) -> int:
        return sum(flow.accepted is None for flow in self._flows)

    def last_attempt_after_timeout(self) -> float | None:
        """Seconds from the first connect timeout (or hedge) to the last attempt, negative when that came before;
        None when there was no timeout."""
        first = self._first_timeout()
        return None if first is None else max(flow.opened for flow in self._flows) - first

    def waited_after_timeout(self) -> int:
        """Attempts that were still being made when the first of all had timed out. The wire shows it:
        the kernel repeats a SYN each second until the proxy gives up. The clients' own times would
        also show how busy the machine is."""
        first = self._first_timeout()
        if first is None:
            return 0
        return sum(max(flow.opened, flow.insisted or 0) > first + TIMER for flow in self._flows)
