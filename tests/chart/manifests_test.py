"""The manifests and the definition of address pools, and that they, the chart and its README agree."""
import json
import re
import tempfile
import unittest
from pathlib import Path

import yaml

from chart import CHART, ROOT, command, container, documents, rendered


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
