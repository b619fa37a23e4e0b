"""Load for scale.py, in two processes of its own: backends that answer every byte with itself, and clients
that keep connections open and make new ones, and check all that comes back."""
import asyncio
import multiprocessing
import os
import signal

BACKEND_PORT = 18081
STEADY_PER_TARGET = 3
MESSAGE = 512
PAUSE = 0.02


async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
    except ConnectionError:
        pass


def serve_backends(ready):
    async def main():
        server = await asyncio.start_server(echo, "0.0.0.0", BACKEND_PORT, backlog=4096)
        ready.set()
        await server.serve_forever()
    asyncio.run(main())


class Clients:
    def __init__(self, targets, stop):
        self.targets, self.stop = targets, stop
        self.opened = [0] * len(targets)
        self.exchanges = self.fresh = 0
        self.wrong = []

    async def exchange(self, reader, writer):
        sent = os.urandom(MESSAGE)
        writer.write(sent)
        await writer.drain()
        got = await asyncio.wait_for(reader.readexactly(MESSAGE), 10)
        if got != sent:
            raise ValueError("other bytes came back")
        self.exchanges += 1

    async def connect(self, i):
        self.opened[i] += 1
        return await asyncio.open_connection(*self.targets[i])

    async def guarded(self, what, i, work):
        try:
            await work(i)
        except (OSError, ValueError, EOFError, asyncio.TimeoutError) as error:
            self.wrong.append(f"{what} connection of target {i}: {error!r}")

    async def steady(self, i):
        reader, writer = await self.connect(i)
        while not self.stop.is_set():
            await self.exchange(reader, writer)
            await asyncio.sleep(PAUSE)
        await self.end(reader, writer)

    # The first target is the one that is changed: what is new there may meet the backend that goes.
    async def newcomers(self, i):
        while not self.stop.is_set():
            reader, writer = await self.connect(i)
            await self.exchange(reader, writer)
            await self.end(reader, writer)
            self.fresh += 1
            await asyncio.sleep(PAUSE)

    @staticmethod
    async def end(reader, writer):
        writer.write_eof()
        if await asyncio.wait_for(reader.read(), 10):
            raise ValueError("bytes that nobody sent")
        writer.close()
        await writer.wait_closed()

    async def run(self):
        work = [self.guarded("kept", i, self.steady) for i in range(len(self.targets)) for _ in range(STEADY_PER_TARGET)]
        work += [self.guarded("new", i, self.newcomers) for i in range(1, len(self.targets))]
        await asyncio.gather(*work)


def play_clients(targets, stop, out):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    clients = Clients(targets, stop)
    asyncio.run(clients.run())
    out.send({"wrong": clients.wrong, "opened": clients.opened, "exchanges": clients.exchanges,
              "fresh": clients.fresh, "steady": STEADY_PER_TARGET * len(targets)})


class Load:
    def __init__(self, targets):
        self.stop, ready = multiprocessing.Event(), multiprocessing.Event()
        self.out, theirs = multiprocessing.Pipe(False)
        self.backends = multiprocessing.Process(target=serve_backends, args=(ready,), daemon=True)
        self.clients = multiprocessing.Process(target=play_clients, args=(targets, self.stop, theirs), daemon=True)
        self.ready = ready

    def __enter__(self):
        self.backends.start()
        if not self.ready.wait(10):
            raise SystemExit("the backends of the load do not start")
        self.clients.start()
        return self

    def finish(self):
        """What the clients have seen, once all of them have ended their connections well."""
        self.stop.set()
        if not self.out.poll(60):
            raise SystemExit("the clients of the load do not end")
        return self.out.recv()

    def __exit__(self, *_):
        for each in (self.clients, self.backends):
            each.terminate()
            each.join()
