"""Asks the admin socket all the time, and notes how long the slowest answer took.

It notes as well how late the machine wakes it up: on a busy one, that much of an answer's delay is
not the data plane's.
"""
import threading
import time


class Watch:
    TARGETS = ["/v1/status", "/metrics", "/v1/state", "/healthz"]

    def __init__(self, dataplane):
        self.dataplane = dataplane
        self.asked = 0
        self.slowest = (0.0, "")
        self.latest = 0.0
        self.failures = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self):
        self._ended.set()
        self._thread.join()

    def _run(self):
        while not self._pause(0.1):
            target = self.TARGETS[self.asked % len(self.TARGETS)]
            self.asked += 1
            begin = time.monotonic()
            try:
                self.dataplane.ask("GET", target)
            except OSError as error:
                self.failures.append(f"{target}: {error}")
            self.slowest = max(self.slowest, (time.monotonic() - begin, target))

    def _pause(self, seconds):
        begin = time.monotonic()
        ended = self._ended.wait(seconds)
        self.latest = max(self.latest, time.monotonic() - begin - seconds)
        return ended
