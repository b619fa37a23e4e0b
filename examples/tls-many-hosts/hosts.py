#!/usr/bin/env python3
"""Holds lb.yaml to its page: names, certificates, an access list, a hash of the source, shares, a rotation
under load, and production.yaml laid over it. Run by tests/support/own_loopback.sh, since the ports
are those of the files: hosts.py BUILD_FOLDER"""
import collections
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
AT = ("127.0.0.1", 8443)
SPLIT = 2000


def expect(truth, what):
    if not truth:
        raise SystemExit(f"FAILED: {what}")


def until(holds, what):
    for _ in range(150):
        try:
            if holds():
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"FAILED: {what}")


class Mail:
    """Ends its TLS itself."""

    def __init__(self, certificates):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificates / "mail.pem")
        self.listener = socket.create_server(("127.0.0.1", 4443), backlog=64)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            client = self.listener.accept()[0]
            try:
                with self.context.wrap_socket(client, server_side=True) as tls:
                    tls.sendall(b"220 mail\r\n")
            except OSError:
                pass


class Clients:
    def __init__(self, certificates):
        self.context = ssl.create_default_context(cafile=certificates / "authority.pem")

    def connect(self, name, source="127.0.0.1"):
        plain = socket.create_connection(AT, timeout=10, source_address=(source, 0))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return self.context.wrap_socket(plain, server_hostname=name)
        except OSError:
            plain.close()
            raise

    def ask(self, name, source="127.0.0.1"):
        """The name of the web server that answers."""
        with self.connect(name, source) as tls:
            tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
            got = b""
            while block := tls.recv(4096):
                got += block
        return got.rpartition(b"\r\n\r\n")[2].decode().strip()

    def serial(self, name):
        with self.connect(name) as tls:
            return tls.getpeercert()["serialNumber"]

    def refused(self, name, source):
        try:
            self.ask(name, source)
        except OSError:
            return True
        return False


class Load:
    """Asks a name again and again, until it is told to stop."""

    def __init__(self, clients, name):
        self.counts, self.over = collections.Counter(), threading.Event()
        self.thread = threading.Thread(target=self.run, args=(clients, name))
        self.thread.start()

    def run(self, clients, name):
        while not self.over.is_set():
            try:
                clients.ask(name)
                self.counts["right"] += 1
            except OSError as error:
                self.counts[f"failed: {error}"] += 1

    def stop(self):
        self.over.set()
        self.thread.join()
        return self.counts


def check_names(clients):
    expect(clients.ask("shop.test") in ("4000", "4001", "4002"), "the shop's servers answer for shop.test")
    expect(clients.ask("admin.test") in ("4003", "4004"), "the admin's servers answer for admin.test")
    with clients.connect("mail.test") as tls:
        expect(tls.recv(100) == b"220 mail\r\n", "mail.test is passed through to its server")
    expect(clients.refused("else.test", "127.0.0.1"), "another name is refused")
    with clients.connect("shop.test") as tls:
        expect(tls.selected_alpn_protocol() is None, "who offers no protocol is served")
    print("three names on one address and port: two end their TLS here, one is passed through")


def check_sources(clients):
    by_source = {f"127.0.0.{i}": {clients.ask("admin.test", f"127.0.0.{i}") for _ in range(5)} for i in range(1, 21)}
    expect(all(len(servers) == 1 for servers in by_source.values()), f"a client keeps its server: {by_source}")
    expect(len(set().union(*by_source.values())) == 2, "both servers have clients")
    print("admin.test: each of 20 clients has its server every time")


def check_shares(clients):
    counts = collections.Counter(clients.ask("shop.test") for _ in range(SPLIT))
    share = counts["4002"] / SPLIT
    expect(0.08 < share < 0.12, f"the canary gets a tenth: {counts}")
    print(f"shop.test: {SPLIT} connections, {share:.1%} to the canary")


def check_rotation(clients, work):
    load, before = Load(clients, "shop.test"), clients.serial("shop.test")
    for turn in range(5):
        subprocess.run([HERE / "certificates.sh", work / "certificates", "shop"], check=True)
        until(lambda: clients.serial("shop.test") != before, f"a new certificate is served, turn {turn}")
        before = clients.serial("shop.test")
    counts = load.stop()
    expect(set(counts) == {"right"}, f"no connection fails meanwhile: {dict(counts)}")
    print(f"5 new certificates under load: {dict(counts)}")


class Up:
    def __init__(self, build, work, *files):
        self.log = open(work / "up.log", "ab")
        sources = [part for file in files for part in ("--source", f"file:{work / file}")]
        self.process = subprocess.Popen([build / "empalme", "up", *sources, "--socket-dir", work / "run", "--observe", "none",
                                         "--observe-controller", "none"], stdout=self.log, stderr=self.log)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.log.close()


def check_development(build, work, clients):
    up = Up(build, work, "lb.yaml")
    try:
        until(lambda: clients.ask("shop.test"), "the names are served")
        check_names(clients)
        check_sources(clients)
        check_shares(clients)
        check_rotation(clients, work)
    finally:
        up.stop()


def check_production(build, work, clients):
    up = Up(build, work, "lb.yaml", "production.yaml")
    try:
        until(lambda: clients.ask("shop.test"), "the names are served")
        expect(clients.ask("admin.test") in ("4003", "4004"), "an administrator is let in")
        expect(clients.refused("admin.test", "127.0.0.9"), "nobody else is let in to admin.test")
        expect(clients.ask("shop.test", "127.0.0.9"), "but everybody to shop.test")
        print("production: admin.test is for 127.0.0.1 only")
    finally:
        up.stop()


def main(build, work):
    for file in ("lb.yaml", "production.yaml"):
        shutil.copy(HERE / file, work)
    subprocess.run([HERE / "certificates.sh", work / "certificates"], check=True)
    print(subprocess.run([build / "empalme", "validate", work / "lb.yaml", work / "production.yaml"], check=True,
                         capture_output=True, text=True).stdout)
    webs = [subprocess.Popen([build / "empalme-demo-web", "--name", str(port), "--listen", f"127.0.0.1:{port}"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for port in range(4000, 4005)]
    Mail(work / "certificates")
    clients = Clients(work / "certificates")
    try:
        check_development(build, work, clients)
        check_production(build, work, clients)
    except BaseException:
        print((work / "up.log").read_text()[-3000:], file=sys.stderr)
        raise
    finally:
        for web in webs:
            web.kill()
            web.wait()


if __name__ == "__main__":
    os.environ.pop("ADMINS", None)
    with tempfile.TemporaryDirectory() as folder:
        main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(folder))
