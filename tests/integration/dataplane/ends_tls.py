#!/usr/bin/env python3
"""TLS that ends at the data plane, asked by real clients: ends_tls.py EMPALME_DATAPLANE [NAMES]

NAMES certificates (100) on one port, each client gets the one of its name; certificates are replaced
under load without one failed handshake; what is wrong is refused, and the last good one stays; a
data plane that is killed serves again before anybody pushes anything; TLS goes on to backends that
can be verified, and to no others; and no key shows anywhere. Prints what it found."""
import collections
import glob
import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import time

LOCAL = "127.0.0.1"


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Authority:
    """Signs certificates, all for one key."""

    def __init__(self, folder):
        self.folder = folder
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=authority", "-keyout", folder / "ca.key", "-out", folder / "ca.pem")
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / "key.pem")
        self.key = (folder / "key.pem").read_text()
        run("openssl", "req", "-new", "-key", folder / "key.pem", "-subj", "/CN=x", "-out", folder / "x.csr")
        self.serial = 0

    def sign(self, name, days="2"):
        self.serial += 1
        names = self.folder / "names.txt"
        names.write_text(f"subjectAltName=DNS:{name}\n")
        return run("openssl", "x509", "-req", "-in", self.folder / "x.csr", "-CA", self.folder / "ca.pem", "-CAkey",
                   self.folder / "ca.key", "-set_serial", str(self.serial), "-days", days, "-extfile", names)

    def context(self):
        out = ssl.create_default_context(cafile=self.folder / "ca.pem")
        out.set_alpn_protocols(["http/1.1"])
        return out


class Admin(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


def ask(path, method, target, body=None):
    admin = Admin(path)
    try:
        admin.request(method, target, None if body is None else json.dumps(body))
        answer = admin.getresponse()
        return answer.status, answer.read().decode()
    finally:
        admin.close()


class Echo:
    """A backend that sends back what it gets, as plain as it comes."""

    def __init__(self):
        self.socket = socket.create_server((LOCAL, 0), backlog=512)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            threading.Thread(target=self.serve, args=(self.socket.accept()[0],), daemon=True).start()

    def serve(self, client):
        try:
            with client:
                while data := client.recv(65536):
                    client.sendall(data)
        except OSError:
            pass


class SecureEcho(Echo):
    """The same in TLS; what it shows may be changed."""

    def __init__(self, authority, name):
        self.authority = authority
        self.show(name)
        super().__init__()

    def show(self, name):
        pem = self.authority.folder / "backend.pem"
        pem.write_text(self.authority.sign(name) + self.authority.key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pem)
        self.context.set_alpn_protocols(["http/1.1"])

    def serve(self, client):
        try:
            with self.context.wrap_socket(client, server_side=True) as tls:
                while data := tls.recv(65536):
                    tls.sendall(data)
        except OSError:
            client.close()


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


class Rig:
    def __init__(self, program, work, many):
        self.program, self.work, self.many = program, work, many
        # Keys are kept only in memory.
        shared = pathlib.Path("/dev/shm") if os.path.isdir("/dev/shm") else work
        self.keys = pathlib.Path(tempfile.mkdtemp(dir=shared)) / "keys"
        self.admin = work / "dataplane.sock"
        self.port, self.observe = free_port(), free_port()
        self.authority = Authority(work)
        self.backend = Echo()
        self.generation = 0
        self.process = None

    def start(self):
        with open(self.work / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.program, "--admin", f"unix:{self.admin}", "--state-dir", self.work / "state", "--keys-dir",
                 self.keys, "--observe", f"{LOCAL}:{self.observe}", "--workers", "2"], stdout=log, stderr=log)
        until(lambda: ask(self.admin, "GET", "/healthz")[0] == 200, "the data plane starts")

    def put(self, name, certificate, key=None):
        key = self.authority.key if key is None else key
        return ask(self.admin, "PUT", f"/v1/certificates/{name}", {"certificate": certificate, "key": key})

    def put_state(self, certificates, backend=None, port=None):
        self.generation += 1
        tls = {"mode": "terminate", "certificates": certificates, "alpn": ["h2", "http/1.1"]}
        if backend is not None:
            tls["backend"] = backend
        service = {"key": "file/web", "addresses": [LOCAL],
                   "ports": [{"port": self.port, "tls": tls,
                              "backends": [{"address": LOCAL, "port": port or self.backend.port}]}]}
        status, body = ask(self.admin, "PUT", "/v1/state",
                           {"schema": "empalme.io/v1", "epoch": 1, "generation": self.generation,
                            "services": [service]})
        expect(status == 200, f"the state is taken: {body}")
        return json.loads(body)["failed"]

    def shake_hands(self, context, name):
        """The certificate's serial number, once an echo has come back."""
        with socket.create_connection((LOCAL, self.port), timeout=10) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with context.wrap_socket(plain, server_hostname=name) as tls:
                tls.sendall(b"hello")
                expect(tls.recv(100) == b"hello", f"{name}: what was said comes back")
                expect(tls.selected_alpn_protocol() == "http/1.1", f"{name}: a protocol is agreed on")
                return int(tls.getpeercert()["serialNumber"], 16)

    def cpu_ms(self):
        """Of all its threads, so far."""
        total = 0
        for path in glob.glob(f"/proc/{self.process.pid}/task/*/schedstat"):
            total += int(pathlib.Path(path).read_text().split()[0])
        return total / 1e6

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Load:
    def __init__(self, rig, names):
        self.rig, self.counts, self.over = rig, collections.Counter(), threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(name,)) for name in names]
        for thread in self.threads:
            thread.start()

    def run(self, name):
        context = self.rig.authority.context()
        while not self.over.is_set():
            try:
                self.rig.shake_hands(context, name)
                self.counts["right"] += 1
            except (OSError, SystemExit) as error:
                self.counts[f"failed: {error}"] += 1

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        return self.counts


