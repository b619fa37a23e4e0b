"""The chart under several sets of values, what its schema refuses, and that manifests and chart agree."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import yaml

from chart import CHART, KUBERNETES, ROOT, command, container, documents, notes, pod_of, refusal, rendered, template

HA = {"topology": "ha", "pools": ["192.0.2.0/28", "2001:db8::/120"], "dataplane.announce": "vrrp:eth0"}
MONITORED = {f"monitoring.{each}.enabled": True for each in ("serviceMonitor", "prometheusRule", "dashboard")}
VALUE_SETS = {
    "default": {},
    "class": {"loadBalancerClass": "example.com/lb", "fullnameOverride": "second"},
    "unclassed": {"claimUnclassed": True},
    "strict": {"strictEndpoints": True},
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


class RenderedObjects(unittest.TestCase):
    def test_helm_lint_finds_nothing(self):
        code, text = command("helm", "lint", "--strict", *KUBERNETES, str(CHART))
        self.assertEqual(code, 0, text)
        self.assertNotIn("[WARNING]", text)

    def test_every_set_of_values_gives_objects_that_the_api_knows(self):
        for name, settings in VALUE_SETS.items():
            with self.subTest(name):
                code, text = template(settings)
                self.assertEqual(code, 0, text)
                code, said = command("strict", text=text)
                self.assertEqual(code, 0, said)

    def test_what_is_not_kubernetes_own_is_only_what_monitoring_asks_for(self):
        _, text = template({**HA, **MONITORED})
        _, said = command("strict", text=text)
        self.assertEqual(sorted(re.findall(r"own: (\w+)", said)), ["PrometheusRule", "ServiceMonitor"])

    def test_the_strict_reader_refuses_an_unknown_field_and_nothing_at_all(self):
        bad = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndatta: {}\n"
        code, said = command("strict", text=bad)
        self.assertEqual(code, 1)
        self.assertIn("datta", said)
        self.assertEqual(command("strict", text="")[0], 1)

    def test_objects_live_in_the_namespace_of_the_release(self):
        for name, each in rendered({**HA, **MONITORED}).items():
            if each["kind"] in ("ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"):
                continue
            self.assertEqual(each["metadata"].get("namespace"), "empalme-system", name)

    def test_no_flag_is_given_for_what_is_default(self):
        workload = rendered()["Deployment/empalme"]
        self.assertEqual(container(workload, "controller")["args"],
                         ["--source=kubernetes", "--dataplane=unix:/run/empalme/dataplane.sock",
                          "--observe=$(POD_IP):9901"])
        self.assertEqual(container(workload, "dataplane")["args"],
                         ["--admin=unix:/run/empalme/dataplane.sock", "--state-dir=/var/lib/empalme",
                          "--announce=auto", "--drain=20", "--observe=$(POD_IP):9902"])

    def test_pods_are_read_only_where_endpoints_are_held_against_them(self):
        for strict in (False, True):
            with self.subTest(strict):
                objects = rendered({"strictEndpoints": strict})
                args = container(objects["Deployment/empalme"], "controller")["args"]
                rules = [each for each in objects["ClusterRole/empalme"]["rules"] if "pods" in each["resources"]]
                self.assertEqual("--strict-endpoints" in args, strict)
                self.assertEqual(rules, [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}] * strict)

    def test_peers_reach_the_data_planes_as_one_flag(self):
        peers = container(rendered(VALUE_SETS["ha with peers"])["DaemonSet/empalme-dataplane"], "dataplane")["args"]
        self.assertIn("--vrrp-peers=192.0.2.1,192.0.2.2", peers)

    def test_a_data_plane_beside_keepalived_is_not_the_first_process_of_its_container(self):
        # Else keepalived dies with it at once, and leaves the addresses on the node.
        self.assertEqual(container(rendered(HA)["DaemonSet/empalme-dataplane"], "dataplane")["command"][0], "sh")
        self.assertEqual(container(rendered()["Deployment/empalme"], "dataplane")["command"], ["empalme-dataplane"])

    def test_each_value_reaches_the_flag_that_it_is_for(self):
        workload = rendered({**VALUE_SETS["every flag"], "claimUnclassed": True, "loadBalancerClass": "x.y/z",
                             "dataplane.drainSeconds": 50})["Deployment/empalme"]
        controller, dataplane = (set(container(workload, c)["args"]) for c in ("controller", "dataplane"))
        self.assertLessEqual({"--class=x.y/z", "--claim-unclassed", "--log-level=warning", "--check"}, controller)
        self.assertLessEqual({"--workers=4", "--log-connections=10", "--log-level=debug", "--zone=a", "--drain=50"},
                             dataplane)
        self.assertEqual(pod_of(workload)["terminationGracePeriodSeconds"], 60)
        self.assertEqual(pod_of(workload)["imagePullSecrets"], [{"name": "registry"}])

    def test_pools_are_joined_in_the_config_map_and_a_change_of_them_starts_new_pods(self):
        objects = rendered(VALUE_SETS["pools"])
        pools = "192.0.2.10-192.0.2.20,198.51.100.0/24,2001:db8::10-2001:db8::20"
        self.assertEqual(objects["ConfigMap/empalme"]["data"]["pool"], pools)
        annotations = objects["Deployment/empalme"]["spec"]["template"]["metadata"]["annotations"]
        self.assertEqual(annotations["empalme.io/pools"], pools)

    def test_a_digest_stands_before_a_tag(self):
        digest = "sha256:" + "0" * 64
        for settings, image in (({}, "empalme:0.1.0"), ({"image.tag": "9"}, "empalme:9"),
                                ({"image.tag": "9", "image.digest": digest}, "empalme@" + digest)):
            workload = rendered(settings)["Deployment/empalme"]
            self.assertEqual({c["image"] for c in pod_of(workload)["containers"]}, {image})

    def test_the_image_s_default_tag_is_the_version_of_the_programs(self):
        version = re.search(r"project\(\w+\s+VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
        self.assertEqual(yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"], version)

    def test_pods_on_the_host_network_declare_no_ports(self):
        for settings in ({}, HA):
            for name, each in rendered(settings).items():
                if "template" in each.get("spec", {}) and pod_of(each).get("hostNetwork"):
                    self.assertFalse([c for c in pod_of(each)["containers"] if "ports" in c], name)

    def test_no_container_has_more_rights_than_it_needs(self):
        for settings in ({}, HA):
            for name, each in rendered(settings).items():
                if "template" not in each.get("spec", {}):
                    continue
                for one in pod_of(each)["containers"]:
                    context, where = one["securityContext"], f"{name} {one['name']}"
                    self.assertTrue(context["readOnlyRootFilesystem"], where)
                    self.assertFalse(context["allowPrivilegeEscalation"], where)
                    self.assertEqual(context["capabilities"]["drop"], ["ALL"], where)
                    self.assertEqual(context["seccompProfile"], {"type": "RuntimeDefault"}, where)
                    added = context["capabilities"].get("add", [])
                    if one["name"] == "dataplane":
                        self.assertEqual(added, ["NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE"])
                    else:
                        self.assertEqual((added, context["runAsNonRoot"]), ([], True), where)

    def test_rights_name_no_wildcard(self):
        for settings in ({}, HA):
            for name, each in rendered(settings).items():
                for rule in each.get("rules", []):
                    self.assertNotIn("*", rule["verbs"] + rule["resources"] + rule["apiGroups"], name)


class HighAvailability(unittest.TestCase):
    def setUp(self):
        self.objects = rendered(HA)

    def test_controllers_elect_one_of_them_and_find_their_data_planes(self):
        workload = self.objects["Deployment/empalme"]
        self.assertEqual(workload["spec"]["replicas"], 2)
        self.assertNotIn("hostNetwork", pod_of(workload))
        self.assertLessEqual({"--lease=$(POD_NAMESPACE)/empalme",
                              "--dataplane-service=$(POD_NAMESPACE)/empalme-dataplane",
                              "--tls-secret=$(POD_NAMESPACE)/empalme-tls"},
                             set(container(workload, "controller")["args"]))

    def test_the_rights_of_the_lease_and_the_certificates_are_of_the_own_namespace_and_by_name(self):
        rules = self.objects["Role/empalme"]["rules"]
        for rule in rules:
            self.assertTrue(rule["verbs"] == ["create"] or rule["resourceNames"], rule)
        named = {name for rule in rules for name in rule.get("resourceNames", [])}
        self.assertEqual(named, {"empalme", "empalme-tls", "empalme-tls-ca", "empalme-tls-client"})
        for each in self.objects["ClusterRole/empalme"]["rules"]:
            self.assertFalse({"leases", "secrets"} & set(each["resources"]))

    def test_data_planes_have_the_server_s_key_and_no_other_and_no_token(self):
        pod = pod_of(self.objects["DaemonSet/empalme-dataplane"])
        secret = next(v for v in pod["volumes"] if v["name"] == "tls")["secret"]
        self.assertEqual({item["key"] for item in secret["items"]}, {"ca.crt", "server.crt", "server.key"})
        self.assertEqual(secret["defaultMode"], 0o400)
        self.assertFalse(pod["automountServiceAccountToken"])
        self.assertEqual(pod["serviceAccountName"], "empalme-dataplane")
        self.assertNotIn("empalme-dataplane", json.dumps([self.objects["ClusterRoleBinding/empalme"]["subjects"],
                                                          self.objects["RoleBinding/empalme"]["subjects"]]))

    def test_the_service_finds_data_planes_that_are_not_ready_yet(self):
        service = self.objects["Service/empalme-dataplane"]["spec"]
        self.assertEqual(service["clusterIP"], "None")
        self.assertTrue(service["publishNotReadyAddresses"])
        self.assertEqual([(p["name"], p["targetPort"]) for p in service["ports"]], [("admin", 9903)])
        labels = self.objects["DaemonSet/empalme-dataplane"]["spec"]["template"]["metadata"]["labels"]
        self.assertLessEqual(service["selector"].items(), labels.items())

    def test_pods_of_the_two_parts_never_match_each_other_s_selectors(self):
        selectors = [self.objects[n]["spec"]["selector"]["matchLabels"]
                     for n in ("Deployment/empalme", "DaemonSet/empalme-dataplane", "PodDisruptionBudget/empalme")]
        controller = self.objects["Deployment/empalme"]["spec"]["template"]["metadata"]["labels"].items()
        dataplane = self.objects["DaemonSet/empalme-dataplane"]["spec"]["template"]["metadata"]["labels"].items()
        self.assertEqual([s.items() <= controller for s in selectors], [True, False, True])
        self.assertEqual([s.items() <= dataplane for s in selectors], [False, True, False])

    def test_uninstall_waits_for_the_pods_of_controllers_only(self):
        source = (ROOT / "controller/uninstall.cpp").read_text()
        name = re.search(r"labelSelector=app\.kubernetes\.io/name%3D([a-z-]+)\"", source)[1]
        having = [n for n, each in self.objects.items() if each.get("spec", {}).get("template", {}).get("metadata", {})
                  .get("labels", {}).get("app.kubernetes.io/name") == name]
        self.assertEqual(having, ["Deployment/empalme"])

    def test_an_upgrade_replaces_data_planes_one_by_one_or_side_by_side_with_a_handoff(self):
        plain = self.objects["DaemonSet/empalme-dataplane"]
        self.assertEqual(plain["spec"]["updateStrategy"]["rollingUpdate"], {"maxSurge": 0, "maxUnavailable": 1})
        handing = rendered({**HA, "dataplane.handoff": True})["DaemonSet/empalme-dataplane"]
        self.assertEqual(handing["spec"]["updateStrategy"]["rollingUpdate"], {"maxSurge": 1, "maxUnavailable": 0})
        self.assertGreaterEqual(handing["spec"]["minReadySeconds"], 10)
        self.assertNotIn("minReadySeconds", plain["spec"])
        self.assertIn("--handoff=/run/empalme/handoff.sock", container(handing, "dataplane")["args"])
        run = next(v for v in pod_of(handing)["volumes"] if v["name"] == "run")
        self.assertEqual(run["hostPath"]["path"], "/run/empalme")

    def test_the_network_policy_lets_only_metrics_in_and_only_who_may_read_them(self):
        policy = rendered(VALUE_SETS["ha monitored"])["NetworkPolicy/empalme"]["spec"]
        self.assertEqual(policy["ingress"][0]["ports"], [{"protocol": "TCP", "port": 9901}])
        self.assertEqual(policy["ingress"][0]["from"][0]["namespaceSelector"]["matchLabels"], {"name": "monitoring"})
        self.assertNotIn("NetworkPolicy/empalme", self.objects)

    def test_single_has_nothing_of_this(self):
        kinds = {name.split("/")[0] for name in rendered(hooks=False)}
        self.assertEqual(kinds, {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "ConfigMap",
                                 "CustomResourceDefinition", "Deployment"})


class HandedOver(unittest.TestCase):
    """The container's command, with a data plane that does what the test asks for."""

    def start(self, program):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        fake = Path(folder.name) / "empalme-dataplane"
        fake.write_text("#!/bin/sh\n" + program)
        fake.chmod(0o755)
        workload = rendered({**HA, "dataplane.handoff": True})["DaemonSet/empalme-dataplane"]
        words = container(workload, "dataplane")["command"] + ["--one", "--two words"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True,
                                   env={**os.environ, "PATH": f"{folder.name}:{os.environ['PATH']}"})
        self.addCleanup(process.stdout.close)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)

    def test_flags_arrive_one_by_one(self):
        process = self.start('for each in "$@"; do echo "[$each]"; done\nexit 4\n')
        self.assertEqual(process.stdout.read(), "[--one]\n[--two words]\n")
        self.assertEqual(process.wait(timeout=10), 4)

    def test_a_data_plane_that_fails_ends_the_container(self):
        self.assertEqual(self.start("exit 1\n").wait(timeout=10), 1)

    def test_one_that_has_handed_over_leaves_the_container_until_it_is_told_to_end(self):
        process = self.start("echo handed over\nexit 0\n")
        self.assertEqual(process.stdout.readline(), "handed over\n")
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        process.terminate()
        self.assertEqual(process.wait(timeout=10), 0)

    def test_being_told_to_end_reaches_the_data_plane_and_its_answer_counts(self):
        process = self.start("trap 'echo draining; exit 7' TERM\necho up\nwhile :; do sleep 0.05; done\n")
        self.assertEqual(process.stdout.readline(), "up\n")
        process.terminate()
        self.assertEqual(process.stdout.readline(), "draining\n")
        self.assertEqual(process.wait(timeout=10), 7)

    def test_a_drain_is_waited_for(self):
        process = self.start("trap 'echo draining; sleep 1; echo drained; exit 0' TERM\n"
                             "echo up\nwhile :; do sleep 0.05; done\n")
        self.assertEqual(process.stdout.readline(), "up\n")
        process.terminate()
        self.assertEqual(process.stdout.read(), "draining\ndrained\n")
        self.assertEqual(process.wait(timeout=10), 0)


    def test_keepalived_is_waited_for_when_the_data_plane_is_killed(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy("/bin/sleep", f"{folder}/keepalived")
            process = self.start(f"({folder}/keepalived 0.7; touch {folder}/given-up) >/dev/null &\n"
                                 "sleep 0.2\nkill -KILL $$\n")
            self.assertEqual(process.wait(timeout=10), 137)
            # Between its end and the mark there is a moment.
            for _ in range(20):
                if os.path.exists(f"{folder}/given-up"):
                    return
                time.sleep(0.01)
            self.fail("the container ended before keepalived")


class Monitoring(unittest.TestCase):
    def test_each_endpoint_of_the_monitor_is_a_port_of_a_service_that_finds_pods(self):
        for settings, workloads in (({}, ["Deployment/empalme"]),
                                    (HA, ["Deployment/empalme", "DaemonSet/empalme-dataplane"])):
            objects = rendered({**settings, **MONITORED})
            monitor = objects["ServiceMonitor/empalme"]["spec"]
            labels = [objects[w]["spec"]["template"]["metadata"]["labels"] for w in workloads]
            ports = set()
            for each in objects.values():
                chosen = monitor["selector"]["matchLabels"].items() <= each["metadata"]["labels"].items()
                if each["kind"] == "Service" and chosen:
                    self.assertTrue(any(each["spec"]["selector"].items() <= one.items() for one in labels))
                    ports |= {p["name"] for p in each["spec"]["ports"]}
            self.assertEqual({e["port"] for e in monitor["endpoints"]}, ports)

    def test_labels_by_which_prometheus_and_grafana_choose_are_set(self):
        objects = rendered({**MONITORED, "monitoring.serviceMonitor.labels": {"release": "p"},
                            "monitoring.prometheusRule.labels": {"release": "p"}})
        self.assertEqual(objects["ServiceMonitor/empalme"]["metadata"]["labels"]["release"], "p")
        self.assertEqual(objects["PrometheusRule/empalme"]["metadata"]["labels"]["release"], "p")
        self.assertEqual(objects["ConfigMap/empalme-dashboard"]["metadata"]["labels"]["grafana_dashboard"], "1")

    def test_rules_and_dashboard_arrive_as_they_are_in_their_files(self):
        objects = rendered(MONITORED)
        alerts = yaml.safe_load((CHART / "files/alerts.yaml").read_text())
        self.assertEqual(objects["PrometheusRule/empalme"]["spec"], alerts)
        board = json.loads((CHART / "files/dashboard.json").read_text())
        self.assertEqual(json.loads(objects["ConfigMap/empalme-dashboard"]["data"]["empalme.json"]), board)

    def test_every_alert_has_a_severity_a_summary_and_advice(self):
        alerts = yaml.safe_load((CHART / "files/alerts.yaml").read_text())
        rules = [rule for group in alerts["groups"] for rule in group["rules"]]
        self.assertEqual(len({rule["alert"] for rule in rules}), len(rules))
        for rule in rules:
            self.assertIn(rule["labels"]["severity"], ("warning", "critical"), rule)
            self.assertTrue(rule["annotations"]["summary"] and rule["annotations"]["description"], rule)

    def test_panels_do_not_overlap(self):
        panels = json.loads((CHART / "files/dashboard.json").read_text())["panels"]
        taken = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels]
        self.assertEqual(len(set(taken)), len(panels))
        self.assertEqual(len({p["id"] for p in panels}), len(panels))
        self.assertGreaterEqual(len(panels), 12)


