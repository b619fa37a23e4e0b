"""Opens a mailbox, waits for a line of input, then prints all mails.

Usage: imap_client.py HOST PORT
"""

from __future__ import annotations

import imaplib
import sys

with imaplib.IMAP4(sys.argv[1], int(sys.argv[2])) as client:
    client.login("one", "zoo")
    client.select("INBOX", readonly=True)
    print("under way", flush=True)
    sys.stdin.readline()
    for part in client.fetch("1:*", "(BODY.PEEK[])")[1]:
        sys.stdout.write(part[1].decode() if isinstance(part, tuple) else "")
