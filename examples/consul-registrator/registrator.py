"""Stands in for Registrator, of which it does what this example needs, by its documentation: containers that start are
registered in Consul by their SERVICE_... variables, and deregistered when they have ended.

    registrator.py -internal|-ip ADDRESS [-retry-attempts N] [-retry-interval MS] consul://HOST:PORT
"""
import argparse
import http.client
import json
import os
import socket
import sys
import time
import urllib.parse
import urllib.request


class Docker(http.client.HTTPConnection):
    """A connection to the daemon's socket."""

    def __init__(self):
        super().__init__("localhost")
        self.path = urllib.parse.urlparse(os.environ.get("DOCKER_HOST", "unix:///tmp/docker.sock")).path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def ask(path):
    connection = Docker()
    connection.request("GET", path)
    answer = connection.getresponse()
    if answer.status != 200:
        raise OSError(f"{path}: {answer.status} {answer.reason}")
    return answer


def metadata_of(container, port):
    """By lower-case names without SERVICE_: what is said for this port goes before what is said for all."""
    said = dict(container["Config"]["Labels"] or {})
    said.update(each.split("=", 1) for each in container["Config"]["Env"] or [] if "=" in each)
    general, own = {}, {}
    for key, value in said.items():
        if not key.startswith("SERVICE_"):
            continue
        name = key[len("SERVICE_"):].lower()
        number, _, rest = name.partition("_")
        if number.isdigit() and rest:
            if number == port:
                own[rest] = value
        else:
            general[name] = value
    return general, own


def places_of(container, options):
    """(the container's port, address, port to register) of what it offers over TCP."""
    out = []
    networks = [each["IPAddress"] for each in container["NetworkSettings"]["Networks"].values() if each["IPAddress"]]
    published = container["NetworkSettings"]["Ports"] or {}
    exposed = set(container["Config"].get("ExposedPorts") or {}) | set(published)
    for each in sorted(exposed):
        port, _, protocol = each.partition("/")
        if protocol != "tcp":
            continue
        if options.internal and networks:
            out.append((port, networks[0], int(port)))
        elif not options.internal and published.get(each):
            out.append((port, options.ip, int(published[each][0]["HostPort"])))
    return out


def check_of(said, address, port):
    if "check_http" in said:
        check = {"HTTP": f"http://{address}:{port}{said['check_http']}"}
    elif "check_tcp" in said:
        check = {"TCP": f"{address}:{port}"}
    else:
        return None
    check["Interval"] = said.get("check_interval", "10s")
    if "check_timeout" in said:
        check["Timeout"] = said["check_timeout"]
    return check


def services_of(container, options):
    places = places_of(container, options)
    for inner, address, port in places:
        general, own = metadata_of(container, inner)
        said = {**general, **own}
        if "ignore" in said:
            continue
        image = container["Config"]["Image"].rsplit("/", 1)[-1].split(":")[0]
        name = said.get("name", image)
        if len(places) > 1 and "name" not in own:
            name += "-" + inner
        service = {"ID": f"{socket.gethostname()}:{container['Name'][1:]}:{inner}", "Name": name, "Address": address,
                   "Port": port, "Tags": [tag for tag in said.get("tags", "").split(",") if tag]}
        check = check_of(said, address, port)
        yield {**service, "Check": check} if check else service


class Registrator:
    def __init__(self, options):
        self.options = options
        self.api = "http://" + urllib.parse.urlparse(options.registry).netloc
        self.services = {}

    def consul(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.api + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer) if method == "GET" else None

    def await_leader(self):
        for _ in range(self.options.retry_attempts + 1):
            try:
                if self.consul("GET", "/v1/status/leader"):
                    return
            except OSError as error:
                print(f"no Consul yet: {error}")
            time.sleep(self.options.retry_interval / 1000)
        sys.exit("no Consul")

    def add(self, identity):
        if identity in self.services:
            return
        try:
            container = json.load(ask(f"/containers/{identity}/json"))
        except OSError as error:
            print(f"not inspected: {error}")
            return
        self.services[identity] = []
        for service in services_of(container, self.options):
            self.consul("PUT", "/v1/agent/service/register", service)
            self.services[identity].append(service["ID"])
            print(f"added: {identity[:12]} {service['ID']} at {service['Address']}:{service['Port']}")

    def remove(self, identity):
        for service in self.services.pop(identity, []):
            self.consul("PUT", "/v1/agent/service/deregister/" + urllib.parse.quote(service, safe=""))
            print(f"removed: {identity[:12]} {service}")

    def run(self):
        self.await_leader()
        filters = urllib.parse.quote(json.dumps({"type": ["container"], "event": ["start", "die"]}))
        events = ask("/events?filters=" + filters)
        for container in json.load(ask("/containers/json")):
            self.add(container["Id"])
        while line := events.readline():
            event = json.loads(line)
            (self.add if event["Action"] == "start" else self.remove)(event["Actor"]["ID"])
        sys.exit("Docker's events have ended")


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("-internal", action="store_true")
    place.add_argument("-ip")
    parser.add_argument("-retry-attempts", type=int, default=0)
    parser.add_argument("-retry-interval", type=int, default=2000)
    parser.add_argument("registry")
    Registrator(parser.parse_args()).run()


if __name__ == "__main__":
    main()
