from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from datasets.download import Download, fetch, fetch_to_cache
from datasets.errors import DataError

_CONTENT = bytes(range(256)) * 4096  # 1 MiB


class _Server(http.server.ThreadingHTTPServer):
    """Serves _CONTENT at any path. ``breaks``: after how many bytes each of the next answers ends too early."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.breaks: list[int] = []
        self.ranges: list[str | None] = []
        self.knows_ranges = True
        self.states_size = True


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.server.knows_ranges else 0
        if self.path == "/missing.bin":
            self.send_error(404)
            return
        if start >= len(_CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(_CONTENT)}")
            self.end_headers()
            return
        body = _CONTENT[start:]
        self.send_response(206 if start else 200)
        if self.server.states_size:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.breaks.pop(0)] if self.server.breaks else body)

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def _download(server: _Server, name: str = "data.bin") -> Download:
    url = f"http://127.0.0.1:{server.server_address[1]}/{name}"
    return Download(url, len(_CONTENT), hashlib.sha256(_CONTENT).hexdigest())


def _unpublished(server: _Server) -> Download:
    """The same file, without its size and checksum."""
    return Download(_download(server).url)


def _silent(what: str, done: int, total: int | None, unit: str) -> None:
    pass


def test_a_file_is_fetched_and_progress_told(server: _Server, tmp_path: Path) -> None:
    told: list[tuple] = []
    path = fetch(_download(server), tmp_path / "cache", lambda *args: told.append(args))
    assert path.read_bytes() == _CONTENT
    assert told[-1] == ("downloading data.bin", len(_CONTENT), len(_CONTENT), "bytes")
    assert list(path.parent.iterdir()) == [path]


def test_a_fetched_file_is_not_fetched_again(server: _Server, tmp_path: Path) -> None:
    fetch(_download(server), tmp_path, _silent)
    fetch(_download(server), tmp_path, _silent)
    assert len(server.ranges) == 1


def test_a_download_that_breaks_off_goes_on_where_it_was(server: _Server, tmp_path: Path) -> None:
    server.breaks = [700_000, 200_000]
    assert fetch(_download(server), tmp_path, _silent).read_bytes() == _CONTENT
    assert server.ranges == [None, "bytes=700000-", "bytes=900000-"]


def test_what_a_killed_run_had_fetched_is_not_fetched_again(server: _Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(_CONTENT[:1000])
    assert fetch(_download(server), tmp_path, _silent).read_bytes() == _CONTENT
    assert server.ranges == ["bytes=1000-"]


def test_a_server_that_cannot_resume_sends_all_of_it(server: _Server, tmp_path: Path) -> None:
    server.knows_ranges = False
    (tmp_path / "data.bin.part").write_bytes(b"x" * 1000)
    assert fetch(_download(server), tmp_path, _silent).read_bytes() == _CONTENT


def test_a_server_that_sends_nothing_more_is_given_up(server: _Server, tmp_path: Path) -> None:
    server.breaks = [1000, 0, 0, 0]
    with pytest.raises(DataError, match=r"Cannot download http://.*/data\.bin.*--pic_path"):
        fetch(_download(server), tmp_path, _silent)
    assert len(server.ranges) == 2


def test_another_content_than_the_published_is_refused_and_not_kept(server: _Server, tmp_path: Path) -> None:
    download = replace(_download(server), sha256="0" * 64)
    with pytest.raises(DataError, match="is not the published file"):
        fetch(download, tmp_path, _silent)
    assert list(tmp_path.iterdir()) == []


def test_more_bytes_than_published_are_not_waited_for(server: _Server, tmp_path: Path) -> None:
    download = replace(_download(server), num_bytes=1000)
    with pytest.raises(DataError, match="is not the published file"):
        fetch(download, tmp_path, _silent)


def test_a_missing_page_names_the_address(server: _Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Cannot download http://.*/missing\.bin: Not Found"):
        fetch(_download(server, "missing.bin"), tmp_path, _silent)


def test_offline_one_error_names_the_address_and_pic_path(tmp_path: Path) -> None:
    download = Download("http://127.0.0.1:9/flowers.tgz", 10, "0" * 64)
    with pytest.raises(DataError, match=r"Cannot download http://127\.0\.0\.1:9/flowers\.tgz: .*--pic_path"):
        fetch(download, tmp_path, _silent)


def test_without_a_published_size_the_server_tells_it(server: _Server, tmp_path: Path) -> None:
    told: list[tuple] = []
    server.breaks = [700_000, 200_000]
    path = fetch(_unpublished(server), tmp_path, lambda *args: told.append(args))
    assert path.read_bytes() == _CONTENT
    assert told[-1] == ("downloading data.bin", len(_CONTENT), len(_CONTENT), "bytes")
    assert server.ranges == [None, "bytes=700000-", "bytes=900000-"]
    assert fetch(_unpublished(server), tmp_path, _silent) == path
    assert len(server.ranges) == 3


def test_a_server_that_states_no_size_is_believed(server: _Server, tmp_path: Path) -> None:
    server.states_size = False
    assert fetch(_unpublished(server), tmp_path, _silent).read_bytes() == _CONTENT


def test_a_download_killed_after_its_last_byte_is_whole(server: _Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(_CONTENT)
    assert fetch(_unpublished(server), tmp_path, _silent).read_bytes() == _CONTENT
    assert server.ranges == [f"bytes={len(_CONTENT)}-"]


def test_a_part_of_a_longer_file_is_thrown_away(server: _Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"x" * (len(_CONTENT) + 1))
    assert fetch(_unpublished(server), tmp_path, _silent).read_bytes() == _CONTENT


def test_offline_the_error_says_what_else_to_do(tmp_path: Path) -> None:
    download = Download("http://127.0.0.1:9/weights.tgz", otherwise="unpack it in checkpoints")
    with pytest.raises(DataError, match=r"weights\.tgz: .*get the file elsewhere and unpack it in checkpoints\."):
        fetch(download, tmp_path, _silent)
    assert list(tmp_path.iterdir()) == []


def test_the_cache_keeps_a_download(server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIM_TRAIN_CACHE", str(tmp_path / "cache"))
    for _ in range(2):
        assert fetch_to_cache(_download(server), _silent) == tmp_path / "cache" / "data.bin"
    assert len(server.ranges) == 1


def test_a_download_in_the_cache_folder_of_before_is_found(
    server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLIM_TRAIN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "slim_train").mkdir()
    (tmp_path / "slim_train" / "data.bin").write_bytes(_CONTENT)
    path = fetch_to_cache(_download(server), _silent)
    assert path == tmp_path / "slim-train" / "data.bin"
    assert (path.read_bytes(), server.ranges) == (_CONTENT, [])
    (tmp_path / "slim_train" / "data.bin").unlink()
    assert fetch_to_cache(_download(server), _silent).read_bytes() == _CONTENT
