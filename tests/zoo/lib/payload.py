"""Bytes that every server of a pair holds alike, and how results are compared."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

MEBIBYTE = 1 << 20


def payload(size: int, seed: int = 20) -> bytes:
    """Bytes that do not compress, the same in every run, so that a wrong sum is found again."""
    return random.Random(seed).randbytes(size)


def words(count: int, seed: int = 20) -> list[str]:
    """Lines for protocols of text: no character that one of them could mistake for syntax."""
    generator = random.Random(seed)
    return [f"{generator.getrandbits(160):040x}" for _ in range(count)]


def digest(*parts: bytes | str | Path) -> str:
    """One SHA-256 over all parts; a Path stands for what the file holds."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            part = part.read_bytes()
        elif isinstance(part, str):
            part = part.encode()
        total.update(part)
    return total.hexdigest()
