"""The output folder of a conversion."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from datasets.errors import DataError
from datasets.output import AnotherConversion, publish, staging
from datasets.storage import path_of


def test_nothing_is_left_of_a_conversion_that_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), staging(tmp_path / "data" / "pets") as folder:
        (folder / "pets_train.tfrecord").touch()
        raise ZeroDivisionError
    assert not (tmp_path / "data").exists()


def test_what_a_killed_conversion_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".converting").mkdir()
    (tmp_path / ".converting" / "half").touch()
    with staging(tmp_path) as folder:
        assert not list(folder.iterdir())


def test_two_conversions_do_not_write_at_a_time(tmp_path: Path) -> None:
    with staging(tmp_path), pytest.raises(DataError, match="Another conversion is writing"), staging(tmp_path):
        pass


def test_the_old_records_of_a_data_set_give_way_and_those_of_others_stay(tmp_path: Path) -> None:
    for name in ("pets_train-00000-of-00002.tfrecord", "birds_train.tfrecord"):
        (tmp_path / name).touch()
    with staging(tmp_path) as folder:
        for name in ("pets_train.tfrecord", "labels.txt", "info.json"):
            (folder / name).write_text(name)
        publish(folder, tmp_path, "pets")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["birds_train.tfrecord", "info.json", "labels.txt", "pets_train.tfrecord"]


def test_a_conversion_into_a_url_that_is_refused_leaves_the_mark_of_the_one_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    url = path_of("ram://output/refused")
    with staging(url):
        with pytest.raises(AnotherConversion), staging(url):
            pass
        assert (url / ".converting").exists()
    assert not (url / ".converting").exists()


def test_records_that_another_user_may_have_planted_are_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    url = path_of("ram://output/planted")
    with staging(url) as folder:
        pass
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(DataError, match=f"Cannot use the folder {folder} .*only you can use.*TMPDIR"), staging(url):
        pass
    assert not (url / ".converting").exists()
