"""OpenSSH: a command, scp and sftp of 32 MiB."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint, Pair, must_equal
from lib.payload import MEBIBYTE, digest, payload
from lib.processes import USER, Program, run
from lib.session import Session, at_least

CONFIG = """
ListenAddress {at.host}
Port {at.port}
HostKey {shared}/host
AuthorizedKeysFile {shared}/client.pub
PidFile none
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
"""


class Ssh(Pair):
    packages = ["openssh-server", "openssh-client"]
    programs = ["sshd", "ssh", "scp", "sftp", "ssh-keygen"]

    def prepare(self) -> None:
        for key in ("host", "client"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / key],
                self.folder)
        (self.folder / "big").write_bytes(payload(32 * MEBIBYTE))

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        config = folder / "sshd_config"
        config.write_text(CONFIG.format(at=at, shared=self.folder))
        return [Program(["/usr/sbin/sshd", "-D", "-e", "-f", config], folder)]

    def check(self, at: Endpoint, folder: Path) -> str:
        said = run(["ssh", *self._options("-p", at), f"{USER}@{at.host}", "echo served; exit 7"],
                   folder,
                   codes=[7])
        run([
            "scp", *self._options("-P", at), f"{USER}@{at.host}:{self.folder}/big", folder / "scp"
        ], folder)
        run([
            "sftp", *self._options("-P", at), f"{USER}@{at.host}:{self.folder}/big", folder / "sftp"
        ], folder)
        for name in ("scp", "sftp"):
            must_equal(name, digest(folder / name), digest(self.folder / "big"))
        return digest(said, folder / "scp", folder / "sftp")

    def session(self, at: Endpoint, folder: Path) -> Session:
        return Session(
            ["ssh", *self._options("-p", at), f"{USER}@{at.host}", f"cat {self.folder}/big"],
            folder,
            ready=at_least(MEBIBYTE))

    def _options(self, port_flag: str, at: Endpoint) -> list[str]:
        settings = {
            "IdentityFile": self.folder / "client",
            "UserKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "no",
            "LogLevel": "INFO",
            "BatchMode": "yes"
        }
        return [
            "-F", "none", port_flag,
            str(at.port), *(f"-o{name}={value}" for name, value in settings.items())
        ]
