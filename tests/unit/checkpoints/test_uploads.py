"""Checkpoints that are uploaded, to the file system in memory of fsspec."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datasets.storage import copy_file, copy_folder, path_of
from slim_train.checkpoints import copies, newest_upload
from slim_train.checkpoints import uploads as module
from slim_train.checkpoints.find import latest_checkpoint, saved_checkpoints
from slim_train.checkpoints.uploads import UploadedCheckpoints
from slim_train.errors import RunError

pytest.importorskip("fsspec")

SECS = 20.0


class Store:
    """What takes the place of ``copy_file``: it may fail at a file, or not answer."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.failing = ""
        self.asked, self.answers = threading.Event(), threading.Event()
        self.answers.set()

    def copy_file(self, source: Path, target: Path) -> None:
        self.asked.set()
        assert self.answers.wait(SECS)
        if self.failing and target.name.endswith(self.failing):
            raise OSError(5, "away", str(target))
        self.names.append(target.name)
        copy_file(source, target)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    store = Store()
    monkeypatch.setattr(module, "copy_file", store.copy_file)
    monkeypatch.setattr(newest_upload, "_RETRY_SECS", 0.01)
    monkeypatch.setattr(newest_upload, "_RETRY_SECS_AT_END", 0.01)
    yield store
    store.answers.set()


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path, save: Callable[..., None]) -> Path:
    """A training folder with the checkpoints of the steps 1 and 2."""
    save(tmp_path, steps=(1, 2))
    url = path_of(f"memory://uploads/{request.node.name}")
    copy_folder(tmp_path, url)
    return url


def _saved(uploads: UploadedCheckpoints, step: int) -> str:
    """Save a checkpoint of a step, and return its prefix."""
    name = f"model.ckpt-{step}"
    with uploads.saving(name) as here:
        for suffix in ("index", "data-00000-of-00001", "meta"):
            copy_file(uploads.folder / f"model.ckpt-2.{suffix}", here.with_name(f"{name}.{suffix}"))
    return str(uploads.folder / name)


def _names(prefixes: list[str]) -> list[str]:
    return [path_of(prefix).name for prefix in prefixes]


def _wait_for_failure(uploads: UploadedCheckpoints) -> None:
    while not uploads.later.failure:
        uploads.later.wait(0.01)


def test_the_index_is_uploaded_last_and_old_checkpoints_go(folder: Path, store: Store) -> None:
    uploads = UploadedCheckpoints(folder, most=2)
    uploads.recover(saved_checkpoints(folder))
    prefix = _saved(uploads, 3)
    assert latest_checkpoint(folder) == f"{folder}/model.ckpt-2"
    uploads.upload(prefix)
    assert sorted(store.names[:2]) == ["model.ckpt-3.data-00000-of-00001", "model.ckpt-3.meta"]
    assert store.names[2:] == ["model.ckpt-3.index"]
    assert latest_checkpoint(folder) == prefix
    assert _names(saved_checkpoints(folder)) == ["model.ckpt-2", "model.ckpt-3"]


def test_a_save_that_fails_leaves_no_folder_here(folder: Path) -> None:
    uploads = UploadedCheckpoints(folder, most=2)
    with pytest.raises(RuntimeError), uploads.saving("model.ckpt-3") as prefix:
        raise RuntimeError
    assert not prefix.parent.exists()


def test_a_silent_store_holds_up_no_save_and_gets_the_newest_checkpoint(folder: Path, store: Store) -> None:
    uploads = UploadedCheckpoints(folder, most=2)
    store.answers.clear()
    for step in range(3, 9):
        prefix = _saved(uploads, step)
        uploads.upload_later(prefix)
        assert store.asked.wait(SECS)
        with copies.opened(prefix) as here:
            assert Path(f"{here}.index").is_file()
    store.answers.set()
    assert uploads.later.settle(SECS)
    assert _names(saved_checkpoints(folder)) == ["model.ckpt-1", "model.ckpt-2", "model.ckpt-3", "model.ckpt-8"]
    assert latest_checkpoint(folder) == f"{folder}/model.ckpt-8"


def test_a_file_that_was_uploaded_is_not_sent_again(folder: Path, store: Store) -> None:
    uploads = UploadedCheckpoints(folder, most=2)
    store.failing = ".index"
    uploads.upload_later(_saved(uploads, 3))
    _wait_for_failure(uploads)
    store.failing = ""
    assert uploads.later.settle(SECS)
    assert sorted(store.names) == ["model.ckpt-3.data-00000-of-00001", "model.ckpt-3.index", "model.ckpt-3.meta"]


def test_what_a_failed_upload_left_goes_with_the_next_that_succeeds(folder: Path, store: Store) -> None:
    uploads = UploadedCheckpoints(folder, most=2)
    store.failing = "-3.index"
    uploads.upload_later(_saved(uploads, 3))
    _wait_for_failure(uploads)
    assert (folder / "model.ckpt-3.data-00000-of-00001").is_file()
    uploads.upload_later(_saved(uploads, 4))
    assert uploads.later.settle(SECS)
    assert not list(folder.glob("model.ckpt-3.data*"))
    assert _names(saved_checkpoints(folder)) == ["model.ckpt-1", "model.ckpt-2", "model.ckpt-4"]


def test_a_checkpoint_that_is_given_up_is_kept_and_can_be_resumed_from(folder: Path, store: Store) -> None:
    uploads = UploadedCheckpoints(folder, most=2)
    store.failing = "-3.meta"
    uploads.upload_later(_saved(uploads, 3))
    assert not uploads.later.settle(0.1)
    kept = uploads.keep_newest()
    assert kept
    copy_folder(kept, folder)
    shutil.rmtree(kept)
    assert latest_checkpoint(folder) == f"{folder}/model.ckpt-3"


def test_nothing_is_kept_of_a_checkpoint_that_is_uploaded(folder: Path, store: Store) -> None:
    uploads = UploadedCheckpoints(folder, most=2)
    uploads.upload_later(_saved(uploads, 3))
    assert uploads.later.settle(SECS)
    assert uploads.keep_newest() is None


def test_a_chief_that_was_replaced_uploads_nothing(folder: Path, store: Store) -> None:
    def check_lead() -> None:
        raise RunError("another chief")

    uploads = UploadedCheckpoints(folder, most=2, check_lead=check_lead)
    uploads.upload_later(_saved(uploads, 3))
    assert not uploads.later.settle(SECS)
    with pytest.raises(RunError, match="another chief"):
        uploads.later.check()
    assert store.names == []
