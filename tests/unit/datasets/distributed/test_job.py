from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from datasets.class_folders import ClassFolder
from datasets.distributed.job import Settings, read_folders, read_settings, write_folders, write_settings
from datasets.errors import DataError
from datasets.shrinking import Shrinking


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(str(tmp_path), str(tmp_path / "out"), "pets", False, 0.25, "random", 3, 4, False, Shrinking(512))


def test_settings_and_folders_reach_the_tasks_as_they_are(tmp_path: Path, settings: Settings) -> None:
    folders = [ClassFolder("train", "train/b\u00e4r"), ClassFolder("train", os.fsdecode(b"train/\xff"))]
    write_settings(tmp_path, settings)
    write_folders(tmp_path, folders)
    assert read_settings(tmp_path) == settings
    assert read_folders(tmp_path) == folders


def test_a_worker_that_does_not_see_the_output_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"does not see --dataset_dir={tmp_path}: the folder must be shared"):
        read_settings(tmp_path / ".converting" / "job-1")


def test_a_worker_that_does_not_see_the_images_says_so(tmp_path: Path, settings: Settings) -> None:
    write_settings(tmp_path, dataclasses.replace(settings, root="/nowhere/images"))
    with pytest.raises(DataError, match="does not see --pic_path=/nowhere/images: the folder must be shared"):
        read_settings(tmp_path)


def test_a_class_is_divided_if_it_comes_without_splits(settings: Settings) -> None:
    assert settings.is_divided
    assert not dataclasses.replace(settings, is_split=True).is_divided
    assert not dataclasses.replace(settings, test_fraction=0.0).is_divided
