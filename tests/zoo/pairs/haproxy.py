"""A balancer behind ours, as an ingress is: haproxy with curl, told the client's address."""

from __future__ import annotations

from pathlib import Path

from lib.listening import is_listening
from lib.pair import Endpoint, Pair, must_equal
from lib.payload import MEBIBYTE, digest, payload
from lib.processes import Program, await_true, run
from lib.session import Session, at_least

# What it serves comes from a server of its own behind it, on the port above.
CONFIG = """
global
  maxconn 100
defaults
  mode http
  timeout client 20s
  timeout server 20s
  timeout connect 2s
frontend in
  bind {at}{accept}
  http-request return status 200 content-type text/plain lf-string "%[src]" if {{ path /seen }}
  default_backend files
backend files
  server one {at.host}:{files}
"""


class Haproxy(Pair):
    packages = ["haproxy", "curl", "python3"]
    programs = ["haproxy", "curl"]
    accepts_proxy = True
    lost_codes = frozenset({18, 56})

    def prepare(self) -> None:
        (self.folder / "www").mkdir()
        (self.folder / "www/big").write_bytes(payload(32 * MEBIBYTE))

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        files = at.port + 100
        config = folder / "haproxy.cfg"
        config.write_text(CONFIG.format(at=at, files=files,
                                        accept=" accept-proxy" if proxy else ""))
        behind = Program([
            "/usr/bin/python3", "-m", "http.server",
            str(files), "--bind", at.host, "--directory", self.folder / "www"
        ],
                         folder,
                         name="files")
        await_true("the server behind haproxy listens",
                   lambda: is_listening(Endpoint(at.host, files), "tcp"))
        return [behind, Program(["haproxy", "-db", "-f", config], folder)]

    def check(self, at: Endpoint, folder: Path) -> str:
        got = run(["curl", "-sSf", f"http://{at}/big"], folder)
        must_equal("download", digest(got), digest(self.folder / "www/big"))
        return digest(got)

    def check_client_seen(self, at: Endpoint, folder: Path) -> None:
        seen = run(["curl", "-sSf", "--interface", "127.0.0.77", f"http://{at}/seen"], folder)
        must_equal("client's address", seen.decode().strip(), "127.0.0.77")

    def session(self, at: Endpoint, folder: Path) -> Session:
        return Session(["curl", "-sSf", f"http://{at}/big"], folder, ready=at_least(MEBIBYTE))
