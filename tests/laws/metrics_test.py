"""Tests of what metrics.py reads out of expressions and expositions."""
import tempfile
import unittest
from pathlib import Path

import metrics

EXPOSITION = """# HELP empalme_service_connections Open.
# TYPE empalme_service_connections gauge
empalme_service_connections{service="a",port="80"} 3
# TYPE empalme_service_connect_seconds histogram
empalme_service_connect_seconds_bucket{service="a",le="+Inf"} 1
# TYPE empalme_controller_services gauge
empalme_controller_services 1
"""


class MetricsTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)
        (self.root / "controller").mkdir()
        (self.root / "controller/metrics.cpp").write_text('gauge(out, "leading", "help", 1);')
        self.known = metrics.families(EXPOSITION)

    def wrong(self, expression):
        return metrics.problems([("here", expression)], self.known, self.root)

    def test_a_metric_that_a_program_shows_is_sound(self):
        self.assertEqual(self.wrong("sum(empalme_service_connections) > 0"), [])

    def test_a_metric_that_nobody_makes_is_named_with_its_place(self):
        self.assertEqual(self.wrong("empalme_service_sessions > 0"),
                         ["here: empalme_service_sessions is made by no program"])

    def test_a_metric_of_a_part_that_does_not_run_is_found_in_its_source(self):
        self.assertEqual(self.wrong("sum(empalme_controller_leading) == 0"), [])

    def test_the_buckets_of_a_histogram_exist_and_its_plain_name_does_not(self):
        self.assertEqual(self.wrong("rate(empalme_service_connect_seconds_bucket[5m])"), [])
        self.assertEqual(len(self.wrong("empalme_service_connect_seconds")), 1)

    def test_a_label_that_the_metric_lacks_is_named(self):
        self.assertEqual(self.wrong("sum by (service) (empalme_service_connections)"), [])
        self.assertEqual(len(self.wrong("sum by (backend) (empalme_service_connections)")), 1)
        self.assertEqual(len(self.wrong('empalme_service_connections{node="n"}')), 1)

    def test_labels_that_the_scraper_adds_are_no_problem(self):
        self.assertEqual(self.wrong("sum by (instance) (empalme_service_connections)"), [])

    def test_an_expression_without_a_metric_of_ours_is_a_problem(self):
        self.assertEqual(len(self.wrong("up == 0")), 1)

    def test_the_expressions_of_the_chart_are_all_read(self):
        found = metrics.expressions(Path(__file__).resolve().parents[2])
        text = (Path(__file__).resolve().parents[2] / "charts/empalme/files/alerts.yaml").read_text()
        self.assertEqual(sum(where == "alerts.yaml" for where, _ in found), text.count("- alert: "))
        self.assertGreater(len(found), 30)


if __name__ == "__main__":
    unittest.main()
