#!/usr/bin/env python3
"""Does what README.md says and holds it to its word: names, certificates, an access list, a hash of the source, shares,
a rotation under load, and production.yaml laid over it. Run by tests/support/own_loopback.sh, since the ports are those
of the files: hosts.py BUILD_FOLDER"""
import collections
import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/support"))
import page_shell  # noqa: E402

SHOP, ADMIN = {"4000", "4001", "4002"}, {"4003", "4004"}
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


class Clients:
    def __init__(self, certificates):
        self.context = ssl.create_default_context(cafile=certificates / "authority.pem")
        self.at = ("127.0.0.1", 8443)

    def connect(self, name, source="127.0.0.1"):
        plain = socket.create_connection(self.at, timeout=10, source_address=(source, 0))
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


def check_names(shell, clients):
    answers = re.findall(r"^ *(\d+) (.*)$", shell.page("ask shop.test; done | sort | uniq -c"), re.M)
    expect(sum(int(times) for times, _ in answers) == 20 and {port for _, port in answers} <= SHOP,
           f"the shop's servers answer for shop.test: {answers}")
    answers = shell.page("ask admin.test; done").split()
    expect(len(answers) == 5 and len(set(answers)) == 1 and set(answers) < ADMIN, f"one admin's server answers: {answers}")
    expect("s_server" in shell.page("ask mail.test"), "mail.test is passed through to its server")
    expect("unrecognized name" in shell.page("ask else.test", code=35), "another name is refused by an alert")
    with clients.connect("shop.test") as tls:
        expect(tls.selected_alpn_protocol() is None, "who offers no protocol is served")
    print("three names on one address and port: two end their TLS here, one is passed through")


def check_sources(clients):
    by_source = {f"127.0.0.{i}": {clients.ask("admin.test", f"127.0.0.{i}") for _ in range(5)} for i in range(1, 21)}
    expect(all(len(servers) == 1 for servers in by_source.values()), f"a client keeps its server: {by_source}")
    expect(set().union(*by_source.values()) == ADMIN, "both servers have clients")
    print("admin.test: each of 20 clients has its server every time")


def check_shares(clients):
    counts = collections.Counter(clients.ask("shop.test") for _ in range(SPLIT))
    share = counts["4002"] / SPLIT
    expect(0.08 < share < 0.12, f"the canary gets a tenth: {counts}")
    print(f"shop.test: {SPLIT} connections, {share:.1%} to the canary")


def check_rotation(shell, clients, certificates):
    load, before = Load(clients, "shop.test"), clients.serial("shop.test")
    for turn in range(5):
        if turn == 0:
            shell.page("certificates.sh $work/certificates shop")
        else:
            subprocess.run([HERE / "certificates.sh", certificates, "shop"], check=True)
        until(lambda: clients.serial("shop.test") != before, f"a new certificate is served, turn {turn}")
        before = clients.serial("shop.test")
    counts = load.stop()
    expect(set(counts) == {"right"}, f"no connection fails meanwhile: {dict(counts)}")
    print(f"5 new certificates under load: {dict(counts)}")


def follow_development(shell, work):
    """Answers with the clients of the page's authority, when all is served."""
    shell.page("work=$(mktemp -d) && cp")
    shell.page("certificates.sh $work/certificates")
    shell.page("for port in 4000 4001 4002 4003 4004")
    shell.page("openssl s_server")
    expect(shell.page("empalme validate").count("certificates/") == 2, "it is said which certificates there are")
    shell.page("empalme up")
    shell.page("ask()")
    certificates, = work.glob("*/certificates")
    clients = Clients(certificates)
    until(lambda: clients.ask("shop.test") in SHOP and clients.ask("admin.test") in ADMIN, "the names are served")
    check_names(shell, clients)
    check_sources(clients)
    check_shares(clients)
    check_rotation(shell, clients, certificates)
    return clients


def follow_production(shell, clients):
    shown = shell.page("empalme validate --show")
    expect(all(part in shown for part in ("127.0.0.1/32", "max_connections_per_source")), f"both files make it: {shown}")
    shell.page("kill $up; wait $up")
    shell.page("ADMINS=10.9.0.0/16 PORT=443")
    clients.at = ("127.0.0.1", 443)
    until(lambda: clients.ask("shop.test"), "the names are served on another port")
    expect(shell.page("ask shop.test 443").strip() in SHOP, "the page's command gets the shop")
    shell.page("ask admin.test 443", code=35)
    expect(clients.ask("admin.test", "10.9.0.1") in ADMIN, "an administrator is let in")
    expect(clients.refused("admin.test", "127.0.0.1"), "nobody else is let in to admin.test")
    print("production, on 443: admin.test is for ADMINS only")
    shell.page("kill $(jobs -p)")
    shell.end()


def main(build, work):
    with page_shell.PageShell(HERE / "README.md", build, work) as shell:
        try:
            # An administrator's address.
            subprocess.run(["ip", "address", "add", "10.9.0.1/32", "dev", "lo"], check=True)
            follow_production(shell, follow_development(shell, work))
        except BaseException:
            print(shell.log()[-3000:], file=sys.stderr)
            raise


if __name__ == "__main__":
    os.environ.pop("ADMINS", None)
    with tempfile.TemporaryDirectory() as folder:
        main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(folder))
