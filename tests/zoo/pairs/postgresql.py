"""PostgreSQL: psql and pgbench; the session is a transaction with a temporary table."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint, Pair
from lib.payload import digest
from lib.processes import USER, Broken, Program, await_true, run
from lib.session import Session, says

ROWS = "create table rows as select i, md5(i::text) as sum from generate_series(1, 20000) i;"


class Postgresql(Pair):
    packages = ["postgresql"]
    programs = ["postgres", "initdb", "psql", "pgbench", "pg_isready"]

    def prepare(self) -> None:
        run([
            "initdb", "-D", self.folder / "template", "-A", "trust", "-U", USER, "--no-sync",
            "--no-locale", "-E", "UTF8"
        ], self.folder)

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        run(["cp", "-a", self.folder / "template", folder / "data"], folder)
        return [
            Program([
                "postgres", "-D", folder / "data", "-h", at.host, "-p",
                str(at.port), "-k", folder, "-F", "-c", "shared_buffers=16MB", "-c",
                "autovacuum=off"
            ], folder)
        ]

    def fill(self, at: Endpoint, folder: Path) -> None:
        await_true(
            "PostgreSQL is ready", lambda: b"accepting" in run(
                ["pg_isready", "-h", at.host, "-p", str(at.port)], folder, codes=[0, 1, 2]))
        run(self._psql(at, "-c", ROWS), folder)
        run(["pgbench", *self._to(at), "-i", "-q", "-I", "dtGp", "postgres"], folder)

    def check(self, at: Endpoint, folder: Path) -> str:
        rows = run(self._psql(at, "-c", "copy (select * from rows order by i) to stdout"), folder)
        bench = run(["pgbench", *self._to(at), "-n", "-c", "4", "-t", "25", "postgres"], folder)
        if b"actually processed: 100/100" not in bench:
            raise Broken(f"pgbench: {bench.decode()[-300:]}")
        return digest(rows)

    def session(self, at: Endpoint, folder: Path) -> Session:
        return Session(
            self._psql(at),
            folder,
            opening=b"begin; create temp table mine as select 41 as n; select 'under way';\n",
            ready=says(b"under way"),
            closing=b"update mine set n = n + 1; select n from mine;"
            b" select * from rows order by i; commit;\n")

    def _psql(self, at: Endpoint, *arguments: str) -> list[str]:
        return [
            "psql", *self._to(at), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d",
            "postgres", *arguments
        ]

    def _to(self, at: Endpoint) -> list[str]:
        return ["-h", at.host, "-p", str(at.port), "-U", USER]
