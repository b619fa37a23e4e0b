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

ANSWER = 2  # seconds after which a datagram or its answer counts as lost
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
            if self.service.get("proxied"):
                await self.introduce(sock)
            await loop.sock_sendall(sock, wire.HEADER.pack(self.number, self.up, self.down,
                                                           self.mode, self.pause))
            self.backend = wire.GREETING.unpack(
                await wire.read_exactly(sock, wire.GREETING.size))
            self.phase = "transfer"
            await self.transfer(sock)
        finally:
            sock.close()

    # Cut anywhere: the data plane waits for the rest of a header.
    async def introduce(self, sock):
        header = wire.proxy_header(self.number, self.service, self.chance.choice([1, 2]))
        cut = self.chance.randrange(1, len(header))
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, header[:cut])
        await asyncio.sleep(self.chance.random() * 0.005)
        await loop.sock_sendall(sock, header[cut:])

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


class Datagrams(asyncio.DatagramProtocol):
    """One client over UDP: a question at a time; an answer may be lost, but never be wrong."""

    def __init__(self, connection):
        self.connection = connection
        self.answered = asyncio.Event()
        self.number = 0
        self.corrupt = None

    def datagram_received(self, data, addr):
        try:
            connection, number, _ = wire.check_datagram(data)
            if connection != self.connection or number > self.number:
                raise wire.Corrupt(f"{connection}/{number} came to {self.connection}")
            if number == self.number:
                self.answered.set()
        except wire.Corrupt as corrupt:
            self.corrupt = corrupt

    async def ask(self, transport):
        self.number += 1
        self.answered.clear()
        transport.sendto(wire.datagram(self.connection, self.number))
        try:
            await asyncio.wait_for(self.answered.wait(), ANSWER)
        except asyncio.TimeoutError:
            return False
        return True


class Crowd:
    def __init__(self, plan):
        self.plan = plan
        self.chance = random.Random(plan["seed"])
        self.next = plan["seed"] << 32 & 0xFFFFFFFF00000000
        self.end = time.monotonic() + plan["seconds"]
        self.sums = {"connections": 0, "failed": 0, "bytes": 0, "proxied": 0, "datagrams": 0,
                     "answers": 0}

    async def run(self):
        await asyncio.gather(*(self.one_after_another() for _ in range(self.plan["clients"])),
                             *(self.datagrams() for _ in range(self.plan["datagrams"])),
                             *(self.steady() for _ in range(self.plan["steady"])))
        print(json.dumps({"sums": self.sums}), flush=True)

    async def one_after_another(self):
        while time.monotonic() < self.end:
            chance = self.chance
            mode = chance.choices(list(wire.MODES), [55, 30, 8, 7])[0]
            services = self.plan["services"]
            service = services[0] if chance.random() < 0.7 else chance.choice(services)
            sizes = (1 << chance.randrange(22), 1 << chance.randrange(22))
            sizes = tuple(chance.randrange(size) + 1 for size in sizes)
            if not await self.judge(self.client(service, mode, sizes, 0), PATIENCE):
                await asyncio.sleep(0.05)

    # A new client every 50 questions, so that sessions come and go as well.
    async def datagrams(self):
        service = self.plan["datagram_service"]
        loop = asyncio.get_running_loop()
        while time.monotonic() < self.end:
            self.next += 1
            transport, client = await loop.create_datagram_endpoint(
                lambda: Datagrams(self.next), remote_addr=(service["address"], service["port"]))
            for _ in range(50):
                if time.monotonic() > self.end or client.corrupt:
                    break
                self.sums["datagrams"] += 1
                answered = await client.ask(transport)  # others count meanwhile
                self.sums["answers"] += answered
                await asyncio.sleep(0.02)
            transport.close()
            if client.corrupt:
                print(json.dumps({"service": service["key"], "kind": "corrupt", "backend": None,
                                  "error": str(client.corrupt)}), flush=True)

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
            self.sums["proxied"] += bool(client.service.get("proxied"))
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