class Uninstalling(unittest.TestCase):
    def test_a_job_frees_services_before_anything_is_deleted(self):
        hooks = {n: e for n, e in rendered().items() if "helm.sh/hook" in e["metadata"].get("annotations", {})}
        self.assertEqual({e["metadata"]["annotations"]["helm.sh/hook"] for e in hooks.values()}, {"pre-delete"})
        job = hooks["Job/empalme-uninstall"]
        self.assertEqual(pod_of(job)["containers"][0]["command"], ["empalme-controller", "uninstall"])
        weights = {n: int(e["metadata"]["annotations"]["helm.sh/hook-weight"]) for n, e in hooks.items()}
        self.assertEqual(max(weights, key=weights.get), "Job/empalme-uninstall")

    def test_its_rights_are_what_uninstall_asks_for(self):
        objects = rendered()
        granted = {(r, v) for kind in ("ClusterRole", "Role") for rule in objects[f"{kind}/empalme-uninstall"]["rules"]
                   for r in rule["resources"] for v in rule["verbs"]}
        self.assertEqual(granted, {("services", "list"), ("services/status", "patch"), ("deployments", "list"),
                                   ("deployments", "patch"), ("pods", "list")})
        names = [n for rule in objects["Role/empalme-uninstall"]["rules"] for n in rule.get("resourceNames", [])]
        self.assertEqual(names, ["empalme"])

    def test_it_can_be_switched_off_and_the_notes_say_what_to_do_then(self):
        self.assertNotIn("Job/empalme-uninstall", rendered({"uninstallHook.enabled": False}))
        advice = "Before you uninstall this release, run `empalme uninstall`"
        self.assertIn(advice, notes({"uninstallHook.enabled": False}))
        self.assertNotIn(advice, notes({}))

    def test_the_notes_say_whose_services_are_served_and_from_where(self):
        said = notes({"claimUnclassed": True, "pools": ["192.0.2.0/28", "auto"]})
        self.assertIn("loadBalancerClass is empalme.io/lb, and those without a class.", said)
        self.assertIn("Addresses come from: 192.0.2.0/28, auto", said)
        self.assertIn("kubectl label namespace empalme-system pod-security", said)


