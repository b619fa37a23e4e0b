"""A client for protocols of lines that have none in Debian: input to the socket, socket to output.

Ends well when the text UNTIL has arrived after the end of its input, badly when the server ends
first.
Usage: talk.py HOST PORT UNTIL
"""

from __future__ import annotations

import os
import selectors
import socket
import sys


def talk(connection: socket.socket, until: bytes) -> int:
    """The exit code."""
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(connection, selectors.EVENT_READ)
    got, asking = b"", True
    while asking or until not in got:
        for key, _ in selector.select():
            if key.fileobj == 0:
                data = os.read(0, 65536)
                connection.sendall(data)
                asking = asking and bool(data)
                if not data:
                    selector.unregister(0)
            else:
                data = connection.recv(65536)
                if not data:
                    print("closed by the server", file=sys.stderr)
                    return 1
                got += data
                os.write(1, data)
    return 0


with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as server:
    sys.exit(talk(server, sys.argv[3].encode()))
