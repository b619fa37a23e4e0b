"""Stands between controller and data plane and hands every byte on; what a PATCH changes and when its 200
comes back is all it looks at, so neither of them does more than without it."""
import asyncio
import re
import time

import fleet_scale_api

KEY = re.compile(rb'"key":"kubernetes/fleet/s(\d+)"')


class Tap:
    def __init__(self, dataplane):
        self.dataplane = dataplane
        self.sent = {}  # service: when its change was sent
        self.latencies = []
        self.puts = self.patches = self.polls = self.refused = 0

    async def start(self, path):
        await asyncio.start_unix_server(self.serve, path, limit=1 << 20)

    async def serve(self, reader, writer):
        there, back = await asyncio.open_unix_connection(self.dataplane, limit=1 << 20)
        try:
            while request := await fleet_scale_api.read_head(reader):
                method, target, length, head = request
                body = await reader.readexactly(length)
                back.write(head + body)
                changes = self.note(method, target, body)
                status, answer = await self.answer(there)
                self.acknowledged(status, changes)
                writer.write(answer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        back.close()
        writer.close()

    async def answer(self, there):
        head = await there.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head).group(1))
        return int(head.split(b" ", 2)[1]), head + await there.readexactly(length)

    def note(self, method, target, body):
        """When what this request carries was sent."""
        if method == "GET":
            self.polls += target.startswith("/v1/status")
            return []
        self.puts += method == "PUT"
        self.patches += method == "PATCH"
        return [self.sent.pop(i) for i in map(int, KEY.findall(body)) if i in self.sent]

    def acknowledged(self, status, changes):
        now = time.monotonic()
        if status == 200:
            self.latencies += [now - at for at in changes]
        else:
            self.refused += 1
