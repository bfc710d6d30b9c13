"""A store that serves gs:// on loopback, for the client that TensorFlow has built in: a process.

    python gcs_server.py FOLDER        # for certificates

It writes the address of a ``multiprocessing`` manager that serves :class:`Store`, and ends when its input does.

That client knows one address only, https://*.googleapis.com. Its library for HTTP takes a proxy and a certificate
authority from the environment, so :class:`Store` is a proxy that answers for every address itself: it ends the TLS with
a certificate of its own authority and passes the requests on to an emulator of Google's store. It counts requests, and
can fail some of them.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import http.client
import http.server
import json
import os
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

BUCKET = "bucket"
_HOP_BY_HOP = ("connection", "content-length", "date", "server", "transfer-encoding")
# A status of HTTP that has no name there: the upload is not complete.
_RESUME_INCOMPLETE = 308
_TIMEOUT_SECS = 60
# Of an upload, before its connection is cut.
_CUT_BYTES = 1000


@dataclasses.dataclass
class Fault:
    """What happens to requests of a method whose address holds a text.

    Attributes:
      method: GET, PUT, ...
      part: of the address, unquoted.
      status: answered instead of asking the store; 0: the connection is cut, in the middle of what is longer, the
        content of the request or that of the answer.
      times: how many requests it happens to.
      content: of the answer.
      wait_secs: seconds until it happens, after the first bytes of the request's content.
    """

    method: str
    part: str
    status: int = 0
    times: int = 1
    content: bytes = b""
    wait_secs: float = 0.0


class CountedStore:
    """A store that counts requests, and lets some of them fail.

    Its public methods take and return plain values, for the manager.
    """

    PUBLIC = ("clear", "forget", "counts", "environment", "fail", "objects", "pid", "requests", "times_left")

    def __init__(self) -> None:
        self._requests: list[tuple[str, str]] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Forget all requests and faults."""
        with self._lock:
            self._requests.clear()
            self._faults.clear()

    def fail(self, method: str, part: str, **fault: Any) -> int:
        """Let requests fail, see :class:`Fault`, and return the number of the fault."""
        with self._lock:
            self._faults.append(Fault(method, part, **fault))
            return len(self._faults) - 1

    def pid(self) -> int:
        """Return the process of the store: one that is stopped takes connections, and does not answer."""
        return os.getpid()

    def times_left(self, number: int) -> int:
        """Return how many more requests a fault will happen to."""
        return self._faults[number].times

    def requests(self) -> list[tuple[str, str]]:
        """Return (method, address) of each request so far, the address unquoted."""
        with self._lock:
            return list(self._requests)

    def counts(self) -> dict[str, int]:
        """Return how many requests there were, by what they ask for."""
        return dict(collections.Counter(self.kind(method, address) for method, address in self.requests()))

    def kind(self, method: str, address: str) -> str:
        """Return what a request asks for."""
        raise NotImplementedError

    def next_fault(self, method: str, address: str) -> Fault | None:
        """Note a request, and return the fault that is to happen to it."""
        with self._lock:
            self._requests.append((method, address))
            for fault in self._faults:
                if fault.times and fault.method == method and fault.part in address:
                    fault.times -= 1
                    return fault
        return None


class Store(CountedStore):
    """An emulator with an empty bucket, and the way to it.

    Args:
      folder: for certificates.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        from gcp_storage_emulator.server import create_server

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._emulator = create_server("127.0.0.1", self._port, in_memory=True, default_bucket=BUCKET)
        self._emulator.start()
        self._uploaded: set[str] = set()
        authority, certificate = _certificates(folder)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self._server = _Proxy(("127.0.0.1", 0), _Tunnel)
        self._server.store = self
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._authority = authority

    def environment(self) -> dict[str, str]:
        """Return the variables that lead TensorFlow's client here."""
        return {
            "https_proxy": f"http://127.0.0.1:{self._server.server_address[1]}",
            "no_proxy": "127.0.0.1,localhost",  # the tasks of a cluster, which gRPC would look for behind the proxy
            "CURL_CA_BUNDLE": str(self._authority),
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "token-of-the-test",
            "NO_GCE_CHECK": "true",
            "GCS_RETRY_CONFIG_INIT_DELAY_TIME_US": "10000",
        }

    def clear(self) -> None:
        """Remove all objects, faults and counts."""
        self._emulator.wipe(keep_buckets=True)
        self.forget()

    def kind(self, method: str, address: str) -> str:
        """See the base class."""
        if "/upload/" in address:
            return "uploads"
        if "/copyTo/" in address or "/rewriteTo/" in address:
            return "copies"
        if method == "DELETE":
            return "removals"
        if address.partition("?")[0].endswith("/o"):
            return "listings"
        return "looks" if "/storage/v1/b/" in address else "reads"

    def objects(self, prefix: str = "") -> dict[str, int]:
        """Return the sizes of the objects in the bucket, by name. Not counted as a request."""
        answer = self.ask("GET", f"/storage/v1/b/{BUCKET}/o", {}, b"")
        found = {item["name"]: int(item["size"]) for item in json.loads(answer.content)["items"]}
        return {name: size for name, size in sorted(found.items()) if name.startswith(prefix)}

    def ask(self, method: str, path: str, headers: dict[str, str], content: bytes) -> Answer:
        """Return the answer of the emulator."""
        upload = parse_qs(urlsplit(path).query).get("upload_id", [""])[0]
        # What of an upload has come? The emulator takes the question for an empty object.
        if upload and headers.get("Content-Range", "").startswith("bytes */") and not content:
            return Answer(HTTPStatus.OK if upload in self._uploaded else _RESUME_INCOMPLETE, {}, b"")
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_SECS)
        with contextlib.closing(connection):
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            answer = Answer(response.status, dict(response.getheaders()), response.read())
        if upload and answer.status == HTTPStatus.OK:
            self._uploaded.add(upload)
        return answer


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer of the store."""

    status: int
    headers: dict[str, str]
    content: bytes


class _Proxy(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    store: Store

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that break are the rule here."""


