"""A network namespace of the suite's own: nothing outside can see its traffic, and a packet filter in
it cannot hurt anybody else. Needs root."""
from __future__ import annotations

import ctypes
import os
import subprocess

CLONE_NEWNET = 0x40000000


class Space:
    """One namespace. Its name carries our process id, so that two runs do not meet."""

    def __init__(self, label: str) -> None:
        self.name = f"empalme-{os.getpid()}-{label}"
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        for line in ("ip link set lo up", "sysctl -qw net.ipv4.ip_local_port_range=16000\\ 65000"):
            subprocess.run(["ip", "netns", "exec", self.name, "sh", "-c", line], check=True)

    def enter(self) -> None:
        """Moves the calling thread, and whatever it starts from now on, into the namespace."""
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            if libc.setns(descriptor, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"cannot enter {self.name}")
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], check=False)


def black_hole(port: int, both_ways: bool = False) -> None:
    """Drops what goes to a port of the namespace the caller is in: a host that is gone answers nothing.
    With both_ways also what that port still sends, as when the host dies with connections open."""
    rules = f"add rule inet hole in tcp dport {port} drop\n"
    if both_ways:
        rules += f"add rule inet hole in tcp sport {port} drop\n"
    subprocess.run(["nft", "-f", "-"], check=True, text=True, input=(
        "add table inet hole\n"
        "add chain inet hole in { type filter hook input priority 0; policy accept; }\n" + rules))
