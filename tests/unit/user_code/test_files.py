"""A user's files as modules of one model alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slim_train.tf_compat import tf
from slim_train.user_code.files import UserFiles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.py").write_text("import helper\nimport tensorflow\nNUMBER = helper.NUMBER\n")
    (tmp_path / "helper.py").write_text("NUMBER = 1\n")
    return tmp_path


@pytest.fixture
def files(folder: Path) -> Iterator[UserFiles]:
    opened = UserFiles(folder)
    yield opened
    opened.close()


def test_a_file_imports_its_neighbour_which_nobody_else_sees(files: UserFiles) -> None:
    assert files.load("model").NUMBER == 1
    assert "helper" not in sys.modules
    with pytest.raises(ModuleNotFoundError):
        __import__("helper")


def test_tensorflow_is_that_of_version_1_in_the_file_and_stays_what_it_was_elsewhere(files: UserFiles) -> None:
    assert files.load("model").tensorflow.Session is tf.Session
    assert __import__("tensorflow") is not tf


def test_each_model_has_its_modules_as_the_files_were_when_it_was_loaded(
    folder: Path, files: UserFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # __pycache__ must not answer for the changed file
    monkeypatch.setattr(sys, "pycache_prefix", None)
    first = files.load("model")
    written = (folder / "helper.py").stat()
    (folder / "helper.py").write_text("NUMBER = 2\n")
    os.utime(folder / "helper.py", ns=(written.st_atime_ns, written.st_mtime_ns))  # within the clock's resolution
    second = UserFiles(folder)
    assert second.load("model").NUMBER == 2
    second.close()
    assert first.NUMBER == 1
    assert files.load("model") is first


def test_closing_forgets_the_modules_of_this_model_only(folder: Path, files: UserFiles) -> None:
    kept = files.load("model").__name__
    other = UserFiles(folder)
    forgotten = other.load("model").__name__
    other.close()
    assert kept in sys.modules
    assert forgotten not in sys.modules


def test_a_folder_of_weights_hides_no_library(folder: Path, files: UserFiles) -> None:
    (folder / "json").mkdir()
    (folder / "json" / "weights.bin").write_bytes(b"")
    (folder / "reads.py").write_text("import json\nTEXT = json.dumps([1])\n")
    assert files.load("reads").TEXT == "[1]"