class _Tunnel(http.server.BaseHTTPRequestHandler):
    """What a client says to its proxy."""

    server: _Proxy

    def do_CONNECT(self) -> None:
        """Answer for whatever address the client wants."""
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with self.server.store.context.wrap_socket(self.connection, server_side=True) as connection:
            _Terminal(connection, self.client_address, self.server)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """No log."""


class _Terminal(http.server.BaseHTTPRequestHandler):
    """What a client says in its tunnel."""

    server: _Proxy
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        store, address = self.server.store, unquote(self.path)
        fault = store.next_fault(self.command, address)
        if fault and not fault.status and self.command != "GET":
            self.rfile.read(_CUT_BYTES)
            time.sleep(fault.wait_secs)
            self._cut()
            return
        content = self._content()
        if fault and fault.status:
            self._answer(Answer(fault.status, {}, fault.content))
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        answer = store.ask(self.command, self.path, headers, content)
        self._answer(answer, cut=fault is not None)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _pass_on

    def _content(self) -> bytes:
        """Return what comes with a request; uploads come in chunks and state a length, too."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = b""
        while length := int(self.rfile.readline(), 16):
            content += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _answer(self, answer: Answer, cut: bool = False) -> None:
        self.send_response(answer.status, "")
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value.replace("http://", "https://", 1) if name == "Location" else value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content[: len(answer.content) // 2] if cut else answer.content)
        if cut:
            self._cut()

    def _cut(self) -> None:
        self.wfile.flush()
        # Unsent data is dropped, and the other side gets a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """No log."""


def _certificates(folder: Path) -> tuple[Path, Path]:
    """Return the certificate of a new authority, and a file with a certificate for googleapis.com and its key."""
    settings = folder / "openssl.cnf"
    settings.write_text(
        "[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = Authority of the test\n"
        "[authority]\nbasicConstraints = critical, CA:TRUE\nsubjectKeyIdentifier = hash\n"
        "[site]\nsubjectAltName = DNS:*.googleapis.com\n"
    )
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-config", settings)
    authority, site = folder / "authority.pem", folder / "site.pem"
    signed_by = ("-CA", authority, "-CAkey", folder / "authority.key")
    _openssl("req", "-x509", *key, "-extensions", "authority", "-keyout", folder / "authority.key", "-out", authority)
    _openssl("req", *key, "-subj", "/CN=googleapis", "-keyout", folder / "site.key", "-out", folder / "site.csr")
    extensions = ("-extfile", settings, "-extensions", "site", "-CAcreateserial", "-days", "2")
    _openssl("x509", "-req", "-in", folder / "site.csr", *signed_by, *extensions, "-out", site)
    with site.open("a") as file:
        file.write((folder / "site.key").read_text())
    return authority, site


def _openssl(*arguments: Any) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def serve(store: Any, public: Sequence[str]) -> None:
    """Serve the methods of a store to another process, until the input ends. Never returns."""
    BaseManager.register("store", callable=lambda: store, exposed=public)
    manager = BaseManager(("127.0.0.1", 0), authkey=b"store")
    server = manager.get_server()
    sys.stdout.write(f"{json.dumps(server.address)}\n")
    sys.stdout.flush()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    serve(Store(Path(sys.argv[1])), Store.PUBLIC)
