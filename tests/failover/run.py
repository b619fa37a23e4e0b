"""What clients notice when one of three backends dies or vanishes under 2,000 new connections a second.

Empalme with its default policy, and with retry_before_first_byte and hedge_ms where the build has them,
beside HAProxy with and without redispatch and nginx. Empalme's rows are asserted, the others are only shown. Root;
everything runs in network namespaces that this suite makes and removes.

  python3 tests/failover/run.py [--set empalme,nginx]
"""
from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

sys.path.insert(0, f"{os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}/support")
from control import HERE, KILLED, VANISHED, BackendProcess, directly  # noqa: E402
from outcome import CONNECT_TIMEOUT, Outcome, Record  # noqa: E402
from peers import admin  # noqa: E402
from peers.proxies import EMPALME, Proxy, Setup  # noqa: E402
from peers.report import closing_line, markdown  # noqa: E402
from peers.space import Space, black_hole  # noqa: E402
from tap import Tap  # noqa: E402

RATE = 2000
SECONDS = {KILLED: 3.5, VANISHED: 4.0}  # one of them before the backend is broken
GRACE = {KILLED: 3.5, VANISHED: 1.5}  # for what is under way at the end; after a vanishing some always is
RETRY = "policy.retry_before_first_byte"
HEDGE = "policy.hedge_ms"
HEDGE_MS = 100


class TooBusy(RuntimeError):
    """The load could not keep its rate: says nothing about the proxy."""


@dataclass(frozen=True)
class Contestant:
    """A proxy with the policy it runs under; `needs` is a feature without which it is left out."""

    name: str
    proxy: str
    policy: dict[str, Any] = field(default_factory=dict)
    needs: str = ""

    @property
    def judged(self) -> bool:
        return self.proxy == EMPALME


CONTESTANTS = [
    Contestant("empalme", EMPALME),
    Contestant("empalme, retry before first byte", EMPALME, {"retry_before_first_byte": True}, RETRY),
    # A long ejection, for the question whether it is back would look like one more attempt.
    Contestant("empalme, hedge after 100 ms", EMPALME, {"hedge_ms": HEDGE_MS, "ejection": {"seconds": 60}}, HEDGE),
    Contestant("HAProxy", "HAProxy"),
    Contestant("HAProxy without redispatch", "HAProxy without redispatch"),
    Contestant("nginx", "nginx"),
]


def break_backend(scenario: str, backend: BackendProcess) -> float:
    """Returns a moment just before the deed."""
    before = time.time()
    if scenario == KILLED:
        backend.kill()
    else:
        black_hole(backend.port, both_ways=True)
    return before


