"""Checkpoints at URLs that TensorFlow does not serve, on the file system in memory of fsspec."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets.storage import copy_folder, path_of
from slim_train.checkpoints import copies
from slim_train.checkpoints.find import latest_checkpoint, repair_state, saved_checkpoints, step_of, write_state
from slim_train.checkpoints.uploads import UploadedCheckpoints
from slim_train.errors import RunError

pytest.importorskip("fsspec")


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path, save: Callable[..., None]) -> str:
    """A folder with the checkpoints of the steps 1, 2 and 3."""
    save(tmp_path, steps=(1, 2, 3))
    folder = f"memory://copies/{request.node.name}"
    copy_folder(tmp_path, path_of(folder))
    write_state(path_of(folder), "model.ckpt-3", [f"model.ckpt-{step}" for step in (1, 2, 3)])
    return folder


def test_a_checkpoint_is_found_and_read(url: str) -> None:
    assert latest_checkpoint(url) == f"{url}/model.ckpt-3"
    assert step_of(f"{url}/model.ckpt-3") == 3
    assert "global_step" in copies.shapes(f"{url}/model.ckpt-2")


def test_looking_at_names_copies_no_values(url: str) -> None:
    with copies.opened(f"{url}/model.ckpt-1", with_values=False) as prefix:
        assert [path.name for path in Path(prefix).parent.iterdir()] == ["model.ckpt-1.index"]
    assert not Path(prefix).parent.exists()


def test_a_copy_is_used_again_until_others_follow_or_the_checkpoint_changes(url: str) -> None:
    with copies.opened(f"{url}/model.ckpt-1") as first:
        pass
    with copies.opened(f"{url}/model.ckpt-1") as again:
        assert again == first
        for step in (2, 3):
            with copies.opened(f"{url}/model.ckpt-{step}"):
                pass
        assert Path(f"{again}.index").is_file()  # in use
    assert not Path(f"{again}.index").exists()
    with copies.opened(f"{url}/model.ckpt-3") as before:
        (path_of(url) / "model.ckpt-3.index").write_bytes((path_of(url) / "model.ckpt-2.index").read_bytes())
    with copies.opened(f"{url}/model.ckpt-3") as after:
        assert after != before


def test_repair_names_the_newest_complete_checkpoint(url: str) -> None:
    (path_of(url) / "model.ckpt-3.data-00000-of-00001").unlink()
    assert repair_state(url) == f"{url}/model.ckpt-2"
    assert 'model_checkpoint_path: "model.ckpt-2"' in (path_of(url) / "checkpoint").read_text()
    assert saved_checkpoints(url) == [f"{url}/model.ckpt-1", f"{url}/model.ckpt-2"]


def test_a_state_that_is_no_text_is_ignored(url: str) -> None:
    (path_of(url) / "checkpoint").write_text("no state")
    assert latest_checkpoint(url) == f"{url}/model.ckpt-3"


def test_a_store_that_does_not_answer_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object, **more: object) -> None:
        raise OSError(5, "away", f"{url}/checkpoint")

    monkeypatch.setattr(type(path_of(url)), "read_text", fails)
    with pytest.raises(RunError, match=f"Cannot read {url}/checkpoint: away"):
        latest_checkpoint(url)


def test_the_index_is_uploaded_last_and_old_checkpoints_go(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, uploaded = path_of(url), []
    monkeypatch.setattr(
        "slim_train.checkpoints.uploads.copy_file",
        lambda source, target: (uploaded.append(target.name), target.write_bytes(source.read_bytes())),
    )
    uploads = UploadedCheckpoints(folder, most=2)
    uploads.recover(saved_checkpoints(url))
    with uploads.saving("model.ckpt-4") as prefix:
        for suffix in ("index", "data-00000-of-00001", "meta"):
            Path(f"{prefix}.{suffix}").write_bytes((folder / f"model.ckpt-3.{suffix}").read_bytes())
    assert uploaded == ["model.ckpt-4.data-00000-of-00001", "model.ckpt-4.meta", "model.ckpt-4.index"]
    assert latest_checkpoint(url) == f"{url}/model.ckpt-3"
    uploads.make_latest(f"{url}/model.ckpt-4")
    assert saved_checkpoints(url) == [f"{url}/model.ckpt-3", f"{url}/model.ckpt-4"]
    assert latest_checkpoint(url) == f"{url}/model.ckpt-4"
    with copies.opened(f"{url}/model.ckpt-4") as here:
        assert here == str(prefix)  # what was uploaded need not be copied


def test_an_upload_that_fails_leaves_no_folder_here(url: str) -> None:
    uploads = UploadedCheckpoints(path_of(url), most=2)
    with pytest.raises(RuntimeError), uploads.saving("model.ckpt-4") as prefix:
        raise RuntimeError
    assert not prefix.parent.exists()


def _kept(url: str) -> str:
    """Return the prefix of step 3, with its files kept as a copy."""
    here = Path(tempfile.mkdtemp())
    copy_folder(path_of(url), here)
    copies.keep(f"{url}/model.ckpt-3", here)
    return f"{url}/model.ckpt-3"


def _silence(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    def fails(*arguments: object) -> None:
        raise OSError(5, "away", url)

    for name in ("stat", "is_file", "download"):
        monkeypatch.setattr(type(path_of(url)), name, fails)


def test_an_outage_after_a_save_does_not_matter_to_what_looks_at_the_checkpoint(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = _kept(url)
    _silence(monkeypatch, url)
    assert "global_step" in copies.shapes(prefix)
    with copies.opened(prefix) as here:
        assert Path(f"{here}.index").is_file()


def test_a_store_that_goes_away_at_the_end_of_a_save_fails_no_save(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        _silence(patch, url)
        prefix = f"{url}/model.ckpt-3"
        here = Path(tempfile.mkdtemp())
        copies.keep(prefix, here)
        with copies.opened(prefix) as copy:
            assert Path(copy).parent == here
    with copies.opened(prefix) as copy:  # it answers again, and may hold something else
        assert Path(copy).parent != here
    assert not here.exists()


def test_a_download_holds_up_no_other_checkpoint(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, fetch, started, may_end = _kept(url), copies._fetch, threading.Event(), threading.Event()

    def slow(prefix: str, *arguments: object, **more: object) -> str:
        started.set()
        assert may_end.wait(10)
        return fetch(prefix, *arguments, **more)  # type: ignore[arg-type]

    def use() -> None:
        with copies.opened(f"{url}/model.ckpt-1"):
            pass

    monkeypatch.setattr(copies, "_fetch", slow)
    downloads = threading.Thread(target=use)
    downloads.start()
    assert started.wait(10)
    seen: list[str] = []
    looks = threading.Thread(target=lambda: seen.extend(copies.shapes(kept)))
    looks.start()
    looks.join(5)
    found_meanwhile = list(seen)
    may_end.set()
    downloads.join()
    looks.join()
    assert "global_step" in found_meanwhile


def test_two_who_ask_for_a_checkpoint_at_the_same_time_download_it_once(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched, fetch = [], copies._fetch
    monkeypatch.setattr(copies, "_fetch", lambda *arguments: (fetched.append(1), fetch(*arguments))[1])

    def use() -> None:
        with copies.opened(f"{url}/model.ckpt-1"):
            pass

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetched) == 1


def test_brackets_in_the_name_of_a_checkpoint_are_no_pattern(url: str) -> None:
    folder = path_of(url)
    for suffix in ("index", "data-00000-of-00001"):
        (folder / f"net[1].{suffix}").write_bytes((folder / f"model.ckpt-1.{suffix}").read_bytes())
    with copies.opened(f"{url}/net[1]") as here:
        assert Path(f"{here}.data-00000-of-00001").is_file()
