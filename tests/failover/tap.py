"""What goes to one backend's port on the wire of the namespace, with the kernel's times (packet(7)).

Only there can be seen which attempts a proxy made, which were refused, and which of the clients'
requests had reached the backend. A filter in the kernel keeps out all but SYN, RST and data.
"""
from __future__ import annotations

import ctypes
import socket
import struct
from dataclasses import dataclass, field

_SO_ATTACH_FILTER, _SO_TIMESTAMPNS = 26, 35
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_IGNORE_OUTGOING = 263, 6, 23
_SO_RCVBUFFORCE = 33
_FIN, _SYN, _RST, _PSH, _ACK = 1, 2, 4, 8, 16
_KEPT = 120  # bytes of a packet: the headers and the number in a request


def _filter(port: int) -> bytes:
    """Classic BPF: TCP, from or to the port, with SYN, RST or PSH. On loopback there are no IP options."""
    program = [
        (0x30, 0, 0, 9), (0x15, 0, 7, socket.IPPROTO_TCP),
        (0x28, 0, 0, 20), (0x15, 2, 0, port),
        (0x28, 0, 0, 22), (0x15, 0, 3, port),
        (0x30, 0, 0, 33), (0x45, 0, 1, _SYN | _RST | _PSH),
        (0x06, 0, 0, _KEPT), (0x06, 0, 0, 0)]
    return b"".join(struct.pack("HBBI", *line) for line in program)


@dataclass
class Flow:
    """One connection of the proxy to the backend, from its SYN on. Times are seconds of CLOCK_REALTIME."""

    opened: float
    accepted: float | None = None
    refused: float | None = None
    insisted: float | None = None  # the last time that its SYN was sent again
    requests: list[int] = field(default_factory=list)


class Tap:
    """Records from the constructor on; the socket's buffer holds it all until flows() is called."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        program = ctypes.create_string_buffer(_filter(port))
        attach = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(program))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, attach)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 128 << 20)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._socket.bind(("lo", 0x0800))
        self._socket.setblocking(False)

    def flows(self) -> list[Flow]:
        """Everything seen so far, in the order of the SYNs. Raises when the kernel had to drop some."""
        live: dict[int, tuple[int, Flow]] = {}
        flows: list[Flow] = []
        while (packet := self._next()) is not None:
            self._note(packet, live, flows)
        _, dropped = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        self._socket.close()
        if dropped:
            raise RuntimeError(f"the packet tap lost {dropped} packets")
        return flows

    def _next(self) -> tuple[float, bytes] | None:
        try:
            data, extra, _, _ = self._socket.recvmsg(_KEPT, 64)
        except BlockingIOError:
            return None
        seconds, nanoseconds = struct.unpack("ll", extra[0][2])
        return seconds + nanoseconds / 1e9, data

    def _note(self, packet: tuple[float, bytes], live: dict[int, tuple[int, Flow]], flows: list[Flow]) -> None:
        when, data = packet
        source, target, sequence = struct.unpack_from("!HHI", data, 20)
        offset, flags = data[32] >> 4, data[33]
        peer = source if target == self._port else target
        is_new = peer not in live or live[peer][0] != sequence  # a SYN sent again has the same number
        if target == self._port and flags & _SYN and is_new:
            live[peer] = (sequence, Flow(when))
            flows.append(live[peer][1])
            return
        if peer not in live:
            return
        flow = live[peer][1]
        if target == self._port and flags & _SYN:
            flow.insisted = when
        elif source == self._port and flags & _SYN:
            flow.accepted = when
        elif source == self._port and flags & _RST and flow.accepted is None:
            flow.refused = flow.refused or when
        elif target == self._port and flags & _PSH:
            number = data[20 + 4 * offset:][:8]
            if number.isdigit():
                flow.requests.append(int(number))
