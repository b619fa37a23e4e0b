"""What the soak's clients and backends say to each other, and the bytes that they check.

A client opens with a HEADER, the backend answers with a GREETING that names it, then UP bytes go
one way and DOWN bytes the other, both at once. Every byte is a function of the connection, the
direction and the offset. After DOWN the backend sends SEAL of the connection, once it has every
byte of UP: only then has the connection succeeded.
"""
import asyncio
import random
import socket
import struct

HEADER = struct.Struct("<QQQBH")  # connection, bytes up, bytes down, mode, pause in ms
GREETING = struct.Struct("<II")  # which backend, which life of it
SEAL = struct.Struct("<Q")

NORMAL, HALF_CLOSE, CLIENT_RESETS, BACKEND_RESETS = range(4)
MODES = {NORMAL: "normal", HALF_CLOSE: "half close", CLIENT_RESETS: "client resets",
         BACKEND_RESETS: "backend resets"}

PERIOD = 65521  # prime: no power of two divides it, so a block in a wrong place shows
LARGEST_CHUNK = 65536
PROXIED_PORT = 1  # of a backend, above its own: a PROXY header comes first there
DATAGRAM = struct.Struct("<QQII")  # connection, number of the datagram, backend, life of it
LARGEST_DATAGRAM = 8000
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_SOURCE = struct.Struct("!4s4sHH")
_TABLE = random.Random(1).randbytes(PERIOD) * 3
_SEAL = 0x656D70616C6D6521


class Corrupt(Exception):
    """A byte that nobody sent, or not there."""


class Truncated(Exception):
    """The stream ended in peace before it was whole."""


def expected(connection, down, offset, length):
    start = (connection * 7919 + (31337 if down else 0) + offset) % PERIOD
    return _TABLE[start:start + length]


def seal(connection):
    return SEAL.pack(connection ^ _SEAL)


def check(connection, down, offset, data):
    if data == expected(connection, down, offset, len(data)):
        return
    wanted = expected(connection, down, offset, len(data))
    at = next(i for i, (a, b) in enumerate(zip(data, wanted)) if a != b)
    raise Corrupt(f"connection {connection}, {'down' if down else 'up'}, byte {offset + at}: "
                  f"{data[at:at + 8].hex()} instead of {wanted[at:at + 8].hex()}")


def source_of(connection):
    """The address and port that this connection pretends to come from."""
    return f"198.18.{connection >> 8 & 255}.{connection & 255}", 1024 + connection % 60000


def proxy_header(connection, service, version):
    """What a proxy ahead of the data plane says of the connection, in version 1 or 2."""
    address, port = source_of(connection)
    if version == 1:
        return (f"PROXY TCP4 {address} {service['address']} {port} "
                f"{service['port']}\r\n").encode()
    block = _SOURCE.pack(socket.inet_aton(address), socket.inet_aton(service["address"]), port,
                         service["port"]) + struct.pack("!BH4s", 4, 4, bytes(4))
    return _SIGNATURE + struct.pack("!BBH", 0x21, 0x11, len(block)) + block


async def read_proxy_header(sock):
    """(address, port) of the client, from a header of version 2."""
    start = await read_exactly(sock, 16)
    command, family, length = struct.unpack("!BBH", start[12:])
    if start[:12] != _SIGNATURE or (command, family) != (0x21, 0x11) or length < _SOURCE.size:
        raise Corrupt(f"a PROXY header {start.hex()}")
    source, _, port, _ = _SOURCE.unpack((await read_exactly(sock, length))[:_SOURCE.size])
    return socket.inet_ntoa(source), port


def datagram(connection, number, backend=(0, 0)):
    head = DATAGRAM.pack(connection, number, *backend)
    size = (connection * 31 + number * 977) % (LARGEST_DATAGRAM - DATAGRAM.size)
    return head + expected(connection, False, number, size)


def check_datagram(data):
    """(connection, number, backend); Corrupt when it is not exactly what somebody sent."""
    if len(data) < DATAGRAM.size:
        raise Corrupt(f"a datagram of {len(data)} bytes")
    connection, number, *backend = DATAGRAM.unpack(data[:DATAGRAM.size])
    if data != datagram(connection, number, backend):
        raise Corrupt(f"datagram {number} of connection {connection}, {len(data)} bytes")
    return connection, number, backend


async def read_exactly(sock, length):
    loop = asyncio.get_running_loop()
    out = b""
    while len(out) < length:
        more = await loop.sock_recv(sock, length - len(out))
        if not more:
            raise Truncated(f"after {len(out)} of {length} bytes")
        out += more
    return out


async def read_end(sock):
    if await asyncio.get_running_loop().sock_recv(sock, 1):
        raise Corrupt("a byte after the last one")


async def receive(sock, connection, down, begin, end):
    loop = asyncio.get_running_loop()
    while begin < end:
        data = await loop.sock_recv(sock, min(LARGEST_CHUNK, end - begin))
        if not data:
            raise Truncated(f"after {begin} of {end} bytes {'down' if down else 'up'}")
        check(connection, down, begin, data)
        begin += len(data)


async def send(sock, connection, down, begin, end, pause_ms, chance):
    loop = asyncio.get_running_loop()
    while begin < end:
        size = min(2048 if pause_ms else 1 << chance.randrange(17), end - begin)
        await loop.sock_sendall(sock, expected(connection, down, begin, size))
        begin += size
        if pause_ms:
            await asyncio.sleep(pause_ms / 1000)
        elif chance.random() < 0.02:
            await asyncio.sleep(chance.random() * 0.02)


def reset(sock):
    """Closes with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
