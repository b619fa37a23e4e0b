"""Rendering the chart and reading manifests, for the tests beside this file."""
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/empalme"
KUBERNETES = ["--kube-version", "1.36.0"]
HA = {"topology": "ha", "pools": ["192.0.2.0/28", "2001:db8::/120"], "dataplane.announce": "vrrp:eth0"}
MONITORED = {f"monitoring.{each}.enabled": True for each in ("serviceMonitor", "prometheusRule", "dashboard")}
VALUE_SETS = {
    "default": {},
    "class": {"loadBalancerClass": "example.com/lb", "fullnameOverride": "second"},
    "unclassed": {"claimUnclassed": True},
    "strict": {"strictEndpoints": True},
    "tls secrets": {"tlsSecrets": [{"namespace": "shop", "names": ["web-tls", "shop-tls"]}]},
    "pools": {"pools": ["192.0.2.10-192.0.2.20", "198.51.100.0/24", "2001:db8::10-2001:db8::20"]},
    "monitored": MONITORED,
    "ha": HA,
    "ha monitored": {**HA, **MONITORED, "networkPolicy.enabled": True,
                     "networkPolicy.metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]},
    "ha with peers": {**HA, "dataplane.vrrpPeers": ["192.0.2.1", "192.0.2.2"]},
    "ha with handoff": {**HA, "dataplane.handoff": True},
    "every flag": {"dataplane.workers": 4, "dataplane.logConnections": 10, "dataplane.logLevel": "debug",
                   "controller.logLevel": "warning", "dataplane.extraArgs": ["--zone=a"],
                   "controller.extraArgs": ["--check"], "imagePullSecrets": [{"name": "registry"}],
                   "podAnnotations": {"a/b": "c"}, "serviceAccount.annotations": {"d/e": "f"},
                   "affinity": {"nodeAffinity": {}}, "uninstallHook.enabled": False},
}



def command(*words, text=None):
    """Exit code and everything that was said."""
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + (done.stderr if done.returncode else "")


def flatten(settings):
    """{"a.b": value} as --set-json arguments."""
    out = []
    for path, value in settings.items():
        out += ["--set-json", f"{path}={json.dumps(value)}"]
    return out


def template(settings=None, values=None, hooks=True, chart=CHART):
    """Exit code and text of `helm template`."""
    words = ["helm", "template", "empalme", str(chart), "-n", "empalme-system", "--include-crds", *KUBERNETES]
    if values:
        words += ["--values", str(ROOT / "charts/values" / values)]
    if not hooks:
        words.append("--no-hooks")
    return command(*words, *flatten(settings or {}))


def documents(text):
    """The objects of a text, each named kind/name."""
    out = {}
    for each in yaml.safe_load_all(text):
        if each is None:
            continue
        name = each["kind"] + "/" + each["metadata"]["name"]
        assert name not in out, f"{name} stands there twice"
        out[name] = each
    return out


def rendered(settings=None, **options):
    """The objects of the chart; fails with Helm's words."""
    code, text = template(settings, **options)
    assert code == 0, text
    return documents(text)


def notes(settings):
    """What Helm prints after an install: it shows that only to who has a cluster, so it is put into an
    object of a copy of the chart."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(CHART, Path(folder) / "empalme"))
        text = (copy / "templates/NOTES.txt").read_text()
        (copy / "templates/_notes.tpl").write_text('{{ define "notes" }}' + text + "{{ end }}")
        (copy / "templates/notes.yaml").write_text(
            "kind: Notes\nmetadata: {name: notes}\ntext: |\n{{ include \"notes\" . | indent 2 }}\n")
        return rendered(settings, chart=copy)["Notes/notes"]["text"]


def refusal(settings):
    """What Helm says about settings that must be refused."""
    code, text = template(settings)
    assert code != 0, f"not refused: {settings}"
    return text


def pod_of(workload):
    return workload["spec"]["template"]["spec"]


def container(workload, name):
    return next(c for c in pod_of(workload)["containers"] if c["name"] == name)
