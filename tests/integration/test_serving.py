"""A real server process: asked, overfed, given a new version, stopped, and looked at in a browser."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="serving is not installed: pip install .[serve]")
pytest.importorskip("prometheus_client", reason="serving is not installed: pip install .[serve]")
pytest.importorskip("uvicorn", reason="serving is not installed: pip install .[serve]")

from slim_train.tf_compat import tf

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 240.0
COLOURS = ("red", "green", "blue")

# Answers when the test says so, with a file.
PATIENT = """
import os, time
from uai.arch.tf_model import TFAiUcloudModel

class PatientModel(TFAiUcloudModel):
    def load_model(self):
        self.output["gate"] = os.path.join(self.model_dir, "open")

    def execute(self, data, batch_size):
        open(os.path.join(self.model_dir, "asked"), "w").close()
        while not os.path.exists(self.output["gate"]):
            time.sleep(0.01)
        return ["%d bytes\\n" % len(request.body) for request in data]
"""

# Says that it is being loaded, and is not done with it before the test is over.
SLOW_TO_LOAD = """
import os, time
from uai.arch.tf_model import TFAiUcloudModel

class PatientModel(TFAiUcloudModel):
    def load_model(self):
        open(os.path.join(self.model_dir, "loading"), "w").close()
        time.sleep(3600)
"""

# An image of one color comes by the clipboard or is dropped.
BRING_PICTURE = """async ([event, color]) => {
    const canvas = new OffscreenCanvas(20, 20);
    const context = canvas.getContext("2d");
    context.fillStyle = color;
    context.fillRect(0, 0, 20, 20);
    const data = new DataTransfer();
    data.items.add(new File([await canvas.convertToBlob()], `${color}.png`, {type: "image/png"}));
    document.dispatchEvent(event === "paste"
        ? new ClipboardEvent("paste", {clipboardData: data})
        : new DragEvent("drop", {dataTransfer: data, cancelable: true}));
}"""


def write_graph(folder: Path, order: tuple[int, ...] = (0, 1, 2)) -> None:
    """A frozen graph in the form of retrain's, which tells the color that an image has most of."""
    with tf.Graph().as_default() as graph:
        pixels = tf.placeholder(tf.float32, [None, 16, 16, 3], name="Placeholder")
        means = tf.gather(tf.reduce_mean(pixels, [1, 2]), order, axis=1)
        tf.nn.softmax(10.0 * means, name="final_result")
        content = graph.as_graph_def().SerializeToString()
    (folder / ".new.pb").write_bytes(content)
    (folder / ".new.pb").replace(folder / "output_graph.pb")


