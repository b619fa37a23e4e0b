"""Tests of audit.py on audit logs written by hand."""
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import audit

NAMESPACE = "empalme-system"


def at(second):
    return f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}.000000Z"


def asked(verb, resource, second=10, code=200, account="empalme", group="", sub="", stage="ResponseComplete"):
    reference = {"resource": resource, "apiVersion": "v1"}
    if group:
        reference["apiGroup"] = group
    if sub:
        reference["subresource"] = sub
    return {"stage": stage, "verb": verb, "user": {"username": f"system:serviceaccount:{NAMESPACE}:{account}"},
            "objectRef": reference, "responseStatus": {"code": code}, "requestReceivedTimestamp": at(second)}


def changed(verb, resource, second, code=200):
    event = asked(verb, resource, second, code, group="rbac.authorization.k8s.io")
    event["user"] = {"username": "admin"}
    return event


def role(*rules, kind="ClusterRole", name="empalme"):
    return {"kind": kind, "metadata": {"name": name},
            "rules": [{"apiGroups": [g], "resources": r, "verbs": v} for g, r, v in rules]}


def binding(kind="ClusterRole", name="empalme", namespace=NAMESPACE):
    return {"kind": kind + "Binding", "metadata": {"name": name}, "roleRef": {"kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "empalme", "namespace": namespace}]}


SERVICES = role(("", ["services"], ["list", "watch"]), ("", ["services/status"], ["patch"]))
USED = [asked("list", "services"), asked("watch", "services", stage="ResponseStarted"),
        asked("patch", "services", sub="status")]


def judged(events, objects=(SERVICES, binding()), **options):
    return audit.judge(events, audit.rights_of(objects, NAMESPACE), NAMESPACE, **options)[0]


class AuditTest(unittest.TestCase):
    def test_rights_that_are_all_used_are_sound(self):
        self.assertEqual(judged(USED), [])

    def test_a_right_that_nobody_used_is_named_with_its_role(self):
        self.assertEqual(judged(USED[:2]), ["empalme grants what nobody used: patch services/status"])

    def test_a_right_that_this_run_need_not_use_may_be_unused(self):
        self.assertEqual(judged(USED[:2], unused=["services/status:patch"]), [])

    def test_a_watch_counts_as_soon_as_it_has_begun(self):
        self.assertEqual(len(judged([USED[0], USED[2]])), 1)
        self.assertEqual(judged(USED), [])

    def test_the_same_resource_of_another_group_is_another_right(self):
        objects = (role(("discovery.k8s.io", ["endpointslices"], ["list"])), binding())
        self.assertEqual(len(judged([asked("list", "endpointslices", group="other.io")], objects)), 1)
        self.assertEqual(judged([asked("list", "endpointslices", group="discovery.k8s.io")], objects), [])

    def test_a_refusal_is_named_with_account_verb_and_time(self):
        wrong = judged(USED + [asked("get", "secrets", 70, code=403, account="empalme-dataplane")])
        self.assertEqual(wrong, [f"empalme-dataplane was refused: get secrets at {at(70)}"])

    def test_a_use_that_failed_does_not_count_as_one(self):
        self.assertEqual(len(judged(USED[:2] + [asked("patch", "services", sub="status", code=409)])), 1)

    def test_refusals_while_the_rights_are_gone_are_no_fault(self):
        log = USED + [changed("delete", "clusterrolebindings", 60), asked("list", "services", 65, code=403),
                      changed("create", "clusterrolebindings", 90, code=201), asked("list", "services", 92, code=403)]
        self.assertEqual(judged(log), [])

    def test_refusals_before_the_deletion_and_after_the_creation_are(self):
        log = USED + [asked("list", "services", 59, code=403), changed("delete", "clusterrolebindings", 60),
                      changed("create", "clusterrolebindings", 90, code=201), asked("list", "services", 96, code=403)]
        self.assertEqual(len(judged(log)), 2)

    def test_refusals_of_a_server_that_has_not_read_its_own_roles_are_no_fault(self):
        early = asked("list", "services", 65, code=403)
        early["responseStatus"]["message"] = 'RBAC: [clusterrole.rbac.authorization.k8s.io "system:discovery" not found]'
        self.assertEqual(judged(USED + [early]), [])

    def test_refusals_of_a_server_that_is_just_back_are_no_fault_where_the_same_is_granted_soon_after(self):
        early, late = asked("list", "services", 66, code=403), asked("list", "services", 70)
        self.assertEqual(judged(USED + [early, late]), [])

    def test_refusals_without_a_silence_before_or_a_grant_after_are_faults(self):
        busy = [asked("list", "services", second) for second in range(10, 80, 2)]
        self.assertEqual(len(judged(USED + busy + [asked("list", "services", 67, code=403)])), 1)
        self.assertEqual(len(judged(USED + [asked("list", "services", 66, code=403)])), 1)
        other = asked("list", "services", 70, account="other")
        self.assertEqual(len(judged(USED + [asked("list", "services", 66, code=403), other])), 1)

    def test_a_deletion_that_did_not_happen_excuses_nothing(self):
        log = USED + [changed("delete", "clusterroles", 60, code=404), asked("list", "services", 65, code=403)]
        self.assertEqual(len(judged(log)), 1)

    def test_rights_that_stay_deleted_excuse_what_comes_later(self):
        log = USED + [changed("delete", "clusterroles", 60), asked("list", "services", 600, code=403)]
        self.assertEqual(judged(log), [])

    def test_roles_bound_to_others_are_not_ours(self):
        other = role(("", ["pods"], ["delete"]), name="other")
        self.assertEqual(judged(USED, (SERVICES, binding(), other, binding(name="other", namespace="default"))), [])

    def test_a_role_of_the_namespace_counts_like_a_cluster_role(self):
        lease = role(("coordination.k8s.io", ["leases"], ["get", "update"]), kind="Role", name="lease")
        objects = (SERVICES, binding(), lease, binding("Role", "lease"))
        wrong = judged(USED + [asked("get", "leases", group="coordination.k8s.io")], objects)
        self.assertEqual(wrong, ["lease grants what nobody used: update leases"])

    def test_a_log_in_which_nobody_asked_anything_is_a_fault(self):
        self.assertIn("is the audit log on?", judged([], objects=(role(), binding()))[-1])

    def test_accounts_without_any_right_are_a_fault(self):
        self.assertEqual(len(judged(USED, objects=())), 1)
        self.assertIn("is it installed?", judged(USED, objects=())[0])

    def test_a_line_that_is_cut_off_is_left_out(self):
        self.assertEqual(audit.read(['{"a": 1}', '{"b":']), [{"a": 1}])

    def test_the_program_reads_files_and_answers_by_its_exit_code(self):
        with tempfile.TemporaryDirectory() as folder:
            log, objects = Path(folder, "log"), Path(folder, "objects")
            objects.write_text(json.dumps({"items": [SERVICES, binding()]}))
            for events, code in ((USED, 0), (USED[:1], 1)):
                log.write_text("\n".join(map(json.dumps, events)))
                done = subprocess.run([sys.executable, audit.__file__, str(log), NAMESPACE, str(objects)],
                                      capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, code, done.stdout)
        self.assertIn("nobody used: patch services/status", done.stdout)


if __name__ == "__main__":
    unittest.main()
