"""A page's commands for a test in Python: one bash that runs them by page.sh."""
import pathlib
import shlex
import subprocess

SUPPORT = pathlib.Path(__file__).resolve().parent


class PageShell:
    """Use it by `with`; what the commands have started ends with it."""

    def __init__(self, readme, build, work):
        self.work, self.count = work, 0
        self.bash = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.bash.stdin.write("trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT; exec {page_trouble}>&1\n")
        self._do(f"source {shlex.quote(str(SUPPORT / 'page.sh'))}")
        self._do(shlex.join(["open_page", str(readme), str(build), str(work)]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bash.stdin.close()
        self.bash.wait()
        self.bash.stdout.close()

    def page(self, text, code=0):
        """Runs the page's next command, which must have this text in it and end with that code. Answers what it said."""
        return self._do(shlex.join(["page", text, str(code)]))

    def skip(self, text):
        self._do(shlex.join(["skip_in_page", text]))

    def end(self):
        self._do("end_page")

    def log(self):
        """What all the commands have said until now."""
        return "".join(said.read_text() for said in sorted(self.work.glob("said.*")))

    def _do(self, command):
        self.count += 1
        said = self.work / f"said.{self.count:03}"
        self.bash.stdin.write(f"{command} </dev/null >{shlex.quote(str(said))} 2>&1; echo done\n")
        self.bash.stdin.flush()
        # The shell says what is wrong, and exits.
        told = self.bash.stdout.readline()
        if told != "done\n":
            told += self.bash.stdout.read()
            self.__exit__()
            raise SystemExit(told + said.read_text())
        return said.read_text()
