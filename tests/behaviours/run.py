"""How Empalme, nginx (stream) and HAProxy behave where TCP proxies differ, side by side.

Each row is one probe over real sockets. Empalme's column is asserted, the others are only shown.
Root; every proxy runs in a network namespace that this suite makes and removes.

  python3 tests/behaviours/run.py [--only WORDS] [--set empalme,nginx]
"""
from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile

sys.path.insert(0, f"{os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}/support")
import bytes_moved  # noqa: E402
import connects  # noqa: E402
import half_closes  # noqa: E402
import limits  # noqa: E402
import resets  # noqa: E402
from peers.proxies import ALL, EMPALME  # noqa: E402
from peers.report import closing_line, markdown  # noqa: E402
from peers.space import Space  # noqa: E402
from row import Place, Row, Seen  # noqa: E402

ROWS: list[Row] = [*half_closes.ROWS, *resets.ROWS, *bytes_moved.ROWS, *connects.ROWS, *limits.ROWS]


def column(contestant: str, space: Space, names: list[str]) -> list[Seen]:
    """All rows of one proxy, in a namespace of its own. Runs in a process of its own."""
    space.enter()
    with tempfile.TemporaryDirectory() as folder:
        place = Place(contestant, folder)
        return [row.run(place) for row in ROWS if row.name in names]


def measure(contestants: list[str], rows: list[Row]) -> dict[str, list[Seen]]:
    """Empalme first and alone, since it is judged by the clock too; the peers mostly wait, so together."""
    spaces = {name: Space(f"b{i}") for i, name in enumerate(contestants)}
    names = [row.name for row in rows]
    try:
        with multiprocessing.get_context("fork").Pool(len(contestants)) as pool:
            jobs = {}
            for name in sorted(contestants, key=lambda each: each != EMPALME):
                jobs[name] = pool.apply_async(column, (name, spaces[name], names))
                if name == EMPALME:
                    jobs[name].wait(100)
            return {name: jobs[name].get(100) for name in contestants}
    finally:
        for space in spaces.values():
            space.remove()


def report(rows: list[Row], columns: dict[str, list[Seen]]) -> int:
    """Prints the table, what was seen in each failed row, and the closing line."""
    body = [[row.name, *(seen[i].text for seen in columns.values())] for i, row in enumerate(rows)]
    print(markdown([["Probe", *columns], *body]))
    ours = columns.get(EMPALME, [])
    wrong = [(row, seen) for row, seen in zip(rows, ours) if not seen.right]
    for row, seen in wrong:
        print(f"\nFAILED {row.name}\n  must: {row.must}\n  seen: {seen.text}")
    print("\n" + closing_line(len(ours) - len(wrong), len(wrong)))
    return 1 if wrong or not ours else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows whose name holds these words")
    parser.add_argument("--set", default=",".join(ALL), help="contestants")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("this suite makes network namespaces: run it as root", file=sys.stderr)
        return 2
    # So that the namespaces are removed on SIGTERM too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rows = [row for row in ROWS if options.only in row.name]
    return report(rows, measure(options.set.split(","), rows))


if __name__ == "__main__":
    sys.exit(main())