class Refusals(unittest.TestCase):
    def test_the_schema_names_the_value_that_is_wrong(self):
        for settings, words in (
                ({"pols": ["auto"]}, "Additional property pols is not allowed"),
                ({"dataplane.anounce": "auto"}, "Additional property anounce is not allowed"),
                ({"topology": "cluster"}, 'topology must be one of the following: "single", "ha"'),
                ({"pools": []}, "pools: Array must have at least 1 items"),
                ({"pools": ["192.0.2.1"]}, "pools.0: Does not match"),
                ({"pools": "auto"}, "pools: Invalid type. Expected: array"),
                ({"controller.observePort": 70000}, "controller.observePort: Must be less than or equal to 65535"),
                ({"controller.replicas": 0}, "controller.replicas: Must be greater than or equal to 1"),
                ({"controller.logLevel": "loud"}, "controller.logLevel must be one of the following"),
                ({"dataplane.announce": "eth0"}, "dataplane.announce: Does not match"),
                ({"dataplane.stateDir": "state"}, "dataplane.stateDir: Does not match"),
                ({**HA, "dataplane.vrrpPeers": ["node-1"]}, "dataplane.vrrpPeers.0: Does not match"),
                ({"dataplane.extraArgs": ["x"]}, "dataplane.extraArgs.0: Does not match"),
                ({"image.pullPolicy": "Sometimes"}, "image.pullPolicy must be one of the following"),
                ({"image.digest": "sha256:0"}, "image.digest: Does not match"),
                ({"claimUnclassed": "yes"}, "claimUnclassed: Invalid type. Expected: boolean"),
                ({"nodeSelector": {"a": 1}}, "nodeSelector.a: Invalid type. Expected: string"),
                ({"monitoring.serviceMonitor.interval": "often"}, "monitoring.serviceMonitor.interval: Does not")):
            with self.subTest(settings):
                self.assertIn(words, refusal(settings))

    def test_values_that_do_not_go_together_are_refused_with_what_to_do(self):
        for settings, words in (
                ({**HA, "pools": ["auto"]}, "name CIDRs or ranges"),
                ({**HA, "dataplane.announce": "auto"}, "use vrrp:NAME"),
                ({"dataplane.announce": "vrrp:eth0"}, "is for several data planes"),
                ({**HA, "dataplane.announce": "none", "dataplane.vrrpPeers": ["192.0.2.1"]}, "is for dataplane.announce vrrp:NAME"),
                ({"dataplane.handoff": True}, "dataplane.handoff needs topology ha"),
                ({"controller.observePort": 9902}, "may not be the same")):
            with self.subTest(settings):
                self.assertIn(words, refusal(settings))


