#!/usr/bin/env python3
"""The real program with next to no descriptors: it serves, or says in one JSON line why not and exits with 1.

  few_descriptors.py PROGRAM: each limit from 5 up to the first three it can serve with (RLIMIT_NOFILE)."""
import json
import resource
import signal
import subprocess
import sys
import tempfile

WORKERS, LEAST, MOST = 4, 5, 80
failures = []


def check(holds, sentence):
    if not holds:
        failures.append(sentence)
        print("FAILED:", sentence, flush=True)


def attempt(program, work, limit):
    """Its log and its exit code; 0 when it has served and was then asked to end."""
    lower = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    command = [program, "--admin", f"unix:{work}/admin.sock", "--state-dir", f"{work}/held", "--handoff",
               f"{work}/handoff.sock", "--workers", str(WORKERS)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=lower)
    lines = []
    for line in running.stderr:
        lines.append(line)
        if '"serving"' in line:
            running.send_signal(signal.SIGTERM)
    return lines, running.wait(20)


def main():
    served = refused = 0
    with tempfile.TemporaryDirectory() as work:
        for limit in range(LEAST, MOST):
            lines, code = attempt(sys.argv[1], work, limit)
            check(code in (0, 1), f"{limit} descriptors: it ended with {code}: {lines}")
            if code == 1:
                refused += 1
                told = json.loads(lines[-1]) if lines else {}
                check(told.get("level") == "error", f"{limit} descriptors: no reason is given: {lines}")
                check("\n" not in told.get("message", ""), f"{limit} descriptors: more than one line")
            served += code == 0
            if served == 3:
                break
    print(f"{refused} limits are too low, the first that it serves with is {limit - served + 1}", flush=True)
    check(served == 3, f"it serves with {MOST} descriptors")
    check(refused > 5, "some limits are too low")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