def check_many(rig):
    names = [f"name-{i}" for i in range(rig.many)]
    missing = rig.put_state(names)
    expect([each["reason"] for each in missing] == ["CertificateMissing"], f"without any it is not served: {missing}")
    begun = rig.cpu_ms()
    for name in names:
        status, body = rig.put(name, rig.authority.sign(f"{name}.test"))
        expect(status == 200, f"{name} is taken: {body}")
    put = rig.cpu_ms()
    context = rig.authority.context()
    serials = {rig.shake_hands(context, f"{name}.test") for name in names}
    expect(len(serials) == rig.many, "each name has a certificate of its own")
    print(f"{rig.many} names on one port: each client gets the certificate of its name; CPU of a certificate that is "
          f"pushed {(put - begun) / rig.many:.2f} ms, of a connection {(rig.cpu_ms() - put) / rig.many:.2f} ms")


def check_swaps(rig):
    load = Load(rig, ("name-1.test", "name-2.test"))
    context = rig.authority.context()
    for _ in range(20):
        expect(rig.put("name-1", rig.authority.sign("name-1.test"))[0] == 200, "a new certificate is taken")
        serial = rig.shake_hands(context, "name-1.test")
        expect(serial == rig.authority.serial, f"it serves the next client: {serial}")
    counts = load.stop()
    print(f"20 changes of a certificate under load: {dict(counts)}")
    expect(set(counts) == {"right"} and counts["right"] > 50, "no handshake may fail")


def check_refusals(rig):
    good = rig.authority.serial
    wrong = {"CertificateExpired": rig.put("name-1", rig.authority.sign("name-1.test", "-1")),
             "KeyDoesNotFit": rig.put("name-1", (rig.work / "ca.pem").read_text()),
             "KeyUnreadable": rig.put("name-1", rig.authority.sign("name-1.test"), "nonsense"),
             "CertificateUnreadable": rig.put("name-1", "nonsense")}
    for reason, (status, body) in wrong.items():
        expect(status == 422 and json.loads(body)["reason"] == reason, f"{reason}: {status} {body}")
    expect(rig.shake_hands(rig.authority.context(), "name-1.test") == good, "the last good one stays")
    status, body = ask(rig.admin, "DELETE", "/v1/certificates/name-1")
    expect(status == 409, f"one that is in use stays: {body}")
    print(f"refused, and the last good one stays: {', '.join(wrong)}")


def check_restart(rig):
    rig.process.kill()
    rig.process.wait()
    rig.start()
    until(lambda: rig.shake_hands(rig.authority.context(), "name-7.test"), "it serves again by itself")
    print("killed: serves again from what it kept")


def gets_nothing(rig):
    """Its handshake with us is done, and no backend is found for it."""
    with socket.create_connection((LOCAL, rig.port), timeout=10) as plain:
        with rig.authority.context().wrap_socket(plain, server_hostname="name-1.test") as tls:
            try:
                return tls.recv(1) == b""
            except OSError:
                return True


def metric(rig, line):
    found = re.search(f"^{re.escape(line)} (\\d+)$", ask(rig.admin, "GET", "/metrics")[1], re.M)
    return int(found[1]) if found else None


