#!/usr/bin/env python3
"""Asks a network who has certain addresses, again and again, and says who answered when.

    witness.py listen LOG INTERFACE ADDRESS...   until SIGTERM; root
    witness.py judge LOG [FROM TO]               milliseconds since 1970; JSON on standard output

A line of LOG is `MILLISECONDS ask -` for a round of requests, one for each address, or `MILLISECONDS
ADDRESS MAC` for an answer to one (RFC 826). Announcements that nobody asked for are left out. The judge
says for each address who answered, in the order of their first answers, for how long at a stretch two
answered the same round (`both_ms`), and the longest stretch of rounds without an answer (`silent_ms`).
"""
import json
import select
import signal
import socket
import struct
import sys
import time

EVERY = 0.02
_ARP = 0x0806
_REQUEST, _REPLY = 1, 2
# A double answer that was missed in between does not end a stretch of them.
_STRETCH_MS = 100


def request(mac, source, target):
    """A broadcast ARP request, Ethernet header included."""
    return (b"\xff" * 6 + mac + struct.pack("!HHHBBH", _ARP, 1, 0x0800, 6, 4, _REQUEST) + mac
            + socket.inet_aton(source) + b"\0" * 6 + socket.inet_aton(target))


def answer(frame, source):
    """(address, mac) of a reply to a request of `source`; None for any other frame."""
    if len(frame) < 42 or struct.unpack_from("!HHHBBH", frame, 12) != (_ARP, 1, 0x0800, 6, 4, _REPLY):
        return None
    sender, address = frame[22:28], frame[28:32]
    if frame[38:42] != socket.inet_aton(source) or frame[38:42] == address:
        return None
    return socket.inet_ntoa(address), sender.hex(":")


def own_address(interface):
    import fcntl
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        packed = struct.pack("256s", interface.encode())
        return socket.inet_ntoa(fcntl.ioctl(any_socket, 0x8915, packed)[20:24])  # SIOCGIFADDR


def milliseconds():
    return time.time_ns() // 1_000_000


def listen(log, interface, addresses):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ARP))
    wire.bind((interface, _ARP))
    wire.setblocking(False)
    mac, source = wire.getsockname()[4], own_address(interface)
    frames = [request(mac, source, each) for each in addresses]
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    turn = time.monotonic()
    with open(log, "w", buffering=1, encoding="ascii") as out:
        while not ended:
            out.write(f"{milliseconds()} ask -\n")
            for frame in frames:
                wire.send(frame)
            turn = max(turn + EVERY, time.monotonic())
            while (left := turn - time.monotonic()) > 0:
                if not select.select([wire], [], [], left)[0]:
                    break
                if (heard := answer(wire.recv(2048), source)) is not None:
                    out.write(f"{milliseconds()} {heard[0]} {heard[1]}\n")


def rounds_of(lines):
    """[(begun, {address: {mac}})] and the order of first answers, {address: [mac]}."""
    rounds, order = [], {}
    for line in lines:
        parts = line.split()
        if len(parts) != 3 or not line.endswith("\n"):
            continue
        when, address, mac = int(parts[0]), parts[1], parts[2]
        if address == "ask":
            rounds.append((when, {}))
        elif rounds:
            rounds[-1][1].setdefault(address, set()).add(mac)
            if mac not in order.setdefault(address, []):
                order[address].append(mac)
    return rounds, order


def longest(moments, limit):
    """The longest (last - first) of moments that follow each other within `limit`."""
    best, first, last = 0, None, None
    for moment in moments:
        if first is None or moment - last > limit:
            first = moment
        last = moment
        best = max(best, last - first)
    return best


def judge(lines, begin=0, end=1 << 62):
    rounds, order = rounds_of(lines)
    rounds = [each for each in rounds if begin <= each[0] <= end]
    out = {}
    for address in order:
        both = [when for when, heard in rounds if len(heard.get(address, ())) > 1]
        # A round lasts until the next one.
        both_ms = longest(both, _STRETCH_MS) + int(EVERY * 1000) if both else 0
        answered = [when for when, heard in rounds if address in heard]
        edges = [rounds[0][0], *answered, rounds[-1][0]] if rounds else []
        silent = max((b - a for a, b in zip(edges, edges[1:])), default=0)
        out[address] = {"by": order[address], "both_ms": both_ms, "silent_ms": silent}
    return out


def main(arguments):
    if len(arguments) >= 4 and arguments[0] == "listen":
        listen(arguments[1], arguments[2], arguments[3:])
        return 0
    if len(arguments) in (2, 4) and arguments[0] == "judge":
        with open(arguments[1], encoding="ascii") as log:
            print(json.dumps(judge(log, *map(int, arguments[2:]))))
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
