"""Connects to ADDRESS PORT every 20 ms and asks by ARP on INTERFACE who has it, for SECONDS.

Prints "ready", then the longest time without a successful exchange and the longest time in which two
machines answered. Exit code 1 when nothing was served at all.
"""
import socket
import struct
import sys
import threading
import time

address, port, interface, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
until = time.monotonic() + seconds
served = []


def connect():
    began = time.monotonic()
    try:
        with socket.create_connection((address, port), timeout=0.1) as s:
            s.settimeout(0.5)
            s.sendall(b"GET /name HTTP/1.0\r\n\r\n")
            if s.recv(1024).startswith(b"HTTP/"):
                served.append((began, time.monotonic()))
    except OSError:
        pass


def keep_connecting():
    while time.monotonic() < until:
        threading.Thread(target=connect, daemon=True).start()
        time.sleep(0.02)


def arp_request(mac, source):
    zero = b"\0" * 6
    return (b"\xff" * 6 + mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1)
            + mac + socket.inet_aton(source) + zero + socket.inet_aton(address))


def watch_arp(answers):
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    link.bind((interface, 0x0806))
    link.settimeout(0.01)
    mac = link.getsockname()[4]
    source = "192.0.2.9"
    next_ask = 0
    while time.monotonic() < until:
        if time.monotonic() >= next_ask:
            link.send(arp_request(mac, source))
            next_ask = time.monotonic() + 0.02
        try:
            frame = link.recv(128)
        except OSError:
            continue
        opcode, = struct.unpack("!H", frame[20:22])
        if opcode == 2 and frame[28:32] == socket.inet_aton(address):
            answers.append((time.monotonic(), frame[22:28]))


def longest_overlap(answers):
    """Two machines answer at once while answers of either come after one of the other."""
    overlap = 0.0
    changes = [i for i in range(1, len(answers)) if answers[i][1] != answers[i - 1][1]]
    start = None
    for first, last in zip(changes, changes[1:]):
        near = answers[last][0] - answers[first][0] < 0.1
        start = (answers[first][0] if start is None else start) if near else None
        if start is not None:
            overlap = max(overlap, answers[last][0] - start)
    return overlap


answers = []
arp = threading.Thread(target=watch_arp, args=(answers,))
arp.start()
threading.Thread(target=keep_connecting).start()
time.sleep(0.5)
print("ready", flush=True)
arp.join()
if len(served) < 2 or not answers:
    print("nothing was served")
    sys.exit(1)
ends = sorted(end for _, end in served)
gap = max(b - a for a, b in zip(ends, ends[1:]))
print(f"longest time without a served connection {gap:.2f} s, two answered ARP for "
      f"{longest_overlap(answers):.2f} s, machines seen {len({mac for _, mac in answers})}")
