"""Says what became of a load run in which one backend was killed: REPORT KILLED_MS NAME.

Exit code 0 when nothing failed but what was in flight on the killed backend at that moment.
"""
import json
import sys


def main():
    report = json.load(open(sys.argv[1], encoding="utf-8"))
    killed, name = int(sys.argv[2]), sys.argv[3]
    total = report["ok"] + report["failed"]
    print(f"{total} requests: {report['ok']} answered, {report['failed']} failed")
    for backend, share in sorted(report["backends"].items()):
        print(f"  {backend}: {share['count']} ({100 * share['count'] / max(report['ok'], 1):.1f} %)")
    in_flight = [f for f in report["failures"] if f["began"] <= killed + 5 <= f["began"] + f["ms"] + 30]
    for failure in report["failures"]:
        where = f"in flight when {name} was killed" if failure in in_flight else "NOT explained"
        print(f"  failed: {failure['cause']} after {failure['ms']} ms, {where}")
    unexplained = report["failed"] - len(in_flight)
    print("nothing else failed" if unexplained == 0 else f"{unexplained} failures are not explained")
    return 0 if unexplained == 0 and report["ok"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
