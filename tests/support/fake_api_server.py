"""A Kubernetes API server in small that misbehaves on demand: lists, watches, patches, Events.

It is driven by POST /fake/COMMAND: put and delete (objects), drop (ends every watch), expire (410 to the
next watch, as an event), lie (a broken line to every watch), status CODE SECONDS (answers everything
with CODE for a while), delay SECONDS (before each answer). GET /fake/calls tells what was asked.
Prints its port and serves until it is ended.
"""
import json
import queue
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RESOURCES = {"/api/v1/services": "services", "/api/v1/nodes": "nodes",
             "/apis/discovery.k8s.io/v1/endpointslices": "slices"}
SECRETS = "/secrets"


class World:
    def __init__(self):
        self.lock = threading.Lock()
        self.version = 1
        self.objects = {name: {} for name in RESOURCES.values()}
        self.watches = {name: [] for name in RESOURCES.values()}
        self.calls = []
        self.secrets = {}
        self.expired = set()
        self.bad_status, self.bad_until, self.delay = 0, 0.0, 0.0

    def put(self, resource, thing):
        with self.lock:
            self.version += 1
            meta = thing["metadata"]
            key = (meta.get("namespace", ""), meta["name"])
            meta["resourceVersion"] = str(self.version)
            kind = "MODIFIED" if key in self.objects[resource] else "ADDED"
            self.objects[resource][key] = thing
            self.tell(resource, kind, thing)

    def delete(self, resource, key):
        with self.lock:
            self.version += 1
            thing = self.objects[resource].pop(key, None)
            if thing:
                self.tell(resource, "DELETED", thing)

    def tell(self, resource, kind, thing):
        for watch in self.watches[resource]:
            watch.put(json.dumps({"type": kind, "object": thing}))

    def everybody(self, line):
        for watches in self.watches.values():
            for watch in watches:
                watch.put(line)

    def patch(self, key, body):
        """Strategic merge as far as a Service's finalizers, conditions and ingress need it."""
        thing = json.loads(json.dumps(self.objects["services"][key]))
        meta, status = thing["metadata"], thing.setdefault("status", {})
        wanted = body.get("metadata", {})
        if wanted.get("resourceVersion") not in (None, meta["resourceVersion"]):
            return None
        names = set(meta.get("finalizers", [])) | set(wanted.get("finalizers", []))
        names -= set(wanted.get("$deleteFromPrimitiveList/finalizers", []))
        meta["finalizers"] = sorted(names)
        change = body.get("status", {})
        if "loadBalancer" in change:
            status["loadBalancer"] = change["loadBalancer"]
        held = {c["type"]: c for c in status.get("conditions", [])}
        for condition in change.get("conditions", []):
            if condition.get("$patch") == "delete":
                held.pop(condition["type"], None)
            else:
                held[condition["type"]] = condition
        status["conditions"] = list(held.values())
        return thing


WORLD = World()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, code, body):
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def misbehave(self):
        time.sleep(WORLD.delay)
        if time.time() >= WORLD.bad_until:
            return False
        self.body()
        self.answer(WORLD.bad_status, {"message": "as told"})
        return True

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/fake/calls":
            return self.answer(200, WORLD.calls)
        WORLD.calls.append({"method": "GET", "path": self.path})
        if self.misbehave():
            return None
        if SECRETS in path:
            return self.answer_secret(path)
        if path not in RESOURCES:
            return self.answer(404, {"message": "no such thing"})
        resource = RESOURCES[path]
        if "watch=1" in query:
            return self.watch(resource)
        with WORLD.lock:
            return self.answer(200, {"metadata": {"resourceVersion": str(WORLD.version)},
                                     "items": list(WORLD.objects[resource].values())})

    def answer_secret(self, path):
        with WORLD.lock:
            thing = WORLD.secrets.get(path.rsplit("/", 1)[1])
        return self.answer(200 if thing else 404, thing or {"message": "no such Secret"})

    def write_secret(self, thing):
        with WORLD.lock:
            name, meta = thing["metadata"]["name"], thing["metadata"]
            held = WORLD.secrets.get(name)
            if meta.get("resourceVersion") != (held and held["metadata"]["resourceVersion"]):
                return self.answer(409, {"message": "changed meanwhile"})
            WORLD.version += 1
            meta["resourceVersion"] = str(WORLD.version)
            WORLD.secrets[name] = thing
        return self.answer(200 if held else 201, thing)

    def do_PUT(self):
        body = json.loads(self.body())
        return None if self.misbehave() else self.write_secret(body)

    def watch(self, resource):
        lines = queue.Queue()
        since = int(self.path.split("resourceVersion=")[1].split("&")[0])
        with WORLD.lock:
            for thing in WORLD.objects[resource].values():
                if int(thing["metadata"]["resourceVersion"]) > since:
                    lines.put(json.dumps({"type": "MODIFIED", "object": thing}))
            WORLD.watches[resource].append(lines)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if resource in WORLD.expired:
            WORLD.expired.discard(resource)
            lines.put(json.dumps({"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}))
            lines.put(None)
        try:
            while (line := lines.get()) is not None:
                text = line.encode() + b"\n"
                half = len(text) // 2  # a chunk may end anywhere
                for part in (text[:half], text[half:]):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                    self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass
        self.close_connection = True
        with WORLD.lock:
            WORLD.watches[resource].remove(lines)

    def do_PATCH(self):
        body = json.loads(self.body() or b"{}")
        WORLD.calls.append({"method": "PATCH", "path": self.path, "body": body})
        if self.misbehave():
            return None
        parts = self.path.split("?")[0].split("/")
        key = (parts[4], parts[6])
        if key not in WORLD.objects["services"]:
            return self.answer(404, {"message": "gone"})
        thing = WORLD.patch(key, body)
        if thing is None:
            return self.answer(409, {"message": "changed meanwhile"})
        if thing["metadata"].get("deletionTimestamp") and not thing["metadata"]["finalizers"]:
            WORLD.delete("services", key)
        else:
            WORLD.put("services", thing)
        return self.answer(200, thing)

    def do_POST(self):
        body = self.body()
        if self.path.endswith(SECRETS):
            return self.write_secret(json.loads(body))
        if not self.path.startswith("/fake/"):
            WORLD.calls.append({"method": "POST", "path": self.path, "body": json.loads(body)})
            return None if self.misbehave() else self.answer(201, {})
        command, *words = self.path[len("/fake/"):].split("/")
        if command == "put":
            WORLD.put(words[0], json.loads(body))
        elif command == "delete":
            WORLD.delete(words[0], (words[1], words[2]))
        elif command == "drop":
            WORLD.everybody(None)
        elif command == "expire":
            WORLD.expired.update(WORLD.watches)
            WORLD.everybody(None)
        elif command == "lie":
            WORLD.everybody('{"type":"ADDED","object":')
        elif command == "status":
            WORLD.bad_status, WORLD.bad_until = int(words[0]), time.time() + float(words[1])
            WORLD.everybody(None)
        elif command == "delay":
            WORLD.delay = float(words[0])
        return self.answer(200, {})


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    sys.stdout.close()
    server.serve_forever()
