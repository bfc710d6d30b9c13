"""Event files that are uploaded as a whole, on the file system in memory of fsspec."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from datasets.storage import path_of
from slim_train.checkpoints import event_uploads

pytest.importorskip("fsspec")

EVENTS = "events.out.tfevents.1"


def test_a_folder_that_tensorflow_writes_is_itself(tmp_path: Path) -> None:
    with event_uploads.writable([str(tmp_path), "gs://bucket/run"], 1) as here:
        assert here == {str(tmp_path): str(tmp_path), "gs://bucket/run": "gs://bucket/run"}


def test_what_is_written_is_uploaded_now_and_then_and_at_the_end() -> None:
    url = "memory://events/run"
    flushed: list[str] = []
    with event_uploads.writable([url], 0.01, flushed.append) as here:
        file = Path(here[url], EVENTS)
        file.write_text("first")
        deadline = time.monotonic() + 10
        while not (path_of(url) / EVENTS).is_file() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (path_of(url) / EVENTS).read_text() == "first"
        assert set(flushed) == {here[url]}
        file.write_text("first and last")
        Path(here[url], "plugins").mkdir()
        Path(here[url], "plugins", "profile").write_text("profile")
    assert (path_of(url) / EVENTS).read_text() == "first and last"
    assert (path_of(url) / "plugins" / "profile").read_text() == "profile"
    assert not Path(here[url]).exists()


def test_a_store_that_does_not_answer_is_said_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[Path] = []

    def fails(source: Path, target: Path) -> None:
        tries.append(source)
        raise OSError(5, "away", str(target))

    monkeypatch.setattr(event_uploads, "copy_file", fails)
    with event_uploads.writable(["memory://events/away"], 0.01) as here:
        Path(here["memory://events/away"], EVENTS).write_text("x")
        deadline = time.monotonic() + 10
        while len(tries) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(tries) >= 3
    assert caplog.text.count("Cannot upload event files to memory://events/away: away") == 1
