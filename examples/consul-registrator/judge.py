"""Holds the counter against the answers: BEFORE AFTER LOAD_LOG [KILLS].

BEFORE and AFTER are the counter around the load, LOAD_LOG is that of empalme-demo-load; KILLS has a line for each killed
container, when it was told to die and when it was dead, in milliseconds of Unix time. Exit code 0: each answer has a count
of its own; without KILLS nothing failed, and what was counted was answered; with KILLS whatever failed, and no more than
whatever was counted without an answer, was under way while a container died.
"""
import sys
from collections import Counter

FEWEST = 500


class Request:
    """A line of the load's log: "BEGAN ENDED CONTAINER COUNT" or "BEGAN ENDED FAILED:CAUSE"."""

    def __init__(self, line):
        words = line.split()
        self.began, self.ended = int(words[0]), int(words[1])
        self.failure = " ".join(words[2:])[len("FAILED:"):] if words[2].startswith("FAILED:") else None
        self.container, self.count = (None, None) if self.failure else (words[2], int(words[3]))


def read(path, make):
    with open(path, encoding="utf-8") as file:
        return [make(line) for line in file]


def judge_calm(requests, unanswered):
    if any(request.failure for request in requests):
        return "requests failed"
    return None if unanswered == 0 else "what was counted is not what was answered"


def judge_kills(requests, unanswered, kills):
    under_way = [request for request in requests
                 if any(request.began <= dead and request.ended >= told for told, dead in kills)]
    since = sum(request.began > max(dead for _, dead in kills) for request in requests)
    strange = [request for request in requests if request.failure and request not in under_way]
    print(f"  {len(kills)} containers killed with {len(under_way)} requests under way in all containers: "
          f"{sum(bool(request.failure) for request in under_way)} of these failed, {len(strange)} others, "
          f"{unanswered} counted without an answer; {since} requests since")
    if strange:
        return f"failed while nobody died: {[(each.began, each.ended, each.failure) for each in strange[:5]]} {kills}"
    if not 0 <= unanswered <= len(under_way):
        return "more was counted than was under way"
    return None if since else "no request after the last kill"


def main():
    before, after = int(sys.argv[1]), int(sys.argv[2])
    requests = read(sys.argv[3], Request)
    answered = [request for request in requests if not request.failure]
    causes = dict(Counter(request.failure for request in requests if request.failure))
    unanswered = after - before - len(answered)
    print(f"{len(requests)} requests, {len(answered)} answered by {len({each.container for each in answered})} containers, "
          f"{len(requests) - len(answered)} failed {causes or ''}; the counter went up by {after - before}")
    troubles = []
    if len(answered) < FEWEST:
        troubles.append("too few answers to judge by")
    counts = {request.count for request in answered}
    if len(counts) != len(answered) or any(not before < count <= after for count in counts):
        troubles.append("two answers with one count")
    if len(sys.argv) > 4:
        kills = read(sys.argv[4], lambda line: tuple(map(int, line.split())))
        troubles.append(judge_kills(requests, unanswered, kills))
    else:
        troubles.append(judge_calm(requests, unanswered))
    troubles = [trouble for trouble in troubles if trouble]
    print("as it should be" if not troubles else "NOT: " + "; ".join(troubles))
    return 0 if not troubles else 1


if __name__ == "__main__":
    sys.exit(main())
