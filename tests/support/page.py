"""The commands of an example's page, for its test to run and for laws.pages to count.

A block of a page is what it indents by four spaces, after an empty line or a heading. One whose first line ends in ":" or
begins with "{" is configuration; every other one is commands, one a line, each with the lines that go on with it: those
after a "\\", and those that are indented further.

As a program it prints the commands, a NUL after each, for page.sh: page.py README.md
"""
import pathlib
import sys

INDENT = "    "


def blocks(text):
    """Each block, as its lines without the indent."""
    found, inside, previous = [], False, ""
    for line in text.splitlines():
        if line.startswith(INDENT) and line.strip():
            if not inside and (not previous.strip() or previous.startswith("#")):
                inside = True
                found.append([])
            if inside:
                found[-1].append(line[len(INDENT):].rstrip())
        elif line.strip():
            inside = False
        previous = line
    return found


def is_configuration(block):
    return block[0].endswith(":") or block[0].startswith("{")


def commands(text):
    found = []
    for block in blocks(text):
        if is_configuration(block):
            continue
        goes_on = False
        for line in block:
            if goes_on or line[0].isspace():
                found[-1] += "\n" + line
            else:
                found.append(line)
            goes_on = line.endswith("\\")
    return found


def configurations(text):
    return [block for block in blocks(text) if is_configuration(block)]


if __name__ == "__main__":
    for command in commands(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")):
        sys.stdout.write(command + "\0")
