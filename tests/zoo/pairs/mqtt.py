"""MQTT with mosquitto: messages that wait, and a subscriber that stays."""

from __future__ import annotations

from pathlib import Path

from lib.gate import Gate
from lib.pair import Endpoint, Pair, must_equal
from lib.payload import digest, words
from lib.processes import Program, run
from lib.session import Session, says

# Publishes until the gate shuts again: a subscriber that has to find another broker first misses
# what was said before, and that is the protocol's way.
PUBLISHER = """while [ ! -e {gate} ]; do
  mosquitto_pub -h {at.host} -p {at.port} -t live -m news
  sleep 0.1
done"""


class Mqtt(Pair):
    packages = ["mosquitto", "mosquitto-clients"]
    programs = ["mosquitto", "mosquitto_pub", "mosquitto_sub"]
    reconnects = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._gate = Gate(folder)
        self._brokers: list[Endpoint] = []

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        (folder /
         "mosquitto.conf").write_text(f"listener {at.port} {at.host}\nallow_anonymous true\n")
        self._brokers.append(at)
        return [Program(["mosquitto", "-c", folder / "mosquitto.conf"], folder)]

    def check(self, at: Endpoint, folder: Path) -> str:
        messages = words(100)
        to = ["-h", at.host, "-p", str(at.port), "-q", "1"]
        run(["mosquitto_pub", *to, "-t", "kept/lines", "-l"],
            folder,
            stdin="\n".join(messages).encode())
        for number, word in enumerate(messages[:5]):
            run(["mosquitto_pub", *to, "-t", f"kept/{number}", "-r", "-m", word], folder)
        got = run(["mosquitto_sub", *to, "-t", "kept/+", "-C", "5", "-W", "10"],
                  folder).decode().split()
        must_equal("retained messages", sorted(got), sorted(messages[:5]))
        return digest(*sorted(got))

    def session(self, at: Endpoint, folder: Path) -> Session:
        self._gate.shut()
        return Session([
            "stdbuf", "-oL", "mosquitto_sub", "-h", at.host, "-p",
            str(at.port), "-t", "live", "-C", "3", "-d"
        ],
                       folder,
                       ready=says(b"SUBACK"),
                       closing=lambda: self._publish(folder),
                       result=lambda output: str(output.split(b"\n").count(b"news")))

    def _publish(self, folder: Path) -> None:
        self._gate.open()
        for at in self._brokers:
            Program(["sh", "-c", PUBLISHER.format(gate=self._gate.path, at=at)],
                    folder,
                    name="publisher")
