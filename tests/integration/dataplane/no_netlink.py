#!/usr/bin/env python3
"""The real program where a seccomp filter refuses netlink sockets, as RestrictAddressFamilies of systemd does.

  no_netlink.py PROGRAM: it serves, says what it cannot do, and counts it; beside one without the filter."""
import ctypes
import http.client
import json
import platform
import signal
import socket
import struct
import subprocess
import sys
import tempfile

SKIP = 77
SOCKET_CALL = {"x86_64": 41, "aarch64": 198}.get(platform.machine())
METRIC = "empalme_dataplane_addresses_unwatched"
failures = []


def check(holds, sentence):
    if not holds:
        failures.append(sentence)
        print("FAILED:", sentence, flush=True)


def forbid_netlink():
    """socket(AF_NETLINK, ...) answers EAFNOSUPPORT from here on (seccomp(2), bpf of classic form)."""
    load, equal, answer = 0x20, 0x15, 0x06
    refused = 0x00050000 | 97
    steps = [(load, 0, 0, 0), (equal, 0, 3, SOCKET_CALL), (load, 0, 0, 16),
             (equal, 0, 1, socket.AF_NETLINK), (answer, 0, 0, refused), (answer, 0, 0, 0x7FFF0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, ctypes.c_char_p(program)) != 0:
        raise OSError(ctypes.get_errno(), "a seccomp filter is not allowed here")


def metric(path):
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    return [line for line in lines if line.startswith(METRIC + " ")]


def run(program, filtered):
    """What it counts, what it logs, and how it ends."""
    with tempfile.TemporaryDirectory() as work:
        path = f"{work}/admin.sock"
        running = subprocess.Popen([program, "--admin", f"unix:{path}"], stderr=subprocess.PIPE, text=True,
                                   preexec_fn=forbid_netlink if filtered else None)
        log, counted = [], []
        for line in running.stderr:
            log.append(json.loads(line))
            if '"serving"' in line:
                counted = metric(path)
                running.send_signal(signal.SIGTERM)
        return counted, log, running.wait(20)


def main():
    if SOCKET_CALL is None:
        print("left out: the number of socket(2) on this machine is not known")
        sys.exit(SKIP)
    for filtered in (False, True):
        counted, log, code = run(sys.argv[1], filtered)
        told = [line for line in log if "cannot watch this host's addresses" in line["message"]]
        where = "with netlink forbidden" if filtered else "with netlink"
        check(counted == [f"{METRIC} {int(filtered)}"], f"{where} it counts {counted}")
        check(len(told) == int(filtered), f"{where} it says {log}")
        check(code == 0, f"{where} it ended with {code}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
