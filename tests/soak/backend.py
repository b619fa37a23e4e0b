"""One backend: python3 backend.py ADDRESS PORT NUMBER LIFE LOG. Says "ready" once it listens.

Its findings go to LOG, a line each and at once: it may be killed at any moment.
"""
import asyncio
import random
import socket
import sys

import wire


class Backend:
    def __init__(self, number, life, log):
        self.identity = wire.GREETING.pack(number, life)
        self.log = log

    async def listen(self, address, port):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1024)
        listener.setblocking(False)
        print("ready", flush=True)
        loop = asyncio.get_running_loop()
        serving = set()
        while True:
            sock, _ = await loop.sock_accept(listener)
            task = asyncio.create_task(self.serve(sock))
            serving.add(task)
            task.add_done_callback(serving.discard)

    async def serve(self, sock):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self.converse(sock)
        except wire.Corrupt as corrupt:
            print(f"corrupt: {corrupt}", file=self.log, flush=True)
        except (OSError, wire.Truncated):
            pass  # the client says so too, and is asked for the reason
        finally:
            sock.close()

    async def converse(self, sock):
        loop = asyncio.get_running_loop()
        connection, up, down, mode, pause = wire.HEADER.unpack(
            await wire.read_exactly(sock, wire.HEADER.size))
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
            print(f"corrupt: {corrupt}", file=self.log, flush=True)
            raise


def main():
    address, port, number, life, log = sys.argv[1:]
    with open(log, "a", encoding="utf-8") as out:
        asyncio.run(Backend(int(number), int(life), out).listen(address, int(port)))


if __name__ == "__main__":
    main()
