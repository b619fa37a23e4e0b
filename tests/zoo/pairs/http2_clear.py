"""HTTP/2 without TLS, with prior knowledge (h2c)."""

from __future__ import annotations

from pathlib import Path

from pairs._http2 import Http2


class Http2Clear(Http2):
    scheme = "http"

    def server_tls(self) -> tuple[list[str | Path], list[str | Path]]:
        return ["--no-tls"], []

    def client_tls(self) -> list[str | Path]:
        return ["--http2-prior-knowledge"]
