"""An SMTP server that answers a mail with its SHA-256, once the gate is open.

Usage: smtp_server.py HOST PORT GATE [--proxy]
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys

from aiosmtpd.smtp import SMTP, Envelope, Session


class Handler:
    """Knows mails only by their sums."""

    def __init__(self, gate: str) -> None:
        self._gate = gate

    async def handle_PROXY(self, server: SMTP, session: Session, envelope: Envelope,
                           proxy_data: object) -> bool:
        """Takes every header that could be read."""
        return True

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        while os.path.exists(self._gate):
            await asyncio.sleep(0.05)
        return f"250 sum {hashlib.sha256(envelope.original_content.rstrip()).hexdigest()}"


async def serve(host: str, port: int, gate: str, proxy: bool) -> None:

    def connection() -> SMTP:
        return SMTP(Handler(gate),
                    hostname="zoo.test",
                    data_size_limit=0,
                    proxy_protocol_timeout=5 if proxy else None)

    server = await asyncio.get_running_loop().create_server(connection, host, port)
    await server.serve_forever()


asyncio.run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3], "--proxy" in sys.argv))
