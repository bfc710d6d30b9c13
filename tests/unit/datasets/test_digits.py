from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.digits import DATASET, write_class_folders
from datasets.errors import DataError
from datasets.sources import Request


def test_the_digits_become_class_folders_of_full_contrast(tmp_path: Path) -> None:
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    write_class_folders(tmp_path)
    digits = sklearn_datasets.load_digits()
    assert sorted(path.name for path in tmp_path.iterdir()) == list("0123456789")
    assert len(list(tmp_path.glob("*/*.png"))) == 1797
    stored = np.asarray(Image.open(tmp_path / str(digits.target[5]) / "digit_0005.png"))
    np.testing.assert_array_equal(stored, np.round(digits.images[5] * 255 / 16))


def test_without_scikit_learn_one_learns_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match="pip install scikit-learn"):
        write_class_folders(tmp_path)


def test_class_folders_of_the_user_are_taken_instead(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "a.png").write_bytes(b"x")
    source = DATASET.open(Request(tmp_path, tmp_path / "out", tmp_path / "work", lambda *_: None))
    assert source.classes == ("7",)
