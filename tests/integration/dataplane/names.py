#!/usr/bin/env python3
"""Real TLS clients and servers on one shared address and port, told apart by name: names.py BUILD_FOLDER

Each name must get the server that has its certificate, wherever its first message is cut and
however slowly it comes; who is unknown must be told so in TLS; and while names come, move and go in
the file, no handshake may fail for a name that is there all the time. Prints what it found."""
import collections
import concurrent.futures
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

LOCAL = "127.0.0.1"
NAMES = ("shop.test", "blog.test", "moved.test")


def make_certificate(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
                    "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"],
                   check=True, capture_output=True)


class Server:
    """Answers each TLS client with its own name."""

    def __init__(self, folder, name, answer=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        self.answer = answer or name
        self.socket = socket.create_server((LOCAL, 0), backlog=512)
        self.at = f"{LOCAL}:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            threading.Thread(target=self.serve, args=(self.socket.accept()[0],), daemon=True).start()

    def serve(self, client):
        try:
            client.settimeout(20)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.context.wrap_socket(client, server_side=True) as tls:
                tls.sendall(self.answer.encode())
                tls.unwrap()
        except OSError:
            pass


class Clients:
    """Who asks at the shared address."""

    def __init__(self, folder, at):
        self.at = at
        self.context = ssl.create_default_context()
        for name in NAMES:
            self.context.load_verify_locations(folder / f"{name}.pem")

    def connect(self):
        client = socket.create_connection(self.at, timeout=10)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def ask(self, name):
        """What the server of that name says; its certificate is checked."""
        with self.connect() as plain, self.context.wrap_socket(plain, server_hostname=name) as tls:
            return tls.recv(100).decode()

    def ask_in_pieces(self, name, cut):
        """The same, with the first message in two pieces."""
        to_us, from_us = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(to_us, from_us, server_hostname=name)
        with self.connect() as plain:
            cuts = [cut]

            def exchange(step):
                while True:
                    try:
                        return step()
                    except ssl.SSLWantReadError:
                        out = from_us.read()
                        at = cuts.pop() if cuts else len(out)
                        plain.sendall(out[:at])
                        plain.sendall(out[at:])
                        to_us.write(plain.recv(65536))

            exchange(tls.do_handshake)
            plain.sendall(from_us.read())
            return exchange(lambda: tls.read(100)).decode()

    def hello_size(self, name):
        to_us, from_us = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self.context.wrap_bio(to_us, from_us, server_hostname=name).do_handshake()
        except ssl.SSLWantReadError:
            pass
        return len(from_us.read())


class Load:
    """Asks for names that are there all the time, until told to stop."""

    def __init__(self, clients, names):
        self.counts = collections.Counter()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(clients, name)) for name in names]
        for thread in self.threads:
            thread.start()

    def run(self, clients, name):
        while not self.over.is_set():
            try:
                self.counts["right" if clients.ask(name) == name else "wrong"] += 1
            except OSError as error:
                self.counts[f"failed: {error}"] += 1

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        return self.counts


def free_port():
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        return probe.getsockname()[1]


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


def write(file, port, services):
    """services: name of the service, names, backend."""
    text = "services:\n"
    for key, names, backend in services:
        match = f'  match: {{names: "{names}"}}\n' if names else ""
        text += f"- name: {key}\n  listen: {LOCAL}:{port}\n{match}  backends: {backend}\n"
    new = file.with_suffix(".new")
    new.write_text(text)
    os.replace(new, file)


def told_unknown(clients, name):
    try:
        clients.ask(name)
    except ssl.SSLError as error:
        return "UNRECOGNIZED_NAME" in str(error).upper()
    return False


def seconds_until_reset(clients, hello):
    began = time.monotonic()
    with clients.connect() as plain:
        plain.sendall(hello)
        try:
            rest = plain.recv(1)
            return None if rest else time.monotonic() - began
        except ConnectionResetError:
            return time.monotonic() - began


def check_names(clients):
    for name in ("shop.test", "blog.test"):
        expect(clients.ask(name) == name, f"{name} is served by its own server")
    expect(told_unknown(clients, "nobody.test"), "an unknown name is told so in TLS")
    size = clients.hello_size("shop.test")
    for cut in range(1, size):
        expect(clients.ask_in_pieces("shop.test", cut) == "shop.test", f"a hello that is cut after {cut} bytes")
    print(f"{size - 1} hellos of {size} bytes, each cut at another byte: each has its server")


def check_slow(clients):
    slow = seconds_until_reset(clients, b"\x16\x03\x01\x02\x00\x01")
    expect(slow is not None and 4 < slow < 9, f"a hello that does not go on is reset after 5 s, not {slow}")
    print(f"a hello that does not go on is reset after {slow:.1f} s")


def check_changes(clients, file, port, servers):
    shop, blog, moved, other = servers
    both = [("blog", "blog.test", blog.at), ("shop", "shop.test", shop.at)]
    load = Load(clients, ("shop.test", "blog.test"))
    for turn in range(4):
        write(file, port, both + [("moved", "moved.test", moved.at)])
        until(lambda: clients.ask("moved.test") == "moved.test", f"a name that comes, turn {turn}")
        write(file, port, both + [("other", "moved.test", other.at)])
        until(lambda: clients.ask("moved.test") == "other", f"a name that moves, turn {turn}")
        write(file, port, both)
        until(lambda: told_unknown(clients, "moved.test"), f"a name that goes, turn {turn}")
    counts = load.stop()
    print(f"12 changes under load: {dict(counts)}")
    expect(set(counts) == {"right"} and counts["right"] > 20, "no handshake of another name may fail")


def main(build, work):
    for name in NAMES:
        make_certificate(work, name)
    servers = [Server(work, "shop.test"), Server(work, "blog.test"), Server(work, "moved.test"),
               Server(work, "moved.test", "other")]
    port, observe = free_port(), free_port()
    file = work / "lb.yaml"
    write(file, port, [("blog", "blog.test", servers[1].at), ("shop", "shop.test", servers[0].at)])
    clients = Clients(work, (LOCAL, port))
    with open(work / "up.log", "wb") as log:
        up = subprocess.Popen([build / "empalme", "up", "--source", f"file:{file}", "--socket-dir", work / "run",
                               "--observe", f"{LOCAL}:{observe}", "--observe-controller", "none"],
                              stdout=log, stderr=log)
    try:
        until(lambda: clients.ask("shop.test") == "shop.test", "the names are served")
        with concurrent.futures.ThreadPoolExecutor() as beside:
            slow = beside.submit(check_slow, clients)
            check_names(clients)
            slow.result()
        check_changes(clients, file, port, servers)
        metrics = subprocess.run(["curl", "-s", f"http://{LOCAL}:{observe}/metrics"], check=True,
                                 capture_output=True, text=True).stdout
        for name, least in (("unrouted", 5), ("client_hellos_refused", 1)):
            found = re.search(rf"^empalme_dataplane_{name}_total (\d+)$", metrics, re.M)
            expect(found and int(found[1]) >= least, f"{name} is counted: {found and found[0]}")
    except BaseException:
        print((work / "up.log").read_text()[-3000:], file=sys.stderr)
        raise
    finally:
        up.terminate()
        up.wait()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(folder))
