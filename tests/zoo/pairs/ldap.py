"""LDAP: slapd with ldapsearch, which in its session asks one filter after another."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint, Pair, must_equal
from lib.payload import digest, words
from lib.processes import Program, run
from lib.session import Session, says

CONFIG = """
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
sizelimit unlimited
database mdb
suffix dc=zoo
directory {folder}/db
maxsize 67108864
dbnosync
access to * by * read
"""
ENTRY = """dn: cn={number},dc=zoo
objectClass: applicationProcess
cn: {number}
description: {word}

"""


class Ldap(Pair):
    packages = ["slapd", "ldap-utils"]
    programs = ["slapd", "slapadd", "ldapsearch"]
    accepts_proxy = True

    def prepare(self) -> None:
        entries = "".join(
            ENTRY.format(number=number, word=word) for number, word in enumerate(words(2000)))
        root = "dn: dc=zoo\nobjectClass: dcObject\nobjectClass: organization\ndc: zoo\no: zoo\n\n"
        (self.folder / "entries.ldif").write_text(root + entries)

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        config = folder / "slapd.conf"
        config.write_text(CONFIG.format(folder=folder))
        run(["mkdir", folder / "db"], folder)
        run(["slapadd", "-q", "-f", config, "-l", self.folder / "entries.ldif"], folder)
        scheme = "pldap" if proxy else "ldap"
        return [Program(["slapd", "-d", "0", "-f", config, "-h", f"{scheme}://{at}"], folder)]

    def check(self, at: Endpoint, folder: Path) -> str:
        got = run([*self._search(at), "(description=*)", "description"], folder).decode()
        sums = [
            line.split(": ")[1] for line in got.splitlines() if line.startswith("description: ")
        ]
        must_equal("descriptions", sorted(sums), sorted(words(2000)))
        return digest(*sorted(sums))

    def session(self, at: Endpoint, folder: Path) -> Session:
        rest = "".join(f"{number}\n" for number in range(1, 300))
        return Session(["stdbuf", "-oL", *self._search(at), "-f", "-", "(cn=%s)"],
                       folder,
                       opening=b"0\n",
                       ready=says(words(1)[0].encode()),
                       closing=rest.encode())

    @staticmethod
    def _search(at: Endpoint) -> list[str]:
        return [
            "ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", f"ldap://{at}", "-b", "dc=zoo"
        ]
