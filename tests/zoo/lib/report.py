"""The table, what failed, and the closing line."""

from __future__ import annotations

from collections import defaultdict

from lib.trial import MODES, Outcome, Verdict

_CELL = 14


def header(width: int) -> str:
    return "pair".ljust(width) + "".join(mode.ljust(_CELL) for mode in MODES) + "seconds"


def line(name: str, outcomes: dict[str, Outcome], width: int) -> str:
    """One pair; a mode that was not reached shows a dash."""
    total = sum(outcome.seconds for outcome in outcomes.values())
    return name.ljust(width) + "".join(
        _cell(outcomes.get(mode)).ljust(_CELL) for mode in MODES) + f"{total:.1f}"


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "-"
    timed = outcome.verdict in (Verdict.OK, Verdict.FAILED)
    return f"{outcome.verdict.value} {outcome.seconds:.1f}" if timed else outcome.verdict.value


def failures(results: dict[str, dict[str, Outcome]]) -> str:
    """Each failure with the ends of the logs."""
    return "".join(f"\n{name}, {mode}: {outcome.why}\n" for name, outcomes in results.items()
                   for mode, outcome in outcomes.items() if outcome.verdict is Verdict.FAILED)


def closing(results: dict[str, dict[str, Outcome]]) -> str:
    """Reasons of what was skipped or makes no sense, each with its pairs, then the count."""
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    count = {verdict: 0 for verdict in Verdict}
    for name, outcomes in results.items():
        for mode, outcome in outcomes.items():
            count[outcome.verdict] += 1
            if outcome.verdict in (Verdict.SKIPPED, Verdict.NOT_APPLICABLE):
                reasons[outcome.verdict.value, f"{mode}: {outcome.why}"].append(name)
    lines = [
        f"{kind}: {why} ({', '.join(names)})" for (kind, why), names in sorted(reasons.items())
    ]
    return "\n".join([*lines, f"{count[Verdict.OK]} passed, {count[Verdict.FAILED]} failed"])
