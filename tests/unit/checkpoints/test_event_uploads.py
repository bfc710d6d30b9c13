"""Event files that are uploaded as a whole, on the file system in memory of fsspec."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets import changed_files
from datasets.storage import copy_file, path_of
from slim_train.checkpoints import event_uploads

pytest.importorskip("fsspec")

EVENTS = "events.out.tfevents.1"


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_so()


def test_a_folder_of_this_machine_is_itself(tmp_path: Path) -> None:
    with event_uploads.writable([str(tmp_path)], 1) as here:
        assert here == {str(tmp_path): str(tmp_path)}


def test_what_is_written_is_uploaded_now_and_then_and_at_the_end() -> None:
    url = "memory://events/run"
    flushed: list[str] = []
    with event_uploads.writable([url], 0.01, flushed.append) as here:
        file = Path(here[url], EVENTS)
        file.write_text("first")
        wait_until((path_of(url) / EVENTS).is_file)
        assert (path_of(url) / EVENTS).read_text() == "first"
        assert set(flushed) == {here[url]}
        file.write_text("first and last")
        Path(here[url], "plugins").mkdir()
        Path(here[url], "plugins", "profile").write_text("profile")
    assert (path_of(url) / EVENTS).read_text() == "first and last"
    assert (path_of(url) / "plugins" / "profile").read_text() == "profile"
    assert not Path(here[url]).exists()


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that a store that does not answer was sent."""
    files: list[Path] = []

    def fails(source: Path, target: Path) -> None:
        files.append(source)
        raise OSError(5, "away", str(target))

    monkeypatch.setattr(changed_files, "copy_file", fails)
    monkeypatch.setattr(event_uploads, "_WAITS_SECS", (0.01, 0.01))
    return files


def test_a_store_that_does_not_answer_is_said_once_and_tried_again(
    tries: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    with event_uploads.writable(["memory://events/away"], 0.01) as here:
        Path(here["memory://events/away"], EVENTS).write_text("x")
        wait_until(lambda: len(tries) >= 3)
    assert caplog.text.count("Cannot upload event files to memory://events/away: away. Trying again later") == 1
    shutil.rmtree(re.findall(r"kept in (\S+):", caplog.text)[0])


def test_events_that_cannot_be_uploaded_at_the_end_are_kept_and_named(
    tries: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    given_up: list[str] = []
    with event_uploads.writable(["memory://events/lost"], 600, give_up=lambda: given_up.append("x")) as here:
        file = Path(here["memory://events/lost"], EVENTS)
        file.write_text("x")
    assert tries == [file] * 3
    assert given_up == ["x"]
    (kept,) = re.findall(r"kept in (\S+):", caplog.text)
    assert Path(kept, EVENTS).read_text() == "x"
    shutil.rmtree(kept)


def test_a_store_that_answers_again_at_the_end_gets_all_events(
    tries: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away = changed_files.copy_file

    def answers_again(source: Path, target: Path) -> None:
        (away if len(tries) < 2 else copy_file)(source, target)

    monkeypatch.setattr(changed_files, "copy_file", answers_again)
    with event_uploads.writable(["memory://events/again"], 600) as here:
        Path(here["memory://events/again"], EVENTS).write_text("x")
    assert (path_of("memory://events/again") / EVENTS).read_text() == "x"
    assert not Path(here["memory://events/again"]).exists()
    assert not caplog.records


def test_an_error_of_a_writer_does_not_end_the_uploads(caplog: pytest.LogCaptureFixture) -> None:
    flushed: list[str] = []

    def flush(folder: str) -> None:
        flushed.append(folder)
        if len(flushed) < 2:
            raise TypeError("of a client")

    url = "memory://events/writer"
    with event_uploads.writable([url], 0.01, flush) as here:
        Path(here[url], EVENTS).write_text("x")
        wait_until((path_of(url) / EVENTS).is_file)
    assert caplog.text.count("memory://events/writer: TypeError: of a client. Trying again later") == 1