class AddressPools(unittest.TestCase):
    """The definition under the API server's own validation, its rules in CEL included."""
    DEFINITION = (ROOT / "manifests/crd-addresspools.yaml").read_text()

    def judged(self, spec, name="a", definition=DEFINITION):
        pool = {"apiVersion": "empalme.io/v1alpha1", "kind": "AddressPool", "metadata": {"name": name}, "spec": spec}
        return command("strict", text=f"{definition}---\n{json.dumps(pool)}\n")

    def test_the_definition_and_the_sample_are_sound(self):
        sample = (ROOT / "manifests/samples/addresspool.yaml").read_text()
        code, said = command("strict", text=f"{self.DEFINITION}---\n{sample}")
        self.assertEqual((code, said), (0, ""))

    def test_a_rule_that_does_not_compile_is_refused(self):
        code, said = command("strict", text=self.DEFINITION.replace("isCIDR(", "isCider("))
        self.assertEqual(code, 1)
        self.assertIn("isCider", said)

    def test_ranges_of_every_form_are_taken(self):
        for each in ("192.0.2.0/28", "192.0.2.1", "192.0.2.1-192.0.2.9", "2001:db8::/64", "2001:db8::1-2001:db8::9"):
            with self.subTest(each):
                self.assertEqual(self.judged({"addresses": [each]}), (0, ""))

    def test_what_is_no_range_of_one_family_is_refused(self):
        for each in ("", "web", "192.0.2.1/33", "192.0.2.1-", "192.0.2.1-192.0.2.2-192.0.2.3", "192.0.2.1-2001:db8::1"):
            with self.subTest(each):
                code, said = self.judged({"addresses": [each]})
                self.assertEqual(code, 1)
                self.assertIn("must be a CIDR, an address, or FIRST-LAST of one family", said)

    def test_a_pool_without_addresses_and_one_with_an_unknown_field_are_refused(self):
        self.assertIn("at least 1 items", self.judged({"addresses": []})[1])
        self.assertIn("unknown field spec.adresses", self.judged({"addresses": ["192.0.2.1"], "adresses": 1})[1])

    def test_the_name_of_the_pool_of_the_flags_is_taken(self):
        code, said = self.judged({"addresses": ["192.0.2.1"]}, name="flags")
        self.assertEqual(code, 1)
        self.assertIn("the name flags is that of the pool that --pool gives", said)

    def test_values_stand_with_in_and_not_in_only(self):
        def of(operator, **values):
            expression = {"key": "team", "operator": operator, **values}
            return self.judged({"addresses": ["192.0.2.1"], "namespaceSelector": {"matchExpressions": [expression]}})[0]
        self.assertEqual([of("In", values=["a"]), of("NotIn", values=["a"]), of("Exists"), of("DoesNotExist")], [0] * 4)
        self.assertEqual([of("In"), of("NotIn", values=[]), of("Exists", values=["a"]), of("Has")], [1] * 4)

    def test_the_status_that_is_written_is_in_the_definition(self):
        status = {"capacity": 9007199254740991, "assigned": 1, "quarantined": 0,
                  "conflicts": [{"reason": "PoolOverlap", "message": "m"}]}
        pool = {"apiVersion": "empalme.io/v1alpha1", "kind": "AddressPool", "metadata": {"name": "a"},
                "spec": {"addresses": ["192.0.2.1"]}, "status": status}
        self.assertEqual(command("strict", text=f"{self.DEFINITION}---\n{json.dumps(pool)}\n"), (0, ""))
        pool["status"]["capacity"] = "many"
        self.assertEqual(command("strict", text=f"{self.DEFINITION}---\n{json.dumps(pool)}\n")[0], 1)


