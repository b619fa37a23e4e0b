"""HTTP/2 over TLS, negotiated by ALPN; the certificate is checked."""

from __future__ import annotations

from pathlib import Path

from pairs._http2 import Http2


class Http2Tls(Http2):
    scheme = "https"

    def server_tls(self) -> tuple[list[str | Path], list[str | Path]]:
        return [], [self.key, self.certificate]

    def client_tls(self) -> list[str | Path]:
        return ["--http2", "--cacert", self.certificate]