def run_load(port: int, scenario: str, deed: Callable[[], float]) -> tuple[list[Record], float]:
    """The load's records, and when the deed was done: once the load is warm."""
    command = [sys.executable, f"{HERE}/load.py", *map(str, (port, RATE, SECONDS[scenario], GRACE[scenario]))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None
        if load.stdout.readline() != "warm\n":
            raise RuntimeError("the load does not start")
        when = deed()
        rows = json.loads(load.communicate(timeout=30)[0])
    records = [Record(*row) for row in rows]
    if len(records) < 0.95 * RATE * SECONDS[scenario]:
        raise TooBusy(f"only {len(records)} connections were begun: the machine is too busy")
    return records, when


def measure(contestant: Contestant, scenario: str) -> Outcome:
    """One run, or a second one where other work on the machine spoilt the first."""
    try:
        return measure_once(contestant, scenario)
    except TooBusy:
        return measure_once(contestant, scenario)


def measure_once(contestant: Contestant, scenario: str) -> Outcome:
    """One run, in the namespace the process is in."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        backends = [stack.enter_context(BackendProcess()) for _ in range(3)]
        addresses = [("127.0.0.1", backend.port) for backend in backends]
        setup = Setup(addresses, int(CONNECT_TIMEOUT * 1000), workers=2, policy=contestant.policy)
        proxy = stack.enter_context(Proxy(contestant.proxy, setup, folder))
        tap = Tap(backends[1].port)
        records, broken = run_load(proxy.port, scenario, lambda: break_backend(scenario, backends[1]))
        patience = contestant.policy.get("hedge_ms", CONNECT_TIMEOUT * 1000) / 1000
        return Outcome(records, tap.flows(), broken, patience)


def features() -> set[str]:
    """What this build of Empalme says it understands."""
    with tempfile.TemporaryDirectory() as folder, Proxy(EMPALME, Setup([("127.0.0.1", 9)]), folder) as proxy:
        return set(admin.call(proxy.admin, "GET", "/v1/status")[1]["features"])


def in_flight(outcome: Outcome) -> str:
    parts = [f"{count} {how} {'inside' if inside else 'before'} the answer"
             for (inside, how), count in sorted(outcome.endings().items(), reverse=True)]
    return ", ".join(parts) or "none cut"


def milliseconds(seconds: float | None) -> str:
    return "none" if seconds is None else f"{seconds * 1000:.1f} ms"


def figures(scenario: str, outcome: Outcome) -> list[str]:
    shared = [str(len(outcome.failed)), in_flight(outcome), f"{outcome.slowest_answer() * 1000:.0f} ms"]
    if scenario == VANISHED:
        return [*shared, str(outcome.lost_attempts()), milliseconds(outcome.last_attempt_after_timeout()),
                str(outcome.waited_after_timeout())]
    return [*shared, str(outcome.refused_attempts()), milliseconds(outcome.last_attempt_after_refusal())]


HEADS = {
    KILLED: ["One of 3 backends is killed", "failed connects", "in flight on it", "slowest answer",
             "refused attempts", "last attempt after the first refusal"],
    VANISHED: ["One of 3 backends vanishes", "failed connects", "in flight on it", "slowest answer",
               "attempts without an answer", "last attempt after the first timeout or hedge",
               "attempts that waited after it"],
}


def judge(contestant: Contestant, scenario: str, outcome: Outcome, right: dict[bool, set[str]]) -> list[tuple[str, bool]]:
    """What must hold of Empalme, each with whether it does."""
    wrong = [f"{how} {'inside' if inside else 'before'} the answer" for inside, how in outcome.endings()
             if how not in right[inside]]
    checks = [
        ("no connect fails", not outcome.failed),
        (f"those in flight end as for a direct client ({in_flight(outcome)}; directly {right[True]} inside, "
         f"{right[False]} before the answer)", not wrong)]
    if contestant.needs == RETRY and scenario == KILLED:
        checks.append(("nobody is cut before the answer began", not any(not inside for inside, _ in outcome.endings())))
    if scenario == KILLED:
        last = outcome.last_attempt_after_refusal()
        checks.append(("the last attempt comes within 10 ms of the first refusal", last is None or last <= 0.010))
    else:
        first = "hedge" if contestant.needs == HEDGE else "connect timeout"
        checks.append((f"nobody waits for the black hole after the first {first}",
                       outcome.waited_after_timeout() == 0))
    return [(f"{contestant.name}, backend {scenario}: {name}", held) for name, held in checks]


def run_all(contestants: list[Contestant], spaces: list[Space]) -> int:
    """Both tables, then what failed, then the closing line."""
    spaces[0].enter()
    right = {scenario: directly(scenario) for scenario in (KILLED, VANISHED)}
    known = features()
    checks: list[tuple[str, bool]] = []
    for scenario in (KILLED, VANISHED):
        table = [HEADS[scenario]]
        for contestant, space in zip(contestants, spaces[1:]):
            if contestant.needs and contestant.needs not in known:
                table.append([contestant.name, f"skipped: {contestant.needs} is not in this build's features",
                              *[""] * (len(HEADS[scenario]) - 2)])
                continue
            space.enter()
            outcome = measure(contestant, scenario)
            table.append([contestant.name, *figures(scenario, outcome)])
            if contestant.judged:
                checks += judge(contestant, scenario, outcome, right[scenario])
        print(markdown(table) + "\n", flush=True)
    failed = [name for name, held in checks if not held]
    for name in failed:
        print(f"FAILED {name}")
    print(closing_line(len(checks) - len(failed), len(failed)))
    return 1 if failed or not checks else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", default="", help="proxies: those whose name begins so, by commas")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("this suite makes network namespaces: run it as root", file=sys.stderr)
        return 2
    # So that the namespaces are removed on SIGTERM too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    chosen = [c for c in CONTESTANTS if c.name.startswith(tuple(options.set.split(",")))]
    spaces = [Space(f"f{i}") for i in range(len(chosen) + 1)]
    try:
        return run_all(chosen, spaces)
    finally:
        for space in spaces:
            space.remove()


if __name__ == "__main__":
    sys.exit(main())
