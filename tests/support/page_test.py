"""What page.py takes for a command, and what page.sh and PageShell make of it."""
import pathlib
import tempfile
import unittest

import page
import page_shell


class Commands(unittest.TestCase):
    def test_each_line_of_a_block_is_one(self):
        self.assertEqual(page.commands("Words:\n\n    one 1\n    two 2  # said\n\nMore.\n"), ["one 1", "two 2  # said"])

    def test_a_block_may_follow_a_heading(self):
        self.assertEqual(page.commands("# A page\n    one\n"), ["one"])

    def test_blocks_go_on_in_their_order(self):
        self.assertEqual(page.commands("\n    one\n\nThen:\n\n    two\n"), ["one", "two"])

    def test_a_line_after_a_backslash_goes_on_with_its_command(self):
        self.assertEqual(page.commands("\n    one \\\n    --flag\n    two\n"), ["one \\\n--flag", "two"])

    def test_a_line_that_is_indented_further_goes_on_with_its_command(self):
        self.assertEqual(page.commands("\n    for i in 1; do\n      one\n    done; two\n"),
                         ["for i in 1; do\n  one", "done; two"])

    def test_an_empty_line_does_not_end_a_block(self):
        self.assertEqual(page.blocks("\n    one:\n\n    - two\n"), [["one:", "- two"]])

    def test_configuration_is_none(self):
        text = '\n    services:\n      - name: web\n\nAnd:\n\n    {"schema": 1}\n'
        self.assertEqual(page.commands(text), [])
        self.assertEqual(page.configurations(text), [["services:", "  - name: web"], ['{"schema": 1}']])

    def test_a_paragraph_that_is_indented_is_none(self):
        self.assertEqual(page.commands("- A list that\n    goes on.\n"), [])


class Shell(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = pathlib.Path(folder.name)

    def open(self, *commands):
        readme = self.work / "README.md"
        readme.write_text("# A page\n" + "".join(f"    {command}\n" for command in commands))
        shell = page_shell.PageShell(readme, self.work, self.work)
        self.addCleanup(shell.__exit__)
        return shell

    def test_a_command_is_run_and_says_something(self):
        shell = self.open("echo one two")
        self.assertEqual(shell.page("one"), "one two\n")
        shell.end()

    def test_commands_share_a_shell(self):
        shell = self.open("number=7 && cd examples", 'ask() { echo "$1$number"; }', "ask x; basename $PWD  # examples")
        for text in ("number", "ask()"):
            shell.page(text)
        self.assertEqual(shell.page("ask x"), "x7\nexamples\n")

    def test_one_in_the_background_goes_on_and_ends_with_the_shell(self):
        with self.open("sleep 600 & echo $!", "kill -0 $!") as shell:
            pid = shell.page("sleep").strip()
            shell.page("kill -0")
        self.assertFalse(pathlib.Path(f"/proc/{pid}").exists())

    def test_a_command_that_the_test_does_not_expect_is_not_run(self):
        shell = self.open("touch $TMPDIR/there")
        with self.assertRaisesRegex(SystemExit, "not one with 'other', but: touch"):
            shell.page("other")
        self.assertFalse((self.work / "there").exists())

    def test_a_command_that_fails_fails_the_test_with_what_it_said(self):
        with self.assertRaisesRegex(SystemExit, "ended with 3: .*\n*why"):
            self.open("(echo why; exit 3)").page("echo")

    def test_a_command_may_have_to_fail(self):
        self.assertEqual(self.open("(echo why; exit 3)").page("echo", code=3), "why\n")

    def test_a_command_may_be_left_to_others(self):
        shell = self.open("touch $TMPDIR/there", "echo two")
        shell.skip("touch")
        self.assertEqual(shell.page("two"), "two\n")
        self.assertFalse((self.work / "there").exists())

    def test_a_command_that_is_left_fails_the_test(self):
        shell = self.open("one", "two")
        with self.assertRaisesRegex(SystemExit, "more than the test:\none\ntwo"):
            shell.end()

    def test_a_page_without_commands_is_no_page(self):
        with self.assertRaisesRegex(SystemExit, "no command in"):
            self.open()


if __name__ == "__main__":
    unittest.main()
