"""Says how a run went: NAME LOAD_LOG FROM TO, times in milliseconds of Unix time.

Exit code 0: nothing failed, and each of the three servers answered some connection that began within FROM and TO.
"""
import sys

SERVERS = {"web1", "web2", "web3"}


def read(path):
    with open(path, encoding="utf-8") as file:
        lines = [line.split() for line in file]
    return [(int(began), int(ended), who) for began, ended, who in lines]


def main():
    name, path, begin, end = sys.argv[1:]
    load = read(path)
    failed = [each for each in load if each[2].startswith("FAILED:")]
    slowest = max(ended - began for began, ended, _ in load)
    late = {who for began, _, who in load if int(begin) <= began < int(end)} & SERVERS
    print(f"{name}: {len(load)} connections, {len(failed)} failed, the slowest took {slowest} ms; "
          f"at the end {', '.join(sorted(late)) or 'nobody'} served")
    for began, _, why in failed[:3]:
        print(f"  {why} at {began}")
    return 0 if load and not failed and late == SERVERS else 1


if __name__ == "__main__":
    sys.exit(main())
