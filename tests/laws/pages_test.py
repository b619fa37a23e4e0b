"""What pages.py finds wrong with a page."""
import unittest

import pages

PAGE = "# Web\n    services:\n      - name: web\n      - name: mail\n\nThen:\n\n    one 1     # said\n    two 2\n"
FILE = "# A file.\nservices:\n  - name: web\n    listen: here\n  - name: mail\n"


class PagesTest(unittest.TestCase):
    def wrong(self, source, file=FILE, untried=()):
        return pages.problems("web", PAGE, [source], [file], untried)

    def test_a_page_whose_commands_are_all_run_is_sound(self):
        self.assertEqual(self.wrong("page 'one' >file\npage 'two 2' || die\nend_page\n"), [])
        self.assertEqual(self.wrong('shell.page("one")\nshell.page(\n    "two")\nshell.end()\n'), [])

    def test_a_command_that_no_test_runs_is_named(self):
        self.assertEqual(self.wrong("page 'one'\nend_page\n"), ["web: no test runs: two 2"])

    def test_a_command_with_a_reason_need_not_run(self):
        self.assertEqual(self.wrong("page 'one'\nend_page\n", untried=[("two", "why")]), [])

    def test_a_reason_for_what_is_run_is_one_too_many(self):
        self.assertEqual(self.wrong("page 'one'\npage 'two'\nend_page\n", untried=[("two", "why")]),
                         ["web: a test runs it, so it needs no reason: two 2"])

    def test_a_step_or_reason_that_the_page_does_not_have_is_named(self):
        self.assertEqual(self.wrong("page 'one'\npage 'two'\npage 'three'\nend_page\n", untried=[("four", "why")]),
                         ["web: the page has no command with: three", "web: the page has no command with: four"])

    def test_a_test_must_hold_that_no_command_is_left(self):
        self.assertEqual(len(self.wrong("page 'one'\npage 'two'\n")), 1)

    def test_configuration_that_is_in_no_file_is_named(self):
        source = "page 'one'\npage 'two'\nend_page\n"
        self.assertEqual(self.wrong(source, FILE.replace("mail", "post")),
                         ["web: not in a file beside the page: services:…"])

    def test_a_command_that_is_taken_is_run_and_one_that_is_skipped_is_not(self):
        self.assertEqual(self.wrong("take_from_page 'one'\nskip_in_page 'two'\nend_page\n"),
                         ["web: no test runs: two 2"])

    def test_quotes_in_a_step_are_read(self):
        self.assertEqual(pages.steps(r'self.page("say \"one\"")'), ['say "one"'])


if __name__ == "__main__":
    unittest.main()