def picture(colour: str, size: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(buffer, "PNG")
    return buffer.getvalue()


class Server:
    """A process of serve_image_classifier on a free port."""

    def __init__(self, *flags: str) -> None:
        command = [sys.executable, str(ROOT / "scripts" / "serve_image_classifier.py"), "--port=0", *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.log: list[str] = []
        self._heard = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._heard.wait(TIMEOUT)
        found = re.search(r"http://127\.0\.0\.1:(\d+)", "".join(self.log))
        self.port = int(found[1]) if found else 0

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.log.append(line)
            if "Listening" in line:
                self._heard.set()
        self._heard.set()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = response.read().decode()
        connection.close()
        is_json = "json" in response.headers.get("content-type", "")
        return response.status, json.loads(content) if is_json else content

    def wait(self, until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not until():
            assert self.process.poll() is None, "".join(self.log)
            assert time.monotonic() < deadline, "".join(self.log)
            time.sleep(0.05)

    def wait_until_ready(self) -> None:
        self.wait(lambda: self.ask("GET", "/v2/health/ready")[0] == 200)

    def end(self) -> int:
        """Wait for the end of the process and give its exit code."""
        code = self.process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        return code


def write_patient(folder: Path, code: str = PATIENT) -> Path:
    """conf.json, patient.py and the folder patience, by which the model and a test tell each other what they do."""
    (folder / "patience").mkdir()
    (folder / "patient.py").write_text(code)
    server = {
        "exec": {"main_class": "PatientModel", "main_file": "patient"},
        "tensorflow": {"model_dir": "./patience"},
    }
    (folder / "conf.json").write_text(json.dumps({"http_server": server}))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_patient(tmp_path_factory.mktemp("models"))
    (folder / "colours").mkdir()
    write_graph(folder / "colours")
    (folder / "colours" / "output_labels.txt").write_text("\n".join(COLOURS))
    return folder


@contextlib.contextmanager
def running(*flags: str) -> Iterator[Server]:
    """A server that is ready; killed at the end if it still runs."""
    server = Server(*flags)
    try:
        server.wait_until_ready()
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with running(f"--model_dir={folder / 'colours'}", "--max_body_mb=0.5", "--poll_secs=0.1") as server:
        yield server


def test_a_picture_gets_its_classes(server: Server) -> None:
    status, answer = server.ask("POST", "/service", picture("blue"))
    assert status == 200
    assert answer[0][0] == "blue"
    assert sum(score for _, score in answer) == pytest.approx(1, abs=1e-4)


def test_large_bodies_learn_why_they_are_refused_however_they_come(server: Server) -> None:
    large = b"x" * 3_000_000
    assert server.ask("POST", "/service", large)[0] == 413
    status, answer = server.ask("POST", "/service", iter([large[:100_000]] * 30))  # chunked
    assert (status, answer) == (413, {"error": "The request is too large: at most 0.5 MB."})
    assert server.ask("POST", "/service", picture("red"))[0] == 200


def test_nonsense_on_the_wire_leaves_the_server_alive(server: Server) -> None:
    for nonsense in (b"GET\r\n\r\n", b"\x16\x03\x01" * 50, b"POST /service HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"):
        with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as connection:
            connection.sendall(nonsense)
    assert server.ask("POST", "/service", picture("red"))[0] == 200


def test_many_clients_each_get_their_own_answer(server: Server) -> None:
    def ask(colour: str) -> set[Any]:
        answers = [server.ask("POST", "/service", picture(colour)) for _ in range(20)]
        return {(status, answer[0][0]) for status, answer in answers}

    with ThreadPoolExecutor(len(COLOURS)) as pool:
        assert list(pool.map(ask, COLOURS)) == [{(200, colour)} for colour in COLOURS]


def test_a_new_version_is_picked_up_without_a_dropped_request(server: Server, folder: Path) -> None:
    answers = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            answers.append(server.ask("POST", "/service/colours", picture("red")))

    with ThreadPoolExecutor(1) as pool:
        client = pool.submit(keep_asking)
        try:
            write_graph(folder / "colours", order=(1, 0, 2))  # what was red is called green
            server.wait(lambda: client.done() or any(answer[0][0] == "green" for _, answer in answers[-1:]))
        finally:
            stop.set()
        client.result(TIMEOUT)
    assert {status for status, _ in answers} == {200}
    assert server.ask("GET", "/v1/models/colours")[1]["model_version_status"][0]["version"] == "2"
    write_graph(folder / "colours")
    server.wait(lambda: server.ask("POST", "/service/colours", picture("red"))[1][0][0] == "red")


def test_the_page_in_a_browser(server: Server, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="no browser test without pip install playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no browser test without Chromium")
    (tmp_path / "green.png").write_bytes(picture("lime"))
    (tmp_path / "broken.png").write_bytes(b"not an image")
    quiet = ["background-networking", "component-update", "default-apps", "extensions", "sync"]
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", *(f"--disable-{x}" for x in quiet)]
    outside, complaints = [], []
    home = f"http://127.0.0.1:{server.port}/"
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            str(tmp_path / "profile"), executable_path=chromium, args=flags, viewport={"width": 390, "height": 844}
        )
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: request.url.startswith((home, "blob:")) or outside.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        # From the beginning: Chromium takes a moment until it hands choosers over instead of opening them.
        choosers: list[Any] = []
        page.on("filechooser", lambda chooser: choosers.append(chooser))
        page.goto(home)
        page.wait_for_selector("#lead:has-text('tells apart: red, green, blue')")

        # By keyboard: the first stops are the brand and the API, then comes the image.
        for _ in range(8):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "file":
                break
        assert page.evaluate("document.activeElement.id") == "file"
        page.keyboard.press("Enter")
        server.wait(lambda: page.wait_for_timeout(50) or bool(choosers))
        choosers[0].set_files(tmp_path / "green.png")
        page.wait_for_selector("#result:not([hidden])")
        assert page.text_content("#verdict") == "green"
        assert [row.split()[0] for row in page.locator("#classes li").all_inner_texts()] == ["green", "red", "blue"]
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width == 390, "the page must not scroll sideways on a phone"

        for event, colour in (("paste", "blue"), ("drop", "red")):
            page.evaluate(BRING_PICTURE, [event, colour])
            page.wait_for_selector(f"#verdict:text-is('{colour}')")
        assert page.locator("#thumbnails button").count() == 3
        assert page.is_visible("#preview")

        page.set_input_files("#file", tmp_path / "broken.png")
        page.wait_for_selector("#error:not([hidden])")
        assert "The image cannot be read" in page.text_content("#error")
        page.wait_for_selector("#no-preview:not([hidden])")

        page.goto(f"{home}docs")
        page.wait_for_selector("code:text-is('/v2/models/{name}/infer')")
        browser.close()
    assert outside == []
    assert complaints == []


def test_stopping_finishes_requests_in_flight_and_ends_with_success(folder: Path) -> None:
    with running(f"--conf=patient={folder / 'conf.json'}") as server:
        answers: list[tuple[int, Any]] = []
        client = threading.Thread(target=lambda: answers.append(server.ask("POST", "/service", b"12345")))
        client.start()
        server.wait((folder / "patience" / "asked").exists)
        server.process.send_signal(signal.SIGTERM)
        server.wait(lambda: "finishing the requests in flight" in "".join(server.log))
        server.wait(lambda: not is_open(server.port))  # nobody new is let in
        (folder / "patience" / "open").touch()
        client.join(TIMEOUT)
        assert answers == [(200, "5 bytes\n")]
        assert server.end() == 0


@pytest.mark.slow
def test_stopping_does_not_wait_for_a_model_that_hangs(tmp_path: Path) -> None:
    with running(f"--conf={write_patient(tmp_path) / 'conf.json'}", "--stop_secs=1") as server:
        answers: list[tuple[int, Any]] = []
        client = threading.Thread(target=lambda: answers.append(server.ask("POST", "/service", b"12345")))
        client.start()
        server.wait((tmp_path / "patience" / "asked").exists)
        for _ in range(500):  # each within the handling of the one before, as an impatient supervisor sends them
            server.process.send_signal(signal.SIGTERM)
        assert server.end() == 0
        client.join(TIMEOUT)
        assert answers == [(503, {"error": "The server is being stopped."})]


@pytest.mark.slow
def test_stopping_does_not_wait_for_a_model_that_is_being_loaded(tmp_path: Path) -> None:
    write_patient(tmp_path, SLOW_TO_LOAD)
    server = Server(f"--conf={tmp_path / 'conf.json'}")
    try:
        server.wait(lambda: server.ask("GET", "/v2/health/live")[0] == 200)
        server.wait((tmp_path / "patience" / "loading").exists)
        server.process.send_signal(signal.SIGTERM)
        assert server.end() == 0
        assert "Ready." not in "".join(server.log)
    finally:
        server.process.kill()


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
    except OSError:
        return False
    return True


@pytest.mark.slow
def test_what_cannot_be_served_ends_with_bad_usage(tmp_path: Path) -> None:
    server = Server(f"--model_dir={tmp_path}")
    assert server.end() == 2
    assert re.search(r"serve_image_classifier: error: .* holds no classifier", "".join(server.log))


@pytest.mark.slow
def test_a_port_that_is_taken_ends_with_bad_usage(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = Server(f"--model_dir={folder / 'colours'}", f"--port={taken.getsockname()[1]}")
        assert server.end() == 2
    assert "Cannot listen on --host=127.0.0.1" in "".join(server.log)
