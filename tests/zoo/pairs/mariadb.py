"""MariaDB: its own client; the session is a transaction with a temporary table."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint, Pair, must_equal
from lib.payload import digest, words
from lib.processes import Program, run
from lib.session import Session, says

SCHEMA = """create user zoo@'%' identified by 'zoo';
create database zoo;
grant all on zoo.* to zoo@'%';
use zoo;
create table kept (i int primary key auto_increment, word char(40));
"""


class Mariadb(Pair):
    packages = ["mariadb-server-core", "mariadb-client-core"]
    programs = ["mariadbd", "mariadb-install-db", "mariadb"]
    accepts_proxy = True

    def prepare(self) -> None:
        run([
            "mariadb-install-db", "--no-defaults", f"--datadir={self.folder}/template",
            "--skip-test-db", "--auth-root-authentication-method=normal",
            "--innodb-log-file-size=4M"
        ], self.folder)
        rows = "".join(f"insert into kept (word) values ('{word}');\n" for word in self._words())
        (self.folder / "fill.sql").write_text(f"{SCHEMA}begin;\n{rows}commit;\n")

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        run(["cp", "-a", self.folder / "template", folder / "data"], folder)
        init = f"--init-file={self.folder}/fill.sql"
        return [
            Program([
                "mariadbd", "--no-defaults", f"--datadir={folder}/data",
                f"--bind-address={at.host}", f"--port={at.port}", f"--socket={folder}/socket",
                f"--pid-file={folder}/pid", "--skip-name-resolve", "--innodb-buffer-pool-size=8M",
                "--innodb-log-file-size=4M", "--innodb-flush-method=nosync", "--skip-log-bin",
                "--performance-schema=off", init,
                *(["--proxy-protocol-networks=127.0.0.0/8"] if proxy else [])
            ], folder)
        ]

    def check(self, at: Endpoint, folder: Path) -> str:
        rows = run(self._client(at, "-e", "select word from kept order by i"), folder)
        must_equal("rows", rows.decode().split(), self._words())
        return digest(rows)

    def session(self, at: Endpoint, folder: Path) -> Session:
        return Session(
            self._client(at),
            folder,
            opening=b"begin; create temporary table mine select 41 as n; select 'under way';\n",
            ready=says(b"under way"),
            closing=b"update mine set n = n + 1; select n from mine;"
            b" select word from kept order by i; commit;\n")

    def _client(self, at: Endpoint, *arguments: str) -> list[str]:
        return [
            "mariadb", "--no-defaults", "-h", at.host, "-P",
            str(at.port), "-uzoo", "-pzoo", "--batch", "--skip-column-names", "--unbuffered",
            "--skip-reconnect", "zoo", *arguments
        ]

    @staticmethod
    def _words() -> list[str]:
        return words(2000)