def check_backends(rig):
    secure = SecureEcho(rig.authority, "web.internal")
    terms = {"server_name": "web.internal", "authorities": ["internal-ca"]}
    missing = rig.put_state(["name-1"], terms, secure.port)
    expect([each["reason"] for each in missing] == ["CertificateMissing"], f"not without its authority: {missing}")
    authority = (rig.work / "ca.pem").read_text()
    expect(ask(rig.admin, "PUT", "/v1/certificates/internal-ca", {"certificate": authority})[0] == 200, "it is taken")
    until(lambda: rig.shake_hands(rig.authority.context(), "name-1.test"), "it goes through TLS twice")
    secure.show("elsewhere.internal")
    rig.put_state(["name-1"], dict(terms, server_name="other.internal"), secure.port)
    expect(gets_nothing(rig), "a backend with a wrong name gets no client")
    labels = f'backend="{LOCAL}:{secure.port}",cause="tls"'
    name = f'empalme_backend_connect_failures_total{{service="file/web",port="{rig.port}",protocol="tcp",{labels}}}'
    expect(metric(rig, name) == 1, "that is counted")
    expect(metric(rig, "empalme_dataplane_backend_tls_unverified_total") == 1, "with its cause")
    told = [json.loads(line) for line in (rig.work / "log").read_text().splitlines() if "no TLS with a backend" in line]
    expect([each["reason"] for each in told] == ["hostname mismatch"], f"and told: {told}")
    rig.put_state(["name-1"], {"verify": False}, secure.port)
    expect(rig.shake_hands(rig.authority.context(), "name-1.test"), "without verifying it does")
    print("TLS goes on to a backend that is verified, and to no other")


def check_openssl(rig):
    """What s_server gets it gives back, each line reversed."""
    port = free_port()
    (rig.work / "server.pem").write_text(rig.authority.sign("web.internal") + rig.authority.key)
    for version in ("-tls1_2", "-tls1_3"):
        server = subprocess.Popen(["openssl", "s_server", "-accept", f"{LOCAL}:{port}", "-cert",
                                   rig.work / "server.pem", "-rev", "-quiet", version],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        try:
            # Whom it cannot reach the data plane leaves out for a while.
            until(lambda: socket.create_connection((LOCAL, port)).close() is None, f"s_server {version} listens")
            rig.put_state(["name-1"], {"server_name": "web.internal", "authorities": ["internal-ca"]}, port)
            until(lambda: reversed_by(rig) == b"olleh\n", f"openssl s_server {version} answers")
        finally:
            server.terminate()
            server.wait()
    print("openssl s_server, TLS 1.2 and 1.3, answers behind it")


def reversed_by(rig):
    with socket.create_connection((LOCAL, rig.port), timeout=10) as plain:
        with rig.authority.context().wrap_socket(plain, server_hostname="name-1.test") as tls:
            tls.sendall(b"hello\n")
            return tls.recv(100)


def check_secrets(rig):
    secret = rig.authority.key.splitlines()[2]
    shown = [ask(rig.admin, "GET", target)[1] for target in ("/v1/certificates", "/v1/state", "/v1/status", "/metrics")]
    shown.append((rig.work / "log").read_text())
    shown += [file.read_text(errors="replace") for file in (rig.work / "state").iterdir() if file.is_file()]
    expect(all(secret not in each and "PRIVATE KEY" not in each for each in shown), "no key is shown anywhere")
    modes = {stat.S_IMODE(file.stat().st_mode) for file in rig.keys.iterdir()}
    expect(modes == {0o600} and stat.S_IMODE(rig.keys.stat().st_mode) == 0o700, f"kept for us alone: {modes}")
    found = re.search(r"^empalme_dataplane_tls_handshakes_total (\d+)$", shown[3], re.M)
    expect(found and int(found[1]) > 0, "handshakes are counted")


def main(program, work, many):
    rig = Rig(program, work, many)
    rig.start()
    try:
        check_many(rig)
        check_swaps(rig)
        check_refusals(rig)
        check_restart(rig)
        check_backends(rig)
        check_openssl(rig)
        check_secrets(rig)
    except BaseException:
        print((work / "log").read_text()[-3000:], file=sys.stderr)
        raise
    finally:
        rig.stop()
        subprocess.run(["rm", "-r", rig.keys.parent], check=False)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(folder), int(sys.argv[2]) if len(sys.argv) > 2 else 100)
