"""Which failures of connections the storm explains. Pure, so that it can be tested itself.

Events are dicts: {"kind": "kill", "backend": [number, life], "begin": t,
"end": t},
{"kind": "few_descriptors", "begin": t, "end": t}, {"kind": "absent", "service": key, "begin": t,
"end": t}. An end of None means that it lasts still. Times are of the monotonic clock.
"""
SLACK = 0.3  # seconds between an action and what it does to others, on a busy machine


def explain(failure, events):
    """The kind of event that explains it; None when nothing does."""
    # Nothing explains a wrong byte, and nothing that the storm does may make anybody wait forever.
    if failure["kind"] in ("corrupt", "stuck"):
        return None
    for event in events:
        if _explains(event, failure):
            return event["kind"]
    return None


def _explains(event, failure):
    greeted = failure["backend"] is not None
    if event["kind"] == "absent":
        return event["service"] == failure["service"] and _overlap(event, failure)
    if event["kind"] == "few_descriptors":
        return not greeted and _overlap(event, failure)
    if event["kind"] == "kill":
        # Whoever has no greeting yet may have been in that backend's queue.
        same = not greeted or list(failure["backend"]) == list(event["backend"])
        return same and _overlap(event, failure)
    return False


def _overlap(event, failure):
    begun = event["begin"] <= failure["end"] + SLACK
    return begun and (event["end"] is None or event["end"] + SLACK >= failure["start"])
