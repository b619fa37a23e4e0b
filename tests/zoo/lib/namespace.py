"""A machine of the suite's own: network, processes, mounts and user vanish with it.

The outer process makes a named network namespace and runs itself again inside, as the first process
of a PID namespace. Whatever a server forks off, the kernel ends it with that first process.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from lib.processes import USER

USER_ID = 64913


def run_inside(arguments: list[str]) -> int:
    """Runs this script again inside; removes namespace and folder however that ended."""
    name = f"empalme-zoo-{os.getpid()}"
    work = Path(tempfile.mkdtemp(prefix="empalme-zoo."))
    work.chmod(0o755)
    subprocess.run(["ip", "netns", "add", name], check=True)
    inner = None
    try:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        inner = subprocess.Popen([
            "ip", "netns", "exec", name, "unshare", "--pid", "--fork", "--kill-child",
            "--mount-proc", sys.executable, "-B", sys.argv[0], "--inside",
            str(work), *arguments
        ])
        return inner.wait()
    except KeyboardInterrupt:
        return 130
    finally:
        if inner and inner.poll() is None:
            inner.kill()
            inner.wait()
        subprocess.run(["ip", "netns", "delete", name], check=False)
        shutil.rmtree(work, ignore_errors=True)


def settle(work: Path) -> None:
    """What only the inside can do: loopback, low ports for everybody, and the suite's user."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda caught, _: os._exit(128 + caught))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")
    _add_user(work)


def _add_user(work: Path) -> None:
    """Servers refuse root, or look their user up: they get one, and the machine's list stays."""
    lines = {
        "passwd": f"{USER}:*:{USER_ID}:{USER_ID}::{work}:/bin/sh\n",
        "group": f"{USER}:*:{USER_ID}:\n"
    }
    for name, line in lines.items():
        ours = work / name
        ours.write_text(Path("/etc", name).read_text() + line)
        ours.chmod(0o644)
        subprocess.run(["mount", "--bind", str(ours), f"/etc/{name}"], check=True)
