"""HTTP/1.1: nginx and curl; the session is a download whose reader pauses."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint, Pair, must_equal
from lib.payload import MEBIBYTE, digest, payload
from lib.processes import Program, run
from lib.session import Session, at_least

CONFIG = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  server {{
    listen {at.host}:{at.port}{proxy};
    root {shared}/www;
    location /seen {{ return 200 "$proxy_protocol_addr\\n"; }}
    location /kept/ {{ root {folder}; dav_methods PUT; create_full_put_path on; }}
  }}
}}
"""


class Http1(Pair):
    packages = ["nginx", "curl"]
    programs = ["nginx", "curl"]
    accepts_proxy = True
    lost_codes = frozenset({18, 56, 92})

    def prepare(self) -> None:
        www = self.folder / "www"
        www.mkdir()
        (www / "big").write_bytes(payload(32 * MEBIBYTE))
        (www / "small").write_bytes(payload(1000))

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        config = folder / "nginx.conf"
        config.write_text(
            CONFIG.format(folder=folder,
                          shared=self.folder,
                          at=at,
                          proxy=" proxy_protocol" if proxy else ""))
        return [Program(["nginx", "-c", config, "-e", "stderr"], folder)]

    def check(self, at: Endpoint, folder: Path) -> str:
        big = run(["curl", "-sSf", f"http://{at}/big"], folder)
        must_equal("download", digest(big), digest(self.folder / "www/big"))
        kept = run(["curl", "-sSf", *[f"http://{at}/small"] * 50], folder)
        must_equal("50 requests on a kept connection", digest(kept),
                   digest((self.folder / "www/small").read_bytes() * 50))
        run(["curl", "-sSf", "-T", self.folder / "www/big", f"http://{at}/kept/big"], folder)
        back = run(["curl", "-sSf", f"http://{at}/kept/big"], folder)
        must_equal("upload", digest(back), digest(big))
        return digest(big, kept, back)

    def check_client_seen(self, at: Endpoint, folder: Path) -> None:
        seen = run(["curl", "-sSf", "--interface", "127.0.0.77", f"http://{at}/seen"], folder)
        must_equal("client's address", seen.decode().strip(), "127.0.0.77")

    def session(self, at: Endpoint, folder: Path) -> Session:
        return Session(["curl", "-sSf", f"http://{at}/big"], folder, ready=at_least(MEBIBYTE))
