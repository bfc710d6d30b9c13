"""Uploads in a thread: the newest one, tried again if it fails."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from slim_train.checkpoints import newest_upload
from slim_train.checkpoints.newest_upload import NewestUpload

SECS = 20.0


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest_upload, "_RETRY_SECS", 0.01)
    monkeypatch.setattr(newest_upload, "_RETRY_SECS_AT_END", 0.01)


class Store:
    """Takes names, in the order in which they come, while it answers."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.tried: list[str] = []
        self.asked, self.answers = threading.Event(), threading.Event()
        self.answers.set()
        self.fails = False

    def take(self, name: str) -> None:
        self.tried.append(name)
        self.asked.set()
        assert self.answers.wait(SECS)
        if self.fails:
            raise OSError(5, "away")
        self.names.append(name)


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.answers.set()


def test_of_uploads_that_wait_the_newest_is_made(store: Store) -> None:
    uploads, closed = NewestUpload("test"), []
    store.answers.clear()
    for name in "abcd":
        resources = contextlib.ExitStack()
        resources.callback(closed.append, name)
        uploads.put(lambda name=name: store.take(name), resources)
        assert store.asked.wait(SECS)
    assert closed == ["b", "c"]
    assert not uploads.wait(0)
    store.answers.set()
    assert uploads.settle(SECS)
    assert store.names == ["a", "d"]
    assert closed == ["b", "c", "a", "d"]


def test_an_upload_that_fails_is_said_once_and_tried_until_it_succeeds(store: Store) -> None:
    said: list[str] = []
    uploads = NewestUpload("test", said.append)
    store.fails = True
    uploads.put(lambda: store.take("a"))
    while len(store.tried) < 3:
        assert not uploads.wait(0.01)
    failure = uploads.failure
    assert failure
    assert failure.reason == "away"
    assert failure.tried_at > failure.since
    store.fails = False
    assert uploads.settle(SECS)
    assert uploads.failure is None
    assert said == ["away"]


def test_a_failed_upload_gives_way_to_a_newer_one(store: Store) -> None:
    uploads = NewestUpload("test")
    store.fails = True
    uploads.put(lambda: store.take("a"))
    assert store.asked.wait(SECS)
    uploads.put(lambda: store.take("b"))
    while "b" not in store.tried:
        uploads.wait(0.01)
    tries = store.tried.count("a")
    store.fails = False
    assert uploads.settle(SECS)
    assert store.names == ["b"]
    assert store.tried.count("a") == tries


def test_what_still_fails_at_the_end_is_given_up(store: Store) -> None:
    uploads, closed = NewestUpload("test"), []
    store.fails = True
    resources = contextlib.ExitStack()
    resources.callback(closed.append, "a")
    uploads.put(lambda: store.take("a"), resources)
    assert not uploads.settle(0.1)
    uploads.put(lambda: store.take("b"))
    assert uploads.wait(SECS)
    assert "b" not in store.tried
    assert closed == ["a"]


def test_who_does_not_wait_at_the_end_is_not_held_up(store: Store) -> None:
    uploads = NewestUpload("test")
    store.answers.clear()
    uploads.put(lambda: store.take("a"))
    assert store.asked.wait(SECS)
    assert not uploads.settle(0)
    uploads.check()  # the store would have failed by now


def test_an_upload_whose_thread_cannot_start_is_dropped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads, closed = NewestUpload("test"), []
    resources = contextlib.ExitStack()
    resources.callback(closed.append, "a")

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="new thread"):
            uploads.put(lambda: store.take("a"), resources)
    assert closed == ["a"]
    assert uploads.wait(0)
    uploads.put(lambda: store.take("b"))
    assert uploads.settle(SECS)
    assert store.names == ["b"]


def test_another_error_is_logged_and_raised_where_the_training_looks(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    uploads = NewestUpload("test")
    uploads.check()
    uploads.put(fail)
    assert uploads.wait(SECS)
    assert not uploads.settle(SECS)
    with pytest.raises(ZeroDivisionError):
        uploads.check()
    assert "test: nothing more is uploaded." in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_the_wait_for_an_upload_that_takes_long_is_known(store: Store) -> None:
    uploads = NewestUpload("test")
    store.answers.clear()
    uploads.put(lambda: store.take("a"))
    assert store.asked.wait(SECS)
    assert uploads.waiting_secs == 0
    uploads.put(lambda: store.take("b"))
    before = uploads.waiting_secs
    uploads.put(lambda: store.take("c"))
    assert uploads.waiting_secs > before > 0
