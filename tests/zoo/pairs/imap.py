"""IMAP: dovecot with curl; the session is a mailbox that stays selected."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint, Pair, must_equal
from lib.payload import digest, words
from lib.processes import USER, Program, run
from lib.session import Session, says

MAILS = 20
CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = /dev/stderr
protocols = imap
listen = {at.host}
ssl = no
disable_plaintext_auth = no
default_internal_user = {user}
default_internal_group = {user}
default_login_user = {user}
default_vsz_limit = 0
mail_location = maildir:{folder}/mail
haproxy_trusted_networks = 127.0.0.0/8
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {at.port}
    haproxy = {proxy}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
passdb {{
  driver = static
  args = password=zoo
}}
userdb {{
  driver = static
  args = uid={user} gid={user} home={folder}
}}
"""


class Imap(Pair):
    packages = ["dovecot-imapd", "curl"]
    programs = ["dovecot", "curl"]
    accepts_proxy = True

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        run(["mkdir", "-p", folder / "mail/new", folder / "mail/cur", folder / "mail/tmp"], folder)
        for number in range(MAILS):
            (folder / f"mail/new/{number:03}.zoo").write_bytes(self._mail(number))
        config = folder / "dovecot.conf"
        config.write_text(
            CONFIG.format(folder=folder, at=at, user=USER, proxy="yes" if proxy else "no"))
        return [Program(["dovecot", "-F", "-c", config], folder)]

    def check(self, at: Endpoint, folder: Path) -> str:
        uids = range(1, MAILS + 1)
        got = [
            run(["curl", "-sSf", "-u", "one:zoo", f"imap://{at}/INBOX;UID={uid}"], folder)
            for uid in uids
        ]
        must_equal("mails", digest(*got), digest(*map(self._mail, range(MAILS))))
        return digest(*got)

    def session(self, at: Endpoint, folder: Path) -> Session:
        return Session([
            "/usr/bin/python3", self.folder.parent / "programs/imap_client.py", at.host,
            str(at.port)
        ],
                       folder,
                       ready=says(b"under way\n"),
                       closing=b"go on\n")

    @staticmethod
    def _mail(number: int) -> bytes:
        return "\r\n".join(
            [f"Subject: {number}", "From: one@zoo.test", "", *words(200, seed=number),
             ""]).encode()
