"""A headless Chromium that tests drive through a pair of pipes: no driver, no port, no download.

It speaks the Chrome DevTools protocol, https://chromedevtools.github.io/devtools-protocol/.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 60.0


def chromium() -> str | None:
    """Return the path of a Chromium on PATH, or None."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Page:
    """A page of the browser.

    Attributes:
      requests: addresses that were asked for since :meth:`open`, the page and data: addresses excepted.
      messages: what was written to the console, errors that nothing caught, and warnings of the browser.
    """

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self.requests: list[str] = []
        self.messages: list[str] = []
        self._address, self._is_loaded = "", False
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        return self._browser.call(method, params, self._session, self._listen)

    def open(self, page: Path | str, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        """Load a file or an address, and wait until it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self._address = page if isinstance(page, str) else page.absolute().as_uri()
        self._is_loaded = False
        self.requests.clear()
        self.messages.clear()
        self.call("Page.navigate", url=self._address)
        while not self._is_loaded:
            self._browser.wait(self._listen)

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Wait until a JavaScript expression is true."""
        until = time.monotonic() + _SECONDS
        while not self.run(script):
            assert time.monotonic() < until, script
            time.sleep(0.02)

    def press(self, key: str) -> None:
        """Press a key, such as Tab, Enter, Escape or ArrowRight."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowRight": 39}
        text = {"Enter": "\r", " ": " "}.get(key)
        values = {"key": key, "code": {" ": "Space"}.get(key, key), "windowsVirtualKeyCode": codes[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown", **values, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **values)

    def screenshot(self, path: Path) -> None:
        """Write an image of the whole page."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def pdf(self, path: Path) -> None:
        """Write what would be printed, without headers and footers."""
        path.write_bytes(base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"]))

    def _listen(self, event: dict[str, Any]) -> None:
        method, params = event["method"], event["params"]
        if method == "Page.loadEventFired":
            self._is_loaded = True
        elif method == "Network.requestWillBeSent":
            address = params["request"]["url"]
            if address != self._address and not address.startswith("data:"):
                self.requests.append(address)
        elif method == "Runtime.consoleAPICalled":
            self.messages.append(str([value.get("value", value) for value in params["args"]]))
        elif method == "Runtime.exceptionThrown":
            self.messages.append(str(params["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.messages.append(params["entry"]["text"])


class Browser:
    """A running browser: messages end with a zero byte."""

    def __init__(self, process: subprocess.Popen[bytes], reading: int, writing: int) -> None:
        self._process, self._reading, self._writing = process, reading, writing
        self._rest = b""
        self._number = 0

    def new_page(self) -> Page:
        """Return an empty page."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        return Page(self, session)

    def call(
        self, method: str, params: dict[str, Any], session: str | None = None, listen: Any = lambda event: None
    ) -> dict[str, Any]:
        """Call a method and return its result; events before the answer go to ``listen``."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._writing, data) :]
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            if "method" in answer and answer.get("sessionId") == session:
                listen(answer)

    def wait(self, listen: Any) -> None:
        """Wait for one event."""
        answer = self._next()
        if "method" in answer:
            listen(answer)

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + _SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._reading], [], [], max(0.0, until - time.monotonic()))
            data = os.read(self._reading, 1 << 20) if ready else b""
            assert data, f"no answer of the browser, exit code {self._process.poll()}"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


@contextlib.contextmanager
def running(executable: str, folder: Path) -> Iterator[Browser]:
    """Run a browser whose profile is in ``folder``; it is gone when the block ends."""
    commands_out, commands_in = os.pipe()
    answers_out, answers_in = os.pipe()
    # Commands come on file descriptor 3 and answers go to 4. They are moved there from numbers that are far from both.
    commands_far, answers_far = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (commands_out, answers_in))
    move = "import os, sys; [os.dup2(int(sys.argv[i]), i + 2) for i in (1, 2)]; os.execv(sys.argv[3], sys.argv[3:])"
    arguments = [
        "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage", f"--user-data-dir={folder}",
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", move, str(commands_far), str(answers_far), executable, *arguments],
        pass_fds=(commands_far, answers_far),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in (commands_out, answers_in, commands_far, answers_far):
        os.close(end)
    browser = Browser(process, answers_out, commands_in)
    try:
        yield browser
        with contextlib.suppress(AssertionError, OSError):
            browser.call("Browser.close", {})
    finally:
        os.close(commands_in)
        os.close(answers_out)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose pages are independent of each other; without one on PATH the test is skipped."""
    executable = chromium()
    if executable is None:
        pytest.skip("no Chromium on PATH")
    with running(executable, tmp_path_factory.mktemp("profile")) as found:
        yield found
