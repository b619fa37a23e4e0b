#!/usr/bin/env python3
"""Notes how well the machine runs, so that a pause can be told from one of the machine's own.

    pulse.py beat LOG              until SIGTERM
    pulse.py judge LOG FROM TO     milliseconds since 1970; JSON on standard output
    pulse.py tell LOG FROM TO      the same in words; exits with 1 where the machine stood still

A line of LOG is of one second: `MILLISECONDS LATE BUSY STOLEN TOTAL`. LATE is by how many milliseconds
a sleeper woke up too late, at the worst; the others are jiffies of all processors (proc(5), /proc/stat),
BUSY what ran here and STOLEN what a hypervisor gave to others. The judge gives the worst second and the
shares, in percent; a second without a line is one in which nothing ran, and makes the next one late.
"""
import json
import signal
import sys
import time

EVERY = 0.02
LINE_EVERY = 1.0
# proc(5): user nice system idle iowait irq softirq steal; guests are in user already.
# A machine at rest is below both.
LATE_MS = 150
STOLEN_PERCENT = 50
_IDLE, _IOWAIT, _STEAL, _ALL = 3, 4, 7, 8


def jiffies(stat):
    """(busy, stolen, total) of the first line of /proc/stat."""
    fields = [int(each) for each in stat.split()[1:1 + _ALL]]
    stolen = fields[_STEAL]
    return sum(fields) - fields[_IDLE] - fields[_IOWAIT] - stolen, stolen, sum(fields)


def read_jiffies():
    with open("/proc/stat", encoding="ascii") as stat:
        return jiffies(stat.readline())


def beat(log):
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    before, worst = read_jiffies(), 0.0
    line_due = time.monotonic() + LINE_EVERY
    with open(log, "w", buffering=1, encoding="ascii") as out:
        while not ended:
            due = time.monotonic() + EVERY
            time.sleep(EVERY)
            now = time.monotonic()
            worst = max(worst, now - due)
            if now < line_due:
                continue
            after = read_jiffies()
            spent = " ".join(str(new - old) for new, old in zip(after, before))
            out.write(f"{time.time_ns() // 1_000_000} {round(worst * 1000)} {spent}\n")
            before, worst, line_due = after, 0.0, now + LINE_EVERY


def share(part, whole):
    return round(100 * part / whole) if whole else 0


def judge(lines, begin, end):
    """{late_ms, stolen, busy}; `stolen` of what wanted to run, `busy` of all."""
    late = busy = stolen = total = 0
    for line in lines:
        parts = line.split()
        if len(parts) != 5 or not line.endswith("\n"):
            continue
        # A line is of the second before it.
        if not begin <= int(parts[0]) <= end + 1000 * LINE_EVERY:
            continue
        late = max(late, int(parts[1]))
        busy, stolen, total = (sum(pair) for pair in zip((busy, stolen, total), map(int, parts[2:])))
    return {"late_ms": late, "stolen": share(stolen, busy + stolen), "busy": share(busy, total)}


def stood_still(judged):
    return judged["late_ms"] > LATE_MS or judged["stolen"] > STOLEN_PERCENT


def in_words(judged):
    return "the machine: at most {late_ms} ms late, {stolen} % stolen, {busy} % busy".format(**judged)


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "beat":
        beat(sys.argv[2])
    elif len(sys.argv) == 5 and sys.argv[1] in ("judge", "tell"):
        with open(sys.argv[2], encoding="ascii") as log:
            judged = judge(log, int(sys.argv[3]), int(sys.argv[4]))
        if sys.argv[1] == "judge":
            print(json.dumps(judged))
        else:
            print(in_words(judged))
            sys.exit(1 if stood_still(judged) else 0)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
