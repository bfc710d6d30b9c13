"""A store that serves s3:// on loopback, moto's: a process, as gcs_server.py is.

    python s3_server.py

It counts requests, and can fail some of them.
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs

import boto3
from gcs_server import BUCKET, CountedStore, serve
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

_CREDENTIALS = {"aws_access_key_id": "key-of-the-test", "aws_secret_access_key": "secret-of-the-test"}
_REASONS = {403: "AccessDenied", 429: "SlowDown", 503: "SlowDown", 400: "ExpiredToken"}


class S3Store(CountedStore):
    """moto with an empty bucket."""

    def __init__(self) -> None:
        super().__init__()
        logging.getLogger("werkzeug").setLevel("ERROR")
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._client = boto3.client("s3", endpoint_url=self._address(), region_name="us-east-1", **_CREDENTIALS)
        self._client.create_bucket(Bucket=BUCKET)
        self.clear()

    def environment(self) -> dict[str, str]:
        """Return the variables that lead clients here."""
        credentials = {name.upper(): value for name, value in _CREDENTIALS.items()}
        return {"AWS_ENDPOINT_URL": self._address(), "AWS_DEFAULT_REGION": "us-east-1", **credentials}

    def clear(self) -> None:
        """Remove all objects, faults and counts."""
        for name in self.objects():
            self._client.delete_object(Bucket=BUCKET, Key=name)
        self.forget()

    def kind(self, method: str, address: str) -> str:
        """See the base class."""
        query = parse_qs(address.partition("?")[2], keep_blank_values=True)
        if method == "GET":
            return "listings" if "list-type" in query else "reads"
        if method in ("PUT", "POST"):
            return "removals" if "delete" in query else "uploads"
        return {"HEAD": "looks", "DELETE": "removals"}[method]

    def objects(self, prefix: str = "") -> dict[str, int]:
        """Return the sizes of the objects in the bucket, by name. Not counted as a request."""
        with self._lock:
            before = len(self._requests)
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        found = {item["Key"]: int(item["Size"]) for page in pages for item in page.get("Contents", [])}
        with self._lock:
            del self._requests[before:]
        return found

    def _address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, address = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if environ.get("QUERY_STRING"):
            address += f"?{environ['QUERY_STRING']}"
        fault = self.next_fault(method, address)
        if fault and fault.status:
            reason = _REASONS.get(fault.status, "InternalError")
            content = fault.content or f"<Error><Code>{reason}</Code><Message>{reason}</Message></Error>".encode()
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(f"{fault.status} {reason}", [("Content-Type", "application/xml")])
            return [content]
        if fault and method != "GET":
            time.sleep(fault.wait_secs)
            return _cut(environ, b"")
        answer = self._moto(environ, start_response)
        return _cut(environ, b"".join(answer)) if fault else answer


def _cut(environ: dict[str, Any], content: bytes) -> Iterator[bytes]:
    """Yield half of an answer, and cut the connection."""
    yield content[: len(content) // 2]
    connection = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


if __name__ == "__main__":
    serve(S3Store(), S3Store.PUBLIC)
