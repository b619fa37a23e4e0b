"""What the chart renders under several sets of values, and what its schema refuses."""
import json
import re
import unittest

import yaml

from chart import (
    CHART, HA, KUBERNETES, MONITORED, ROOT, VALUE_SETS, command, container, notes, pod_of,
    refusal, rendered, template)


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

    def test_secrets_are_read_by_name_in_the_namespaces_that_are_named(self):
        objects = rendered(VALUE_SETS["tls secrets"])
        rules = objects["Role/empalme-tls-secrets"]["rules"]
        self.assertEqual(rules, [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"],
                                  "resourceNames": ["web-tls", "shop-tls"]}])
        binding = objects["RoleBinding/empalme-tls-secrets"]
        self.assertEqual([each["metadata"]["namespace"] for each in (objects["Role/empalme-tls-secrets"], binding)],
                         ["shop", "shop"])
        self.assertEqual(binding["subjects"], [{"kind": "ServiceAccount", "name": "empalme", "namespace": "empalme-system"}])
        self.assertNotIn("Role/empalme-tls-secrets", rendered())

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
                ({"tlsSecrets": [{"namespace": "shop", "names": ["a"]}, {"namespace": "shop", "names": ["b"]}]},
                 "namespace shop stands there twice"),
                ({**HA, "dataplane.announce": "auto"}, "use vrrp:NAME"),
                ({"dataplane.announce": "vrrp:eth0"}, "is for several data planes"),
                ({**HA, "dataplane.announce": "none", "dataplane.vrrpPeers": ["192.0.2.1"]}, "is for dataplane.announce vrrp:NAME"),
                ({"dataplane.handoff": True}, "dataplane.handoff needs topology ha"),
                ({"controller.observePort": 9902}, "may not be the same")):
            with self.subTest(settings):
                self.assertIn(words, refusal(settings))


if __name__ == "__main__":
    unittest.main()
