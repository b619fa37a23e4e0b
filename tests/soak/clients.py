"""Many clients in one process: python3 clients.py PLAN, a JSON object as the soak writes it.

Prints one JSON line for each connection that failed (when, where, how), and a last one with sums.
"""
import asyncio
import json
import random
import socket
import sys
import time

import wire

PATIENCE = 60  # seconds without an end after which a connection counts as stuck


class Client:
    """One connection from its first byte to its last."""

    def __init__(self, service, mode, number, sizes, pause, chance):
        self.service, self.mode, self.number = service, mode, number
        self.up, self.down = sizes
        self.pause = pause
        self.chance = chance
        self.phase = "connect"
        self.backend = None

    async def run(self):
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, (self.service["address"], self.service["port"]))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.phase = "greeting"
            await loop.sock_sendall(sock, wire.HEADER.pack(self.number, self.up, self.down,
                                                           self.mode, self.pause))
            self.backend = wire.GREETING.unpack(
                await wire.read_exactly(sock, wire.GREETING.size))
            self.phase = "transfer"
            await self.transfer(sock)
        finally:
            sock.close()

    async def transfer(self, sock):
        if self.mode == wire.CLIENT_RESETS:
            await wire.send(sock, self.number, False, 0, self.up // 2, 0, self.chance)
            return wire.reset(sock)
        sending = asyncio.create_task(self.send(sock))
        try:
            await wire.receive(sock, self.number, True, 0, self.down)
            if await wire.read_exactly(sock, wire.SEAL.size) != wire.seal(self.number):
                raise wire.Corrupt(f"the seal of connection {self.number}")
            await sending
            await wire.read_end(sock)
        except (ConnectionError, wire.Truncated) as failure:
            await asyncio.sleep(0)  # lets the sender hear what the kernel told it already
            if self.mode != wire.BACKEND_RESETS or not self.is_reset(failure, sending):
                raise
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    # The kernel tells of a reset once: when the sender was told, the receiver sees an end only.
    def is_reset(self, failure, sending):
        told = sending.done() and not sending.cancelled() and sending.exception()
        return isinstance(failure, ConnectionError) or isinstance(told, ConnectionError)

    async def send(self, sock):
        await wire.send(sock, self.number, False, 0, self.up, self.pause, self.chance)
        if self.mode == wire.HALF_CLOSE:
            sock.shutdown(socket.SHUT_WR)


class Crowd:
    def __init__(self, plan):
        self.plan = plan
        self.chance = random.Random(plan["seed"])
        self.next = plan["seed"] << 32 & 0xFFFFFFFF00000000
        self.end = time.monotonic() + plan["seconds"]
        self.sums = {"connections": 0, "failed": 0, "bytes": 0}

    async def run(self):
        await asyncio.gather(*(self.one_after_another() for _ in range(self.plan["clients"])),
                             *(self.steady() for _ in range(self.plan["steady"])))
        print(json.dumps({"sums": self.sums}), flush=True)

    async def one_after_another(self):
        while time.monotonic() < self.end:
            chance = self.chance
            mode = chance.choices(list(wire.MODES), [55, 30, 8, 7])[0]
            services = self.plan["services"]
            service = services[0] if chance.random() < 0.85 else chance.choice(services)
            sizes = (1 << chance.randrange(22), 1 << chance.randrange(22))
            sizes = tuple(chance.randrange(size) + 1 for size in sizes)
            if not await self.judge(self.client(service, mode, sizes, 0), PATIENCE):
                await asyncio.sleep(0.05)

    # Few bytes, but for as long as the storm lasts: nothing may touch it.
    async def steady(self):
        seconds = max(1, self.end - time.monotonic() - 2)
        size = int(seconds * 1000 / 50) * 2048
        client = self.client(self.plan["steady_service"], wire.NORMAL, (size, size), 50)
        await self.judge(client, seconds * 3 + PATIENCE)

    def client(self, service, mode, sizes, pause):
        self.next += 1
        return Client(service, mode, self.next, sizes, pause, random.Random(self.next))

    async def judge(self, client, patience):
        start = time.monotonic()
        self.sums["connections"] += 1
        try:
            await asyncio.wait_for(client.run(), patience)
            self.sums["bytes"] += client.up + client.down
            return True
        except (OSError, wire.Truncated, wire.Corrupt, asyncio.TimeoutError) as failure:
            self.sums["failed"] += 1
            self.report(client, start, failure)
            return False

    def report(self, client, start, failure):
        kind = {wire.Truncated: "truncated", wire.Corrupt: "corrupt",
                asyncio.TimeoutError: "stuck"}.get(type(failure), "broken")
        print(json.dumps({
            "service": client.service["key"], "mode": wire.MODES[client.mode],
            "connection": client.number, "phase": client.phase, "backend": client.backend,
            "kind": kind, "error": f"{type(failure).__name__}: {failure}", "start": start,
            "end": time.monotonic()}), flush=True)


if __name__ == "__main__":
    asyncio.run(Crowd(json.loads(sys.argv[1])).run())
