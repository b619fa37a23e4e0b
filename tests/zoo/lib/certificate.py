"""A certificate for the one name that all TLS servers of the suite share."""

from __future__ import annotations

from pathlib import Path

from lib.processes import run

HOST = "zoo.test"


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Writes cert.pem, its own authority, and key.pem."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    run([
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}",
        "-keyout", key, "-out", certificate
    ], folder)
    return certificate, key
