"""HTTP/2 with nghttpd, h2load and curl, with and without TLS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lib.certificate import HOST, make_certificate
from lib.pair import Endpoint, Pair, must_equal
from lib.payload import MEBIBYTE, digest, payload
from lib.processes import Broken, Program, run
from lib.session import Session, at_least


class Http2(Pair):
    """Both kinds differ in what server and curl are told about TLS."""

    packages = ["nghttp2-server", "nghttp2-client", "curl", "openssl"]
    programs = ["nghttpd", "h2load", "curl", "openssl"]
    scheme = ""
    lost_codes = frozenset({18, 56, 92})

    def prepare(self) -> None:
        www = self.folder / "www"
        www.mkdir()
        (www / "big").write_bytes(payload(32 * MEBIBYTE))
        (www / "small").write_bytes(payload(1000))
        self.certificate, self.key = make_certificate(self.folder)

    def server_tls(self) -> tuple[Sequence[str | Path], Sequence[str | Path]]:
        """Options and operands that nghttpd gets."""
        raise NotImplementedError

    def client_tls(self) -> Sequence[str | Path]:
        """Options that curl gets."""
        raise NotImplementedError

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        options, operands = self.server_tls()
        return [
            Program([
                "nghttpd", f"--address={at.host}", "-d", self.folder / "www", *options,
                str(at.port), *operands
            ], folder)
        ]

    def check(self, at: Endpoint, folder: Path) -> str:
        big = run(self._curl(at, "big"), folder)
        must_equal("download", digest(big), digest(self.folder / "www/big"))
        load = run(["h2load", "-n", "1000", "-c", "5", "-m", "20", f"{self.scheme}://{at}/small"],
                   folder)
        if b"1000 succeeded, 0 failed" not in load:
            raise Broken(f"h2load: {load.decode()[-400:]}")
        return digest(big)

    def session(self, at: Endpoint, folder: Path) -> Session:
        return Session(self._curl(at, "big"), folder, ready=at_least(MEBIBYTE))

    def _curl(self, at: Endpoint, path: str) -> list[str | Path]:
        return [
            "curl", "-sSf", *self.client_tls(), "--resolve", f"{HOST}:{at.port}:{at.host}",
            f"{self.scheme}://{HOST}:{at.port}/{path}"
        ]
