#!/usr/bin/env python3
"""Compares what service accounts asked of the API server with what they may ask.

Usage: audit.py LOG NAMESPACE OBJECTS [--unused RESOURCE:VERB]...
LOG: the API server's audit log, JSON lines (audit_policy.yaml). OBJECTS: `kubectl get -o json` of the
roles, cluster roles and their bindings. Exit 1 for a right that nobody used, for a refusal (403) while
the rights were there, and for a log in which nobody asked anything; --unused lists rights that a run
need not use. Rights go before the pods that use them when a manifest is deleted: refusals between a
deletion and the creation that follows are no fault, nor those of an API server that has just started.
"""
import argparse
import json
import sys
from datetime import datetime, timedelta

RIGHTS = ("clusterroles", "clusterrolebindings", "roles", "rolebindings", "serviceaccounts", "namespaces")
# The API server's own view of new rights may come a little later than the answer to their creation.
SETTLES = timedelta(seconds=5)
# Whoever leads asks every two seconds; after a longer silence the API server has been away.
SILENCE = timedelta(seconds=3)
READS_ROLES = timedelta(seconds=10)


def moment(event):
    """When the request came in."""
    return datetime.fromisoformat(event["requestReceivedTimestamp"].replace("Z", "+00:00"))


def resource_of(reference):
    """services/status of an audit event's objectRef."""
    parts = (reference.get("resource", ""), reference.get("subresource", ""))
    return "/".join(part for part in parts if part)


def read(lines):
    """Events of a log; a last line that is cut off is left out."""
    out = []
    for line in lines:
        try:
            out.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return out


def rights_of(objects, namespace):
    """(group, resource, verb) -> name of the role, for roles bound to accounts of the namespace."""
    bound = set()
    for each in objects:
        if not each["kind"].endswith("Binding"):
            continue
        ours = [s for s in each.get("subjects") or [] if s["kind"] == "ServiceAccount" and s.get("namespace") == namespace]
        if ours:
            bound.add((each["roleRef"]["kind"], each["roleRef"]["name"]))
    out = {}
    for each in objects:
        if (each["kind"], each["metadata"]["name"]) not in bound:
            continue
        for rule in each.get("rules") or []:
            for group in rule.get("apiGroups", []):
                for resource in rule.get("resources", []):
                    for verb in rule.get("verbs", []):
                        out[(group, resource, verb)] = each["metadata"]["name"]
    return out


def absences(events):
    """Pairs (from, to) between a deletion of rights and the last creation of any that follows it."""
    out, gone = [], None
    changes = [e for e in events if e.get("objectRef", {}).get("resource") in RIGHTS
               and not e["user"]["username"].startswith("system:serviceaccount:")
               and e.get("responseStatus", {}).get("code", 500) < 300]
    for event in sorted(changes, key=moment):
        at = moment(event)
        if event["verb"] == "delete":
            gone = gone or at
        elif event["verb"] == "create" and gone:
            out.append((gone, at + SETTLES))
            gone = None
        elif event["verb"] == "create":
            # Rights are made one by one: the first of a manifest is not the last.
            out.append((at, at + SETTLES))
    if gone:
        out.append((gone, None))
    return out


def excused(at, gaps):
    return any(begin <= at and (end is None or at <= end) for begin, end in gaps)


def server_is_starting(event):
    """An API server that has not read its own roles yet refuses everybody."""
    return '"system:discovery" not found' in event.get("responseStatus", {}).get("message", "")


def restarts(events):
    """Moments at which somebody is answered again after a silence that is longer than a leader's."""
    at = sorted(moment(e) for e in events)
    return [later for earlier, later in zip(at, at[1:]) if later - earlier >= SILENCE]


def granted_soon(event, events):
    """The same request of the same account is answered shortly after: it had the right all along."""
    def what(e):
        return e["user"]["username"], e["verb"], resource_of(e.get("objectRef", {}))
    return any(what(e) == what(event) and e.get("responseStatus", {}).get("code", 500) < 400
               and timedelta(0) < moment(e) - moment(event) <= READS_ROLES for e in events)


def roles_not_read_yet(event, starts, events):
    """An API server that has just started knows some of its roles before others."""
    soon = any(timedelta(0) <= moment(event) - start <= READS_ROLES for start in starts)
    return soon and granted_soon(event, events)


def judge(events, rights, namespace, unused=()):
    """Sentences about what is wrong, and a line of figures."""
    prefix = f"system:serviceaccount:{namespace}:"
    asked = [e for e in events if e["user"]["username"].startswith(prefix) and "objectRef" in e]
    gaps, starts, used, wrong = absences(events), restarts(events), {}, []
    refused = set()
    for event in asked:
        reference = event["objectRef"]
        what = (reference.get("apiGroup", ""), resource_of(reference), event["verb"])
        code = event.get("responseStatus", {}).get("code", 0)
        if code == 403 and not (excused(moment(event), gaps) or server_is_starting(event)
                                or roles_not_read_yet(event, starts, events)):
            refused.add((event["user"]["username"].removeprefix(prefix), *what[1:], event["requestReceivedTimestamp"]))
        elif code < 400:
            used[what] = used.get(what, 0) + 1
    wrong += [f"{who} was refused: {verb} {resource} at {when}" for who, resource, verb, when in sorted(refused)]
    for right in sorted(set(rights) - set(used)):
        if f"{right[1]}:{right[2]}" not in unused:
            wrong.append(f"{rights[right]} grants what nobody used: {right[2]} {right[1]}")
    if not rights:
        wrong.append(f"no account of {namespace} has any right: is it installed?")
    if not asked:
        wrong.append(f"nobody of {namespace} asked anything: is the audit log on?")
    figures = ", ".join(f"{verb} {resource} {count}" for (_, resource, verb), count in sorted(used.items()))
    return wrong, figures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("log")
    parser.add_argument("namespace")
    parser.add_argument("objects")
    parser.add_argument("--unused", action="append", default=[])
    options = parser.parse_args()
    with open(options.log, encoding="utf-8") as log:
        events = read(log)
    with open(options.objects, encoding="utf-8") as objects:
        rights = rights_of(json.load(objects)["items"], options.namespace)
    wrong, figures = judge(events, rights, options.namespace, options.unused)
    print("\n".join(wrong) or figures)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
