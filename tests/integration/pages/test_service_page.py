"""The page of the service in a real browser, before a server that answers what it is told to."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import slim_train.serving

PAGE = Path(slim_train.serving.__file__).parent / "page"
READY = {"ready": True, "version": "1", "labels": ["cat", "dog"], "explains": True}
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
PASTE = """(() => {
  const bytes = new DataTransfer();
  bytes.items.add(new File([new Uint8Array([1])], 'a.png', {type: 'image/png'}));
  document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: bytes}));
})()"""
IS_ANSWERED = "!document.getElementById('result').hidden"
OFFERS_HEAT = "!document.getElementById('explain').hidden"


class _Service(BaseHTTPRequestHandler):
    models: list[dict[str, Any]] = []  # noqa: RUF012  one service at a time

    def do_GET(self) -> None:
        if self.path == "/models":
            self._send(json.dumps(self.models).encode(), "application/json")
            return
        file = PAGE / ("index.html" if self.path == "/" else self.path.removeprefix("/page/"))
        self._send(file.read_bytes(), TYPES[file.suffix])

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/explain"):
            buffer = io.BytesIO()
            Image.new("RGB", (8, 8)).save(buffer, "JPEG")
            self._send(buffer.getvalue(), "image/jpeg")
        else:
            self._send(json.dumps([["cat", 0.9], ["dog", 0.1]]).encode(), "application/json")

    def _send(self, data: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def home() -> Iterator[str]:
    """The address of a service."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_model_that_is_loaded_after_the_page_shows_where_it_looks_without_a_reload(browser: Any, home: str) -> None:
    _Service.models = [{"name": "pets", "ready": False}]
    page = browser.new_page()
    page.open(home)
    page.wait_for("document.getElementById('model').options.length")
    _Service.models = [{"name": "pets", **READY}]
    page.run(PASTE)
    page.wait_for(IS_ANSWERED)
    assert page.run(OFFERS_HEAT)
    page.run("document.getElementById('explain').focus()")
    page.press("Enter")
    page.wait_for("document.getElementById('explain').getAttribute('aria-pressed') === 'true'")
    assert page.run("document.getElementById('preview').alt").startswith("Where the net looks in a.png")
    assert page.messages == []
