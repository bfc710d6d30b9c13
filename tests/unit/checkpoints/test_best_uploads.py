"""The best checkpoint at a URL, uploaded in a thread to the file system in memory of fsspec."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets.storage import copy_file, path_of
from slim_train.checkpoints import best, copies, newest_upload
from slim_train.checkpoints.best import BestCheckpoint
from slim_train.checkpoints.best_uploads import UploadedBest
from slim_train.checkpoints.find import step_of
from slim_train.errors import RunError

pytest.importorskip("fsspec")

SECS = 20.0


@pytest.fixture
def offer(request: pytest.FixtureRequest, tmp_path: Path, save: Callable[..., None]) -> Callable[..., bool]:
    """Offer a checkpoint of a step that is saved here, and not uploaded."""

    def make(kept: UploadedBest, step: int, accuracy: float) -> bool:
        here = tmp_path / str(step)
        here.mkdir()
        save(here, steps=(step,))
        prefix = f"{kept.folder.parent}/model.ckpt-{step}"
        copies.keep(prefix, here)
        return kept.offer(prefix, {"accuracy": accuracy}, step)

    return make


def test_the_best_checkpoint_is_uploaded_from_here(offer: Callable[..., bool]) -> None:
    folder = path_of("memory://best/run")
    kept = UploadedBest(folder, "test")
    assert offer(kept, 1, 0.5)
    assert not offer(kept, 2, 0.4)
    assert offer(kept, 3, 0.6)
    kept.close(SECS)
    read = BestCheckpoint(folder, "test")
    assert (read.value, read.step, step_of(str(read.path))) == (0.6, 3, 3)
    assert not list(read.folder.glob("model.ckpt-1*"))


def test_a_store_that_is_away_holds_up_no_offer_and_gets_the_best_later(
    offer: Callable[..., bool], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(newest_upload, "_RETRY_SECS", 0.01)
    folder, tried, is_back = path_of("memory://best/away"), threading.Event(), threading.Event()

    def copy(source: Path, target: Path) -> None:
        tried.set()
        if not is_back.is_set():
            raise OSError(5, "away", str(target))
        copy_file(source, target)

    monkeypatch.setattr(best, "copy_file", copy)
    kept = UploadedBest(folder, "test")
    for step in range(1, 6):
        assert offer(kept, step, step / 10)
        assert tried.wait(SECS)
    is_back.set()
    kept.close(SECS)
    assert BestCheckpoint(folder, "test").step == 5
    assert caplog.text.count(f"Cannot keep the best checkpoint in {folder}/best: away. Trying again later.") == 1


def test_a_best_checkpoint_that_is_given_up_is_named(
    offer: Callable[..., bool], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(source: Path, target: Path) -> None:
        raise OSError(5, "away", str(target))

    monkeypatch.setattr(best, "copy_file", fail)
    kept = UploadedBest(path_of("memory://best/lost"))
    offer(kept, 1, 0.5)
    kept.close(0.1)
    assert "The best checkpoint, of step 1, is missing in memory://best/lost/best." in caplog.text


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_chief_that_was_replaced_leaves_the_best_checkpoint_of_the_other(
    offer: Callable[..., bool], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    folder, is_replaced = path_of(f"memory://best/replaced_{when}"), threading.Event()

    def check_lead() -> None:
        if is_replaced.is_set():
            raise RunError("another chief has taken over")

    def copy(source: Path, target: Path) -> None:
        copy_file(source, target)
        is_replaced.set()

    old, new = UploadedBest(folder, "test", check_lead), UploadedBest(folder, "test")
    offer(new, 7, 0.5)
    new.close(SECS)
    if when == "before":
        is_replaced.set()
    monkeypatch.setattr(best, "copy_file", copy)
    offer(old, 3, 0.9)
    old.close(SECS)
    kept = BestCheckpoint(folder, "test")
    assert (kept.step, step_of(str(kept.path))) == (7, 7)


def test_a_copy_that_cannot_be_read_is_made_again(
    offer: Callable[..., bool], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(newest_upload, "_RETRY_SECS", 0.01)
    monkeypatch.setattr(newest_upload, "_RETRY_SECS_AT_END", 0.01)
    answers, is_complete = iter([False, False]), best.is_complete
    monkeypatch.setattr(best, "is_complete", lambda prefix: next(answers, True) and is_complete(prefix))
    folder = path_of("memory://best/unread")
    kept = UploadedBest(folder, "test")
    offer(kept, 1, 0.5)
    kept.close(SECS)
    read = BestCheckpoint(folder, "test")
    assert step_of(str(read.path)) == 1
    assert "the copy of model.ckpt-1 cannot be read. Trying again later." in caplog.text
    assert "deleted before it could be kept" not in caplog.text
