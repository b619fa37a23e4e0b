#!/usr/bin/env python3
"""Certificates of a configuration file, rotated on disk while clients connect: rotates_certificates.py BUILD_FOLDER

Both programs, and real clients. Each way of replacing a certificate is followed in time, without a
change of the state and without touching a connection; a bad one leaves the last good one in use and
says so; a data plane that is killed and loses all gets them again, a controller that restarts pushes
nothing; what nobody names is taken away; and no key shows anywhere. Prints what it found."""
import http.client
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

LOCAL = "127.0.0.1"
KEY = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


def expect(truth, what):
    if not truth:
        raise SystemExit(f"FAILED: {what}")


def until(holds, what, seconds=15.0):
    """How long it took."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if holds():
            return time.monotonic() - begun
        time.sleep(0.002)
    raise SystemExit(f"FAILED: not within {seconds} s: {what}")


class Made:
    """A key and its certificate, new each time."""

    count = 0

    def __init__(self, folder):
        Made.count += 1
        name = f"c{Made.count}.test"
        subprocess.run([*KEY, "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout",
                        folder / "k", "-out", folder / "c"], check=True, capture_output=True)
        self.key, self.chain = (folder / "k").read_text(), (folder / "c").read_text()
        self.both = self.chain + self.key
        self.der = ssl.PEM_cert_to_DER_cert(self.chain)


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


def get(path, target):
    try:
        connection = Unix(path)
        connection.request("GET", target)
        return connection.getresponse().read().decode()
    except OSError:
        return ""


def serve_echo():
    listener = socket.create_server((LOCAL, 0), backlog=128)

    def echo(client):
        try:
            with client:
                while data := client.recv(4096):
                    client.sendall(data)
        except OSError:
            pass

    def accept():
        while True:
            threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def free_port():
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        return probe.getsockname()[1]


def connect(port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection((LOCAL, port), timeout=5))


def shown(port):
    """The certificate that a new client is shown; empty: none."""
    try:
        with connect(port) as client:
            return client.getpeercert(binary_form=True)
    except OSError:
        return b""


class Programs:
    def __init__(self, build, work):
        self.build, self.work = build, work
        self.dataplane_admin, self.controller_admin = work / "dp.sock", work / "c.sock"
        self.log = open(work / "log", "ab")
        self.dataplane = self.controller = None

    def start(self, name, *flags):
        return subprocess.Popen([self.build / name, *flags], stderr=self.log, stdout=self.log)

    def start_dataplane(self):
        # Nothing is left of the keys of the one before, which keeps them beside its socket.
        for kept in self.work.glob("*.keys"):
            shutil.rmtree(kept)
        self.dataplane = self.start("empalme-dataplane", "--admin", f"unix:{self.dataplane_admin}")

    def start_controller(self):
        self.controller = self.start("empalme-controller", "--source", f"file:{self.work}/lb.yaml", "--dataplane",
                                     f"unix:{self.dataplane_admin}", "--admin", f"unix:{self.controller_admin}")

    def metric(self, name):
        """Of the controller; nothing while it is away."""
        rows = [row for row in get(self.controller_admin, "/metrics").splitlines()
                if row.startswith("empalme_controller_" + name)]
        return float(rows[0].rsplit(" ", 1)[1]) if rows else None

    def held(self):
        return json.loads(get(self.dataplane_admin, "/v1/certificates") or '{"certificates":[]}')["certificates"]

    def generation(self):
        return json.loads(get(self.dataplane_admin, "/v1/status"))["generation"]

    def explained(self):
        return get(self.controller_admin, "/v1/explain?service=web")

    def end(self):
        for each in (self.controller, self.dataplane):
            if each is not None:
                each.kill()
                each.wait()


def swap_link(link, target):
    os.symlink(target, f"{link}.new")
    os.replace(f"{link}.new", link)


class Rotations:
    """Every way of putting another certificate where the file says one is."""

    def __init__(self, work):
        self.folder = work / "tls"
        (self.folder / "v0").mkdir(parents=True)
        os.symlink("v0", self.folder / "..data")
        os.symlink("..data/web.pem", self.folder / "web.pem")
        self.version = 0
        self.path = self.folder / "web.pem"

    def mount(self, text):
        """As the kubelet does it: a new folder, and a link that is swapped."""
        self.version += 1
        folder = self.folder / f"v{self.version}"
        folder.mkdir()
        (folder / "web.pem").write_text(text)
        swap_link(self.folder / "..data", folder.name)

    def rewrite(self, text):
        with open(self.path, "r+", encoding="ascii") as file:
            file.write(text)
            file.truncate()

    def rename(self, text):
        (self.folder / "new").write_text(text)
        os.replace(self.folder / "new", os.path.realpath(self.path))


def rotate(programs, rotations, port, work, seen):
    took = []
    before = programs.generation()
    with connect(port) as old:
        for way in (rotations.mount, rotations.rewrite, rotations.rename) * 3:
            made = Made(work)
            seen.append(made)
            way(made.both)
            took.append(until(lambda m=made: shown(port) == m.der, f"a certificate replaced by {way.__name__}"))
        old.sendall(b"still here")
        expect(old.recv(64) == b"still here", "a connection outlives every rotation")
    expect(programs.generation() == before, "the state is what it was")
    expect(min(took) < 0.1, f"a certificate is in use within 100 ms: {took}")
    return took


def break_and_mend(programs, rotations, port, work, seen):
    rotations.rename(Made(work).chain + seen[-1].key)
    until(lambda: "KeyDoesNotFit" in programs.explained(), "a rotation that does not fit is explained")
    expect(programs.metric("file_certificates_kept") == 1, "and counted")
    expect(shown(port) == seen[-1].der, "the last good one is shown")
    seen.append(Made(work))
    rotations.rename(seen[-1].both)
    until(lambda: shown(port) == seen[-1].der, "a good one after a bad one")
    until(lambda: programs.metric("file_certificates_kept") == 0, "nothing is wrong any more")


def restart_both(programs, port, seen):
    programs.dataplane.kill()
    programs.dataplane.wait()
    programs.start_dataplane()
    until(lambda: shown(port) == seen[-1].der, "a data plane that lost everything gets it again")
    programs.controller.kill()
    programs.controller.wait()
    programs.start_controller()
    until(lambda: programs.metric("acknowledged_total"), "the controller publishes again")
    expect(programs.metric("certificates_pushed_total") == 0, "what is there is not pushed again")


def main():
    build = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        programs, rotations = Programs(build, work), Rotations(work)
        port, backend = free_port(), serve_echo()
        config = f"services:\n- name: web\n  listen: {LOCAL}:{port}\n  backends: {LOCAL}:{backend}\n"
        (work / "lb.yaml").write_text(config + "  tls: {certificates: tls/web.pem}\n")
        seen = [Made(work)]
        rotations.mount(seen[0].both)
        try:
            programs.start_dataplane()
            programs.start_controller()
            until(lambda: shown(port) == seen[0].der, "the first certificate")
            took = rotate(programs, rotations, port, work, seen)
            break_and_mend(programs, rotations, port, work, seen)
            restart_both(programs, port, seen)
            (work / "lb.yaml").write_text(config)
            until(lambda: not programs.held(), "what nobody names is taken away")
            told = programs.explained() + get(programs.controller_admin, "/metrics") + (work / "log").read_text()
        except SystemExit:
            print((work / "log").read_text()[-4000:])
            raise
        finally:
            programs.end()
        secrets = [line for made in seen for line in made.key.splitlines() if not line.startswith("-")]
        expect(not any(secret in told for secret in secrets), "no key shows anywhere")
        worst, best = max(took) * 1000, min(took) * 1000
        print(f"{len(seen)} certificates in use one after another, each within {worst:.0f} ms, the best {best:.0f} ms")


if __name__ == "__main__":
    main()