class Manifests(unittest.TestCase):
    def test_the_files_that_users_apply_are_what_the_chart_renders(self):
        for name in ("install", "minikube"):
            written = documents((ROOT / f"manifests/{name}.yaml").read_text())
            made = rendered(values=f"{name}.yaml", hooks=False)
            self.assertEqual(sorted(written), sorted(made), name)
            for each, content in made.items():
                self.assertEqual(written[each], content, f"{name}: {each}")

    def test_the_files_for_high_availability_are_as_charts_render_leaves_them(self):
        with tempfile.TemporaryDirectory() as folder:
            code, text = command(str(ROOT / "charts/render"), folder)
            self.assertEqual(code, 0, text)
            for made in Path(folder).iterdir():
                self.assertEqual(made.read_text(), (ROOT / "manifests/ha" / made.name).read_text(), made.name)

    def test_kustomize_builds_the_bases_with_every_object_in_them(self):
        for folder, values in (("manifests", "install.yaml"), ("manifests/ha", "ha.yaml")):
            code, text = command("kustomize", "build", str(ROOT / folder))
            self.assertEqual(code, 0, text)
            self.assertEqual(sorted(documents(text)), sorted(rendered(values=values, hooks=False)), folder)

    def test_every_file_for_high_availability_is_in_its_kustomization(self):
        folder = ROOT / "manifests/ha"
        listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
        self.assertEqual(sorted(listed + ["kustomization.yaml"]), sorted(f.name for f in folder.iterdir()))

    def test_an_overlay_changes_image_and_pool(self):
        with tempfile.TemporaryDirectory(dir=ROOT / "tests/chart") as folder:
            (Path(folder) / "kustomization.yaml").write_text(
                "resources: [../../../manifests/ha]\n"
                "images: [{name: empalme, newName: registry.example/empalme, newTag: '7'}]\n"
                "patches:\n  - patch: |\n      {apiVersion: v1, kind: ConfigMap, metadata: {name: empalme, namespace: "
                "empalme-system},\n       data: {pool: 203.0.113.16/28, announce: 'vrrp:ens3'}}\n")
            code, text = command("kustomize", "build", folder)
        self.assertEqual(code, 0, text)
        objects = documents(text)
        self.assertEqual(objects["ConfigMap/empalme"]["data"], {"pool": "203.0.113.16/28", "announce": "vrrp:ens3"})
        image = container(objects["DaemonSet/empalme-dataplane"], "dataplane")["image"]
        self.assertEqual(image, "registry.example/empalme:7")


class Documentation(unittest.TestCase):
    @staticmethod
    def leaves(values, prefix=""):
        out = []
        for key, value in values.items():
            path = prefix + key
            deeper = isinstance(value, dict) and value and path not in Documentation.WHOLE
            out += Documentation.leaves(value, path + ".") if deeper else [path]
        return out

    WHOLE = {"controller.resources", "dataplane.resources", "nodeSelector", "monitoring.dashboard.labels"}

    def test_every_value_has_a_row_in_the_chart_s_readme_and_every_row_a_value(self):
        values = set(self.leaves(yaml.safe_load((CHART / "values.yaml").read_text())))
        rows = set(re.findall(r"^\| `([A-Za-z.]+)` \|", (CHART / "README.md").read_text(), re.M))
        self.assertEqual(values - rows, set(), "without a row")
        self.assertEqual(rows - values, set(), "without a value")

    def test_the_schema_knows_every_value(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        for path in self.leaves(yaml.safe_load((CHART / "values.yaml").read_text())):
            node = schema
            for word in path.split("."):
                node = node["properties"]
                self.assertIn(word, node, path)
                node = node[word]


if __name__ == "__main__":
    unittest.main()
