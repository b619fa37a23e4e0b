"""Says what scaling under load has cost: LOAD_LOG READY PHASES.

LOAD_LOG is that of empalme-demo-load; READY has a container and when it was ready, a line each; PHASES has pairs of
lines, "five"/"two" and when that many began to share the load, "end" and when no longer. Exit code 0: nothing failed,
each new container was asked within half a second, and shares were even within five percent.
"""
import sys

MOST_WAIT_MS = 500
MOST_UNEVEN = 0.05
NUMBERS = {"five": 5, "two": 2}


def read_load(path):
    out = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if len(words) == 3:
                out.append((int(words[0]), int(words[1]), words[2]))
    return out


def judge_waits(load, path):
    worst = 0
    with open(path, encoding="utf-8") as file:
        ready = [line.split() for line in file]
    for name, at in ready:
        answers = [ended for _, ended, backend in load if backend == name]
        if not answers:
            return f"{name} was never asked"
        wait = min(answers) - int(at)
        worst = max(worst, wait)
        print(f"  {name}: first answer {wait} ms after it was found healthy")
    if len(ready) != 4:
        return f"{len(ready)} new containers, not 4"
    return None if worst <= MOST_WAIT_MS else f"{worst} ms until a ready container was asked"


def judge_share(load, phase, begin, end):
    counts = {}
    for began, _, backend in load:
        if begin <= began < end:
            counts[backend] = counts.get(backend, 0) + 1
    print(f"  {phase} containers: {sorted(counts.values())} connections")
    if len(counts) != NUMBERS[phase]:
        return f"{len(counts)} backends answered where {phase} should"
    mean = sum(counts.values()) / len(counts)
    worst = max(abs(count - mean) / mean for count in counts.values())
    return None if worst <= MOST_UNEVEN else f"shares of {phase} containers differ by {100 * worst:.1f} %"


def main():
    load = read_load(sys.argv[1])
    failed = [line for line in load if line[2].startswith("FAILED:")]
    print(f"{len(load)} connections, {len(failed)} failed")
    troubles = [f"{cause} at {began}" for began, _, cause in failed[:5]]
    if len(load) < 1000:
        troubles.append("too few connections to judge by")
    troubles.append(judge_waits(load, sys.argv[2]))
    with open(sys.argv[3], encoding="utf-8") as file:
        phases = [line.split() for line in file]
    for (phase, begin), (_, end) in zip(phases[::2], phases[1::2]):
        troubles.append(judge_share(load, phase, int(begin), int(end)))
    troubles = [trouble for trouble in troubles if trouble]
    print("as it should be" if not troubles else "NOT: " + "; ".join(troubles))
    return 0 if not troubles else 1


if __name__ == "__main__":
    sys.exit(main())
