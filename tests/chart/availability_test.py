"""What the chart renders for several nodes, and the shell that its data planes run under."""
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

from chart import HA, ROOT, VALUE_SETS, command, container, pod_of, rendered, template


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


if __name__ == "__main__":
    unittest.main()
