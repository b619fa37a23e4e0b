"""One backend: python3 backend.py ADDRESS PORT NUMBER LIFE LOG. Says "ready" once it listens.

On PORT over TCP; on the next one too, where a PROXY header comes first; and over UDP on PORT.

Its findings go to LOG, a line each and at once: it may be killed at any moment.
"""
import asyncio
import random
import socket
import sys

import wire


class Backend:
    def __init__(self, number, life, log):
        self.who = (number, life)
        self.identity = wire.GREETING.pack(number, life)
        self.log = log

    async def run(self, address, port):
        ports = [(port, False), (port + wire.PROXIED_PORT, True)]
        listeners = [(self.listener(address, each), proxied) for each, proxied in ports]
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: Echo(self),
                                                                  (address, port))
        print("ready", flush=True)
        await asyncio.gather(*(self.accept(*each) for each in listeners))

    def listener(self, address, port):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1024)
        listener.setblocking(False)
        return listener

    async def accept(self, listener, proxied):
        loop = asyncio.get_running_loop()
        serving = set()
        while True:
            sock, _ = await loop.sock_accept(listener)
            task = asyncio.create_task(self.serve(sock, proxied))
            serving.add(task)
            task.add_done_callback(serving.discard)

    async def serve(self, sock, proxied):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            source = await wire.read_proxy_header(sock) if proxied else None
            await self.converse(sock, source)
        except wire.Corrupt as corrupt:
            self.note(corrupt)
        except (OSError, wire.Truncated):
            pass  # the client says so too, and is asked for the reason
        finally:
            sock.close()

    def note(self, corrupt):
        print(f"corrupt: {corrupt}", file=self.log, flush=True)

    async def converse(self, sock, source):
        loop = asyncio.get_running_loop()
        connection, up, down, mode, pause = wire.HEADER.unpack(
            await wire.read_exactly(sock, wire.HEADER.size))
        if source and source != wire.source_of(connection):
            raise wire.Corrupt(f"connection {connection} is said to come from {source}")
        await loop.sock_sendall(sock, self.identity)
        chance = random.Random(connection)
        receiving = asyncio.create_task(self.receive(sock, connection, up, mode))
        try:
            early = down // 2 if mode in (wire.HALF_CLOSE, wire.BACKEND_RESETS) else down
            await wire.send(sock, connection, True, 0, early, pause, chance)
            if mode == wire.BACKEND_RESETS:
                return wire.reset(sock)
            await receiving
            await wire.send(sock, connection, True, early, down, pause, chance)
            await loop.sock_sendall(sock, wire.seal(connection))
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    # Whoever half closes does so after its last byte: the end has to arrive, and not before.
    async def receive(self, sock, connection, up, mode):
        try:
            await wire.receive(sock, connection, False, 0, up)
            if mode == wire.HALF_CLOSE:
                await wire.read_end(sock)
        except wire.Corrupt as corrupt:
            self.note(corrupt)
            raise


class Echo(asyncio.DatagramProtocol):
    """Sends each datagram back to whoever sent it, with the name of this backend in it."""

    def __init__(self, backend):
        self.backend = backend
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        try:
            connection, number, _ = wire.check_datagram(data)
            self.transport.sendto(wire.datagram(connection, number, self.backend.who), addr)
        except wire.Corrupt as corrupt:
            self.backend.note(corrupt)


def main():
    address, port, number, life, log = sys.argv[1:]
    with open(log, "a", encoding="utf-8") as out:
        asyncio.run(Backend(int(number), int(life), out).run(address, int(port)))


if __name__ == "__main__":
    main()
