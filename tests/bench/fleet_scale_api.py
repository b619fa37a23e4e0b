"""A Kubernetes API server as large as a big cluster, and no slower than one: objects and watch lines are
encoded before they are needed. Services get the status that is patched in; EndpointSlices change when
flip() says so. Everything else is unknown (404). One event loop, no threads."""
import asyncio
import json
import re
import urllib.parse

SERVICES = "/api/v1/services"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
NODES = "/api/v1/nodes"
VERSION = b"@VERSION@"


async def read_head(reader):
    """Method, target and length of the body; None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
        return None
    method, target = head.split(b" ", 2)[:2]
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return method.decode(), target.decode(), int(length.group(1)) if length else 0, head


def managed_fields(manager, fields):
    return [{"manager": manager, "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
             "fieldsType": "FieldsV1", "fieldsV1": {name: {".": {}, "f:value": {}} for name in fields}}]


def service(i):
    return {"kind": "Service", "apiVersion": "v1", "metadata": {
                "namespace": "fleet", "name": f"s{i:05}", "uid": f"00000000-0000-4000-8000-{i:012}",
                "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"app": f"s{i:05}"},
                "managedFields": managed_fields("kubectl-create", ["f:ports", "f:selector", "f:type", "f:labels"])},
            "spec": {"type": "LoadBalancer", "loadBalancerClass": "empalme.io/lb", "selector": {"app": f"s{i:05}"},
                     "clusterIP": f"10.96.{i // 250 % 250}.{i % 250 + 1}", "externalTrafficPolicy": "Cluster",
                     "internalTrafficPolicy": "Cluster", "sessionAffinity": "None", "ipFamilies": ["IPv4"],
                     "ipFamilyPolicy": "SingleStack", "allocateLoadBalancerNodePorts": False,
                     "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]},
            "status": {"loadBalancer": {}}}


def endpoint(i, k, count):
    n = i * count + k
    return {"addresses": [f"10.{128 + n // 62500}.{n // 250 % 250}.{n % 250 + 1}"],
            "conditions": {"ready": True, "serving": True, "terminating": False}, "nodeName": f"node-{n % 100}",
            "zone": f"zone-{n % 3}",
            "targetRef": {"kind": "Pod", "namespace": "fleet", "name": f"s{i:05}-7c9f8d5b6-{k:05}",
                          "uid": f"00000000-0000-4000-9000-{n:012}"}}


def endpoint_slice(i, count):
    return {"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "metadata": {
                "namespace": "fleet", "name": f"s{i:05}-abcde", "uid": f"00000000-0000-4000-a000-{i:012}",
                "resourceVersion": VERSION.decode(), "generation": 7, "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"app": f"s{i:05}", "kubernetes.io/service-name": f"s{i:05}",
                           "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": f"s{i:05}", "controller": True,
                                     "uid": f"00000000-0000-4000-8000-{i:012}", "blockOwnerDeletion": True}],
                "managedFields": managed_fields("kube-controller-manager",
                                                ["f:addressType", "f:endpoints", "f:metadata", "f:ports"])},
            "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [endpoint(i, k, count) for k in range(count)]}


class Slices:
    """Every slice with all endpoints ready, and with its first one not ready, as text."""

    def __init__(self, services, endpoints):
        self.texts = []
        for i in range(services):
            thing = endpoint_slice(i, endpoints)
            ready = json.dumps(thing, separators=(",", ":")).encode()
            thing["endpoints"][0]["conditions"] = {"ready": False, "serving": False, "terminating": False}
            self.texts.append((ready, json.dumps(thing, separators=(",", ":")).encode()))
        self.unready = set()

    def text(self, i, version):
        return self.texts[i][i in self.unready].replace(VERSION, str(version).encode())


class Api:
    def __init__(self, services, endpoints):
        self.version = 100
        self.services = {f"s{i:05}": service(i) for i in range(services)}
        self.slices = Slices(services, endpoints)
        self.watches = {SERVICES: [], SLICES: [], NODES: []}
        self.with_status = set()
        self.patches = self.events = self.unknown = 0

    async def start(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=1 << 20)
        return server.sockets[0].getsockname()[1]

    def flip(self, i):
        """An endpoint of service i turns; what watches are open hear of it."""
        self.slices.unready ^= {i}
        self.version += 1
        self.tell(SLICES, b"MODIFIED", self.slices.text(i, self.version))

    def tell(self, resource, kind, text):
        line = b'{"type":"%s","object":%s}\n' % (kind, text)
        for writer in self.watches[resource]:
            writer.write(b"%x\r\n%s\r\n" % (len(line), line))

    def texts(self, resource):
        if resource == SERVICES:
            return [json.dumps(each).encode() for each in self.services.values()]
        if resource == SLICES:
            return [self.slices.text(i, 1) for i in range(len(self.slices.texts))]
        return []

    async def serve(self, reader, writer):
        while request := await read_head(reader):
            method, target, length, _ = request
            body = await reader.readexactly(length)
            path, _, query = target.partition("?")
            if method == "GET" and "watch=1" in query and path in self.watches:
                await self.watch(path, urllib.parse.parse_qs(query), writer)
                continue
            code, text = self.answer(method, path, query, body)
            writer.write(b"HTTP/1.1 %d Told\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                         % (code, len(text), text))
        writer.close()

    async def watch(self, resource, query, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        if "sendInitialEvents" in query:
            for text in self.texts(resource):
                line = b'{"type":"ADDED","object":%s}\n' % text
                writer.write(b"%x\r\n%s\r\n" % (len(line), line))
            line = json.dumps({"type": "BOOKMARK", "object": {"metadata": {
                "resourceVersion": str(self.version), "annotations": {"k8s.io/initial-events-end": "true"}}}}) + "\n"
            writer.write(b"%x\r\n%s\r\n" % (len(line), line.encode()))
        self.watches[resource].append(writer)
        await writer.drain()

    def answer(self, method, path, query, body):
        if method == "GET" and path in self.watches:
            items = b",".join(self.texts(path))
            return 200, b'{"metadata":{"resourceVersion":"%d"},"items":[%s]}' % (self.version, items)
        if method == "POST" and path.endswith("/events"):
            self.events += 1
            return 201, b"{}"
        named = re.fullmatch(r"/api/v1/namespaces/fleet/services/(\w+)/status", path)
        if method == "PATCH" and named:
            return self.patch(named.group(1), json.loads(body))
        self.unknown += 1
        return 404, b'{"message":"no such thing"}'

    def patch(self, name, change):
        """A strategic merge as far as finalizers and status of these Services need it."""
        held = self.services[name]
        self.patches += 1
        meta = held["metadata"]
        wanted = change.get("metadata", {})
        if wanted.get("resourceVersion", meta["resourceVersion"]) != meta["resourceVersion"]:
            return 409, b'{"message":"changed meanwhile"}'
        meta["finalizers"] = sorted(set(meta.get("finalizers", [])) | set(wanted.get("finalizers", [])))
        status = change.get("status", {})
        if status.get("loadBalancer"):
            held["status"]["loadBalancer"] = status["loadBalancer"]
            self.with_status.add(name)
        conditions = {each["type"]: each for each in held["status"].get("conditions", [])}
        conditions.update({each["type"]: each for each in status.get("conditions", []) if "$patch" not in each})
        held["status"]["conditions"] = list(conditions.values())
        self.version += 1
        meta["resourceVersion"] = str(self.version)
        text = json.dumps(held, separators=(",", ":")).encode()
        self.tell(SERVICES, b"MODIFIED", text)
        return 200, text
