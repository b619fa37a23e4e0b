"""What goes wrong during the soak, one thing each few 100 ms, all of it from one seed.

At any time at most one backend of the crowd's is dead and one is stopped or drained, and one more is ready,
so that a data plane that retries has somewhere to go.
"""
import os
import signal
import subprocess
import sys
import threading
import time

import backend as backend_program

import wire

MAIN, STEADY, EXTRA = "file/main", "file/steady", "file/extra"
PROXIED, DATAGRAMS = "file/proxied", "file/datagrams"
KINDS = ["flap", "flap_steady", "kill", "stall", "few_descriptors", "extra", "put_again",
         "drain"]
WEIGHTS = [40, 10, 15, 12, 4, 10, 9, 8]


class Backend:
    """One address:port and, life after life, the process that listens there."""

    def __init__(self, number, address, port, log):
        self.number, self.address, self.port, self.log = number, address, port, log
        self.life = 0
        self.process = None

    def start(self):
        self.life += 1
        self.process = subprocess.Popen(
            [sys.executable, backend_program.__file__, self.address, str(self.port),
             str(self.number), str(self.life), self.log], stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            raise OSError(f"backend {self.number} does not listen")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def document(self, state="ready", port=0):
        return {"address": self.address, "port": self.port + port, "state": state}


class Storm:
    def __init__(self, dataplane, address, crowd, steady, chance):
        self.dataplane, self.address = dataplane, address
        self.crowd, self.steady, self.chance = crowd, steady, chance
        self.events = []
        self.counts = dict.fromkeys(KINDS, 0)
        self.stalled = self.dead = self.drained = None
        self.absence = None
        self.timers = []

    # What is there before and after every storm.
    def services(self):
        return [self.service(MAIN, 7000, [b.document() for b in self.crowd]),
                self.service(STEADY, 7001, [b.document() for b in self.steady]),
                self.service(EXTRA, 7002, [b.document() for b in self.crowd]),
                self.proxied(), self.datagrams()]

    def service(self, key, port, backends, protocol="tcp", policy=None):
        return {"key": key, "addresses": [self.address], "policy": policy or {},
                "ports": [{"port": port, "protocol": protocol, "backends": backends}]}

    # Trusts the header of whoever is on this machine, and writes its own to the backends.
    def proxied(self, states=None):
        backends = self.disturbed(states, wire.PROXIED_PORT)
        return self.service(PROXIED, 7003, backends, policy={
            "proxy_protocol": "v2", "accept_proxy_from": ["127.0.0.0/8"]})

    # On the number of a TCP service.
    def datagrams(self, states=None):
        return self.service(DATAGRAMS, 7000, self.disturbed(states), "udp", {"udp_idle_s": 2})

    def disturbed(self, states=None, port=0):
        states = states or ["ready"] * len(self.crowd)
        return [b.document(state, port) for b, state in zip(self.crowd, states) if state != "gone"]

    def rage(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.dataplane.alive():
            kind = self.chance.choices(KINDS, WEIGHTS)[0]
            self.counts[kind] += 1
            getattr(self, kind)()
            time.sleep(self.chance.uniform(0.1, 0.4))
        self.calm()

    def calm(self):
        for timer in self.timers:
            timer.join()
        self.timers.clear()
        self.dataplane.limit_descriptors(None)
        self.dataplane.put(self.services())
        if self.absence:
            self.absence["end"] = time.monotonic()
            self.absence = None

    def later(self, seconds, action):
        timer = threading.Timer(seconds, action)
        timer.start()
        self.timers = [t for t in self.timers if t.is_alive()] + [timer]

    # At least three of the crowd stay ready, whichever two are dead or stopped at that time.
    def flap(self):
        disturbed = self.chance.sample(self.crowd, len(self.crowd) - 3)
        states = ["ready" if one not in disturbed else
                  self.chance.choice(["ready", "draining", "not_ready", "gone"])
                  for one in self.crowd]
        self.dataplane.patch([self.service(MAIN, 7000, self.disturbed(states)),
                              self.proxied(states), self.datagrams(states)])

    # The service stays, and so must each connection; only who gets new ones changes.
    def flap_steady(self):
        states = ["ready", self.chance.choice(["ready", "draining", "not_ready"])]
        self.chance.shuffle(states)
        self.dataplane.patch([self.service(STEADY, 7001, [
            b.document(state) for b, state in zip(self.steady, states)])])

    def kill(self):
        if self.dead is not None:
            return
        self.dead = self.chance.choice([b for b in self.crowd if b is not self.stalled])
        victim = self.dead
        event = {"kind": "kill", "backend": [victim.number, victim.life],
                 "begin": time.monotonic(), "end": None}
        self.events.append(event)
        victim.kill()
        event["end"] = time.monotonic()  # on a busy machine it takes a process a while to die
        self.later(self.chance.uniform(0.1, 1.5), self.revive)

    def revive(self):
        self.dead.start()
        self.dead = None

    def stall(self):
        if self.stalled is not None or self.drained is not None:
            return
        alive = [b for b in self.crowd + self.steady if b is not self.dead]
        self.stalled = self.chance.choice(alive)
        os.kill(self.stalled.process.pid, signal.SIGSTOP)
        self.later(self.chance.uniform(0.1, 2), self.resume)

    def resume(self):
        os.kill(self.stalled.process.pid, signal.SIGCONT)
        self.stalled = None

    # An operator's: what is there stays, and nothing new comes.
    def drain(self):
        if self.stalled is not None or self.drained is not None:
            return
        self.drained = self.chance.choice([b for b in self.crowd if b is not self.dead])
        self.dataplane.drain("POST", self.drained)
        self.later(self.chance.uniform(0.1, 2), self.undrain)

    def undrain(self):
        self.dataplane.drain("DELETE", self.drained)
        self.drained = None

    def few_descriptors(self):
        event = {"kind": "few_descriptors", "begin": time.monotonic(), "end": None}
        self.events.append(event)
        self.dataplane.limit_descriptors(self.chance.randrange(-4, 8))
        time.sleep(self.chance.uniform(0.05, 0.4))
        self.dataplane.limit_descriptors(None)
        event["end"] = time.monotonic()

    def extra(self):
        if self.absence:
            self.dataplane.patch([self.services()[2]])
            self.absence["end"] = time.monotonic()
            self.absence = None
            return
        self.absence = {"kind": "absent", "service": EXTRA, "begin": time.monotonic(), "end": None}
        self.events.append(self.absence)
        self.dataplane.patch(removed=[EXTRA])

    # The whole document once more, as a controller that has restarted sends it.
    def put_again(self):
        services = self.services()
        self.dataplane.put([s for s in services if not self.absence or s["key"] != EXTRA])

    def end(self):
        for timer in self.timers:
            timer.join()
        for one in self.crowd + self.steady:
            if one.process:
                one.kill()
