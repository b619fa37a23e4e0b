"""Whether a server listens."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from lib.pair import Endpoint


def is_listening(at: Endpoint, protocol: str) -> bool:
    """Asks the kernel: a connection to find out would be a client the server never expected."""
    # Bytes of the address stand in the machine's order, here little endian.
    address = struct.unpack("<I", socket.inet_aton(at.host))[0]
    wanted = {f"{address:08X}:{at.port:04X}", f"{0:08X}:{at.port:04X}"}
    state = {"tcp": "0A", "udp": "07"}[protocol]
    rows = (line.split() for line in Path(f"/proc/net/{protocol}").read_text().splitlines()[1:])
    return any(row[1] in wanted and row[3] == state for row in rows)
