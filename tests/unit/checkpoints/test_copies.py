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


def _kept(url: str, name: str = "model.ckpt-3") -> str:
    """Return the prefix of a checkpoint, with its files kept."""
    here = Path(tempfile.mkdtemp())
    copy_folder(path_of(url), here)
    copies.keep(f"{url}/{name}", here)
    return f"{url}/{name}"


def test_a_checkpoint_that_is_written_here_is_read_without_asking_the_store(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = _kept(url)
    for name in ("stat", "is_file", "download"):
        monkeypatch.setattr(type(path_of(url)), name, lambda *arguments: pytest.fail("the store is asked"))
    assert "global_step" in copies.shapes(prefix)
    with copies.opened(prefix) as here:
        assert Path(f"{here}.index").is_file()


def test_a_checkpoint_that_is_written_here_no_longer_may_be_replaced_by_others(url: str) -> None:
    prefix, others = _kept(url), _kept(url, "model.ckpt-2")
    with copies.opened(prefix) as first:
        pass
    copies.disown(path_of(url), asks=True)
    with copies.opened(prefix) as here:
        assert here == first
    (path_of(url) / "model.ckpt-3.index").write_bytes((path_of(url) / "model.ckpt-1.index").read_bytes())
    with copies.opened(prefix) as here:
        assert here != first
    with copies.opened(others) as here:
        assert Path(here).name == "model.ckpt-2"


def test_a_checkpoint_that_was_never_uploaded_is_forgotten(url: str) -> None:
    prefix = _kept(url)
    with copies.opened(prefix) as first:
        pass
    copies.disown(path_of(url), asks=False)
    with copies.opened(prefix) as here:
        assert here != first
    assert not Path(first).parent.exists()


def test_an_outage_after_the_training_does_not_matter_to_what_looks_at_the_checkpoint(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = _kept(url)
    copies.disown(path_of(url), asks=True)

    def fails(*arguments: object) -> None:
        raise OSError(5, "away", url)

    for name in ("stat", "is_file", "download"):
        monkeypatch.setattr(type(path_of(url)), name, fails)
    assert "global_step" in copies.shapes(prefix)


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
