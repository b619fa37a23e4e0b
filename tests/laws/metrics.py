#!/usr/bin/env python3
"""Holds alerts and dashboard of the chart to the metrics that the programs have.

Usage: metrics.py ROOT CONTROLLER DATAPLANE. Starts both on loopback with a file as the source, reads
their /metrics, and fails for every empalme_* name in charts/empalme/files that neither shows, except
those of parts that do not run here (Lease, API server, announcing), which must stand in the source that
makes them. Labels are checked where the running programs show the metric.
"""
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

NAME = re.compile(r"\bempalme_[a-z0-9_]+")
# Made by what this test does not start: an API server, a Lease, --announce.
ELSEWHERE = {
    "empalme_controller_": "controller",
    "empalme_dataplane_": "dataplane",
}
# Names that a change under way brings; they count as present.
AWAITED = set()
TARGET_LABELS = {"instance", "job", "le", "namespace", "pod"}


def used_in(text):
    """Every metric name in an expression or file."""
    return set(NAME.findall(text))


def expressions(root):
    """Pairs of where and what: every PromQL expression of alerts and dashboard."""
    out = []
    alerts = (root / "charts/empalme/files/alerts.yaml").read_text()
    for line in alerts.splitlines():
        if line.strip().startswith("expr: "):
            out.append(("alerts.yaml", line.split("expr: ", 1)[1]))
    board = json.loads((root / "charts/empalme/files/dashboard.json").read_text())
    for panel in board["panels"]:
        out += [(panel["title"], target["expr"]) for target in panel["targets"]]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            out.append(("variable " + variable["name"], variable["query"]))
    return out


def families(exposition):
    """Names and label names of an exposition: {name: {labels}}."""
    out = {}
    for line in exposition.splitlines():
        declared = re.match(r"# TYPE (\S+) (\S+)", line)
        if declared:
            suffixes = ("_bucket", "_sum", "_count") if declared[2] == "histogram" else ("",)
            for suffix in suffixes:
                out.setdefault(declared[1] + suffix, set())
            continue
        sample = re.match(r"([a-z0-9_]+)(?:\{(.*)\})? ", line)
        if sample and not line.startswith("#"):
            out.setdefault(sample[1], set()).update(re.findall(r'(\w+)="', sample[2] or ""))
    return out


def in_source(root, name):
    """True when the source of the part makes a metric of that name."""
    for prefix, folder in ELSEWHERE.items():
        if not name.startswith(prefix):
            continue
        wanted = '"' + name.removeprefix(prefix) + '"'
        return any(wanted in file.read_text() for file in (root / folder).rglob("*.cpp"))
    return False


def labels_of(expression):
    """Labels that an expression groups or selects by, for the metrics in it."""
    out = set()
    for group in re.findall(r"\b(?:by|without) \(([^)]*)\)", expression):
        out.update(part.strip() for part in group.split(",") if part.strip())
    for selector in re.findall(r"\{([^}]*)\}", expression):
        out.update(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)"', selector))
    return out - TARGET_LABELS


def problems(found, known, root):
    """One sentence for each name or label that nothing makes."""
    out = []
    for where, expression in found:
        names = used_in(expression)
        if not names:
            out.append(f"{where}: no metric of ours in {expression}")
        for name in sorted(names - AWAITED):
            if name not in known and not in_source(root, name):
                out.append(f"{where}: {name} is made by no program")
        shown = [known[name] for name in names if known.get(name)]
        if shown and len(shown) == len(names):
            for label in sorted(labels_of(expression) - set().union(*shown)):
                out.append(f"{where}: no label {label} in {expression}")
    return out


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def page(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def expositions(controller, dataplane, folder):
    """/metrics of both programs while they serve one service, of which one client was refused."""
    observe = {"controller": free_port(), "dataplane": free_port()}
    listen, nobody = free_port(), free_port()
    (folder / "lb.yaml").write_text(
        f"services:\n  - name: web\n    listen: 127.0.0.1:{listen}\n"
        f"    backends: ['127.0.0.1:{nobody}']\n")
    admin = f"unix:{folder}/d.sock"
    commands = [
        [dataplane, "--admin", admin, "--state-dir", str(folder / "state"), "--observe",
         f"127.0.0.1:{observe['dataplane']}"],
        [controller, "--source", f"file:{folder}/lb.yaml", "--dataplane", admin, "--admin",
         f"unix:{folder}/c.sock", "--observe", f"127.0.0.1:{observe['controller']}"],
    ]
    running = [subprocess.Popen(c, stderr=subprocess.DEVNULL) for c in commands]
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if "ok" in page(observe["controller"], "/readyz") and page(listen, "/") == "":
                text = {each: page(port, "/metrics") for each, port in observe.items()}
                if "empalme_backend_connect_failures_total{" in text["dataplane"]:
                    return text["controller"] + text["dataplane"]
            time.sleep(0.05)
        raise SystemExit("the programs did not serve within 30 s")
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(timeout=20)


def main():
    root = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        known = families(expositions(sys.argv[2], sys.argv[3], Path(folder)))
    found = expressions(root)
    wrong = problems(found, known, root)
    print("\n".join(wrong) or f"{len(found)} expressions, all of metrics that exist")
    awaited = [name for name in sorted(AWAITED) if name not in known]
    if awaited:
        print("not there yet:", ", ".join(awaited))
    return 1 if wrong or not found else 0


if __name__ == "__main__":
    sys.exit(main())
