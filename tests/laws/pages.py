#!/usr/bin/env python3
"""Holds the pages of examples/ to their tests: pages.py ROOT.

Every command of a page is run from the page by a test in its folder (page or take_from_page 'TEXT' in bash, .page("TEXT")
in Python), or is in UNTRIED with the reason, which is printed. That they are run in the page's order, and all of them, such
a test holds itself. Every configuration on a page is lines of a file beside it, in their order.
"""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import page  # noqa: E402

# Example, a text that the command has, why no test runs it.
UNTRIED = [
    ("compose-three-web", "docker build",
     "needs a registry; ./test cluster builds the Dockerfile on a base image of its own"),
    ("minikube-failover", "",
     "minikube needs machines that the tests do not have; cases 4 to 7 of ./test cluster do the same"),
    ("virtual-ip", "apt-get install",
     "would change this machine; ./test examples installs keepalived, without starting it"),
]
STEP = re.compile(r"""\b(?:take_from_)?page '([^']+)'|\.page\(\s*"((?:[^"\\]|\\.)+)\"""")
END = re.compile(r"\bend_page\b|\.end\(\)")


def steps(source):
    """The texts by which a test names commands of its page."""
    return [bash or re.sub(r"\\(.)", r"\1", python) for bash, python in STEP.findall(source)]


def in_order(lines, text):
    """Whether the text has these lines, whatever stands between them."""
    rest = iter([line.rstrip() for line in text.splitlines()])
    return all(line in rest for line in lines)


def problems(name, readme, sources, files, untried):
    """What is wrong with one page: sources are its tests, files lie beside it, untried are pairs of text and reason."""
    out, tried = [], [step for source in sources for step in steps(source)]
    commands = page.commands(readme)
    for command in commands:
        excused = [text for text, _ in untried if text in command]
        is_tried = any(step in command for step in tried)
        if not is_tried and not excused:
            out.append(f"{name}: no test runs: {command}")
        if is_tried and excused:
            out.append(f"{name}: a test runs it, so it needs no reason: {command}")
    out += [f"{name}: the page has no command with: {text}" for text in tried + [text for text, _ in untried]
            if not any(text in command for command in commands)]
    out += [f"{name}: a test that runs commands of the page does not hold that none is left"
            for source in sources if steps(source) and not END.search(source)]
    out += [f"{name}: not in a file beside the page: {block[0]}…" for block in page.configurations(readme)
            if not any(in_order(block, file) for file in files)]
    return out


def read(folder, *ends):
    return [file.read_text(encoding="utf-8") for file in sorted(folder.iterdir()) if file.name.endswith(ends)]


def main(root):
    out = []
    for readme in sorted(root.glob("examples/*/README.md")):
        name = readme.parent.name
        untried = [(text, why) for example, text, why in UNTRIED if example == name]
        for text, why in untried:
            print(f"{name}: not tried: {text or 'all of it'}: {why}")
        out += problems(name, readme.read_text(encoding="utf-8"), read(readme.parent, ".py", ".sh"),
                        read(readme.parent, ".yaml", ".yml", ".json"), untried)
    for problem in out:
        print(problem)
    return 1 if out else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
