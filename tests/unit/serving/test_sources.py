"""Which version of a model is on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets.storage import path_of
from slim_train.serving.sources import FolderSource, fingerprint


def test_the_version_of_a_training_folder_is_the_step_of_its_newest_checkpoint(training_folder: Path) -> None:
    found = FolderSource("flowers", training_folder, 50.0).find()
    assert (found.path, found.number) == (training_folder, 7)


def test_of_numbered_saved_models_the_highest_number_is_found(tmp_path: Path) -> None:
    for number in ("9", "10"):
        (tmp_path / number).mkdir()
        (tmp_path / number / "saved_model.pb").write_bytes(b"")
    found = FolderSource("flowers", tmp_path, 50.0).find()
    assert (found.path, found.number) == (tmp_path / "10", 10)


@pytest.mark.parametrize("name", ["metrics.jsonl", "events.out.tfevents.1.host", ".hidden"])
def test_what_training_appends_to_is_no_new_version(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.pb").write_bytes(b"one")
    before = fingerprint(tmp_path)
    (tmp_path / name).write_text("more")
    assert fingerprint(tmp_path) == before


def _grow(file: Path) -> None:
    file.write_bytes(b"longer")


def _touch(file: Path) -> None:
    os.utime(file, (1, 1))


@pytest.mark.parametrize("change", [_grow, _touch, Path.unlink])
def test_another_size_or_time_or_a_file_less_is_another_version(change: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "model.pb").write_bytes(b"one")
    before = fingerprint(tmp_path)
    change(tmp_path / "model.pb")
    assert fingerprint(tmp_path) != before


def test_versions_at_a_url_count_when_their_last_file_is_there() -> None:
    url = path_of("ram://serving/export")
    (url / "9" / "saved_model.pb").write_bytes(b"9")
    (url / "10" / "variables" / "variables.index").write_bytes(b"10")
    source = FolderSource("flowers", url, 50.0)
    before = source.find()
    assert (before.path, before.number) == (url / "9", 9)
    (url / "10" / "saved_model.pb").write_bytes(b"10")
    found = source.find()
    assert (found.path, found.number) == (url / "10", 10)
    assert found.fingerprint != before.fingerprint
