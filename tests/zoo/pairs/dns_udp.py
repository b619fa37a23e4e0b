"""DNS over UDP, as soon as the data plane serves it."""

from __future__ import annotations

from pairs._dns import Dns


class DnsUdp(Dns):
    transport = "+notcp"
    protocol = "udp"
    not_applicable = {
        "drained": "a question and its answer are no session",
        "killed": "a question and its answer are no session",
        "proxy_v2": "there is no stream to put the header before"
    }
