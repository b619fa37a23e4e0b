#!/usr/bin/env python3
"""The real program's log under names and bytes that others chose: log_lines.py PROGRAM

Each line must be one object of JSON in printable ASCII, whatever stands in names, headers and
requests; and nothing of a private key stands in a log, an answer or a saved state.
"""
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

NASTY = 'n\n{"level":"error"}\r\t\u0000\u001b[2J\u007f\u009b31m\u202e\u2028"\\'
NASTY_KEY = 'file/k\u009b31m\u202e\u2028"\\{}'  # what a key may hold
LOCAL = "127.0.0.1"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


class Run:
    """One data plane, from its start to its end."""

    def __init__(self, program, folder, *arguments):
        self.log = tempfile.NamedTemporaryFile(dir=folder, delete=False)
        self.process = subprocess.Popen(
            [program, "--workers", "2", "--state-dir", f"{folder}/held", "--log-level", "debug",
             "--log-connections", "1", *arguments], stdout=self.log, stderr=self.log)

    def end(self):
        self.process.terminate()
        code = self.process.wait(30)
        assert code == 0, f"ended with {code}"
        with open(self.log.name, "rb") as log:
            return log.read()


def until(action, seconds=20):
    end = time.monotonic() + seconds
    while True:
        try:
            return action()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def ask(connection, method, target, body=None):
    connection.request(method, target, body)
    answer = connection.getresponse()
    out = answer.status, answer.read()
    connection.close()
    return out


def free_port():
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        return probe.getsockname()[1]


def service(key, port, backend, policy):
    named = {"address": LOCAL, "port": backend, "name": NASTY, "node": NASTY, "zone": NASTY}
    return {"key": key, "addresses": [LOCAL], "policy": policy,
            "ports": [{"name": NASTY, "port": port, "backends": [named]}]}


def state(generation, *services):
    return json.dumps({"schema": "empalme.io/v1", "epoch": 1, "generation": generation,
                       "services": services})


def talk(port, data):
    try:
        with socket.create_connection((LOCAL, port), 10) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
    except OSError:
        pass  # a reset is what is asked for: nobody listens behind the data plane


def raw(path, data):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(path)
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass


def check_lines(text):
    lines = text.splitlines()
    for line in lines:
        assert re.fullmatch(rb"[ -~]+", line), f"not printable ASCII: {line!r}"
        fields = json.loads(line)
        assert "time" in fields and fields.get("level") != "forged", line
    return [json.loads(line) for line in lines]


def names_and_bytes(program, folder):
    admin = f"{folder}/admin.sock"
    run = Run(program, folder, "--admin", f"unix:{admin}")
    plain, proxied, nobody = free_port(), free_port(), free_port()
    until(lambda: ask(UnixConnection(admin), "GET", "/healthz"))
    trusted = {"accept_proxy_from": ["127.0.0.0/8"],
               "health": {"type": "tcp", "interval_ms": 100, "fall": 1}}
    offered = state(1, service(NASTY_KEY, plain, nobody, {}),
                    service(NASTY_KEY + "p", proxied, nobody, trusted))
    status, answer = ask(UnixConnection(admin), "PUT", "/v1/state", offered)
    assert status == 200, answer
    for start in (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", b"PROXY \x1b[2J\n\x9b", b"\r\n\r\n\0\xff",
                  b"PROXY UNKNOWN \x1b[31m\x07\r\n", NASTY.encode()):
        talk(proxied, start + b"hello")
        talk(plain, start)
    bad = json.dumps({NASTY: 1, "schema": NASTY})
    for method in ("PUT", "PATCH"):
        status, answer = ask(UnixConnection(admin), method, "/v1/state", bad)
        assert status == 422 and json.loads(answer), answer
    ask(UnixConnection(admin), "POST", "/v1/drain", json.dumps({"service": NASTY}))
    for request in (b"GET /\x1b[2J\x9b HTTP/1.1\r\n\r\n", b"\x1b\n\n", b"GET /v1/flows?%0a=%1b HTTP/1.1\r\n"
                    b"Host: \x9b\r\n\r\n", b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n"):
        raw(admin, request)
    entries = check_lines(run.end())
    ended = [entry for entry in entries if entry.get("service", "").startswith("file/k")]
    assert {NASTY_KEY, NASTY_KEY + "p"} <= {entry["service"] for entry in ended}, entries
    assert any(entry.get("client", "").startswith("192.0.2.1:") for entry in ended), ended
    assert any(entry.get("refusal") == "proxy_header" for entry in ended), ended
    print(f"{len(entries)} lines, {len(ended)} of them name a service")


def certificate(folder, name, issuer=None):
    """A certificate for 127.0.0.1 and for a controller, its own issuer when none is given."""
    sign = ["-CA", f"{folder}/{issuer}.pem", "-CAkey", f"{folder}/{issuer}.key"] if issuer else []
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
                    "subjectAltName=IP:127.0.0.1,DNS:controller.empalme", "-keyout",
                    f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem", *sign],
                   check=True, stderr=subprocess.DEVNULL)
    return f"{folder}/{name}.pem", f"{folder}/{name}.key"


def secrets_of(key):
    with open(key, encoding="ascii") as lines:
        return [line.strip().encode() for line in lines if not line.startswith("-----")]


def keys_stay_secret(program, folder):
    ca, ca_key = certificate(folder, "ca")
    server, server_key = certificate(folder, "server", "ca")
    client, client_key = certificate(folder, "client", "ca")
    secrets = secrets_of(server_key) + secrets_of(ca_key) + secrets_of(client_key)
    port = free_port()
    run = Run(program, folder, "--admin", f"tcp:{LOCAL}:{port}", "--tls-cert", server, "--tls-key",
              server_key, "--tls-ca", ca)
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(client, client_key)

    def connection():
        return http.client.HTTPSConnection(LOCAL, port, context=context, timeout=10)

    until(lambda: ask(connection(), "GET", "/healthz"))
    said = [ask(connection(), "PUT", "/v1/state", state(1))[1]]
    said += [ask(connection(), "GET", target)[1]
             for target in ("/v1/state", "/v1/status", "/metrics", "/v1/flows", "/v1/nothing")]
    talk(port, b"GET / HTTP/1.1\r\n\r\n")  # no TLS at all
    os.truncate(server_key, 60)  # as while it is being replaced: the next connection reads it
    try:
        said.append(ask(connection(), "GET", "/v1/status")[1])
    except OSError:
        pass
    said.append(run.end())
    check_lines(said[-1])
    for root, _, names in os.walk(f"{folder}/held"):
        for name in names:
            with open(f"{root}/{name}", "rb") as saved:
                said.append(saved.read())
    for secret in secrets:
        assert not any(secret in text for text in said), "a key was told"
    print(f"{len(secrets)} lines of keys in none of {len(said)} texts")


def main():
    program = sys.argv[1]
    folder = tempfile.mkdtemp(prefix="empalme-log-")
    try:
        names_and_bytes(program, folder)
        shutil.rmtree(f"{folder}/held")
        keys_stay_secret(program, folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
