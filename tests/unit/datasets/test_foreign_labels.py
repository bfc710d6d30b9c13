"""Class names for the labels of records."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.errors import DataError
from datasets.foreign_labels import KnownClasses, known_classes, labels_of_numbers, labels_of_text
from datasets.tfds import Features


def test_the_names_of_a_folder_come_before_those_of_a_training(tmp_path: Path) -> None:
    features = Features("image", "kind", {"kind": 4})
    assert known_classes(tmp_path, "kind", Features(), None).names is None
    assert known_classes(tmp_path, "kind", features, None).names == ("0", "1", "2", "3")
    assert known_classes(tmp_path, "kind", features, ("cat", "dog")).names == ("cat", "dog")
    (tmp_path / "kind.labels.txt").write_text("emu\nfox\n")
    assert known_classes(tmp_path, "kind", features, ("cat", "dog")).names == ("emu", "fox")
    (tmp_path / "labels.txt").write_text("0:ape\n")
    assert known_classes(tmp_path, "kind", features, ("cat", "dog")).names == ("ape",)


def test_class_names_are_numbered_in_their_order(tmp_path: Path) -> None:
    assert labels_of_text(KnownClasses(None, "labels.txt"), ["dog", "cat"], tmp_path) == ("cat", "dog")
    with pytest.raises(DataError, match=r"the class 'dog' is not in labels\.txt"):
        labels_of_text(KnownClasses(("cat",), "labels.txt"), ["dog", "cat"], tmp_path)
    with pytest.raises(DataError, match=r"the classes 'a', 'b', 'c', 'd', 'e' and 2 more are not in labels\.txt"):
        labels_of_text(KnownClasses(("cat",), "labels.txt"), "abcdefg", tmp_path)


def test_the_background_of_a_training_is_not_added_again(tmp_path: Path) -> None:
    trained = KnownClasses(("background", "cat", "dog"), "labels.txt", is_trained=True)
    assert labels_of_numbers(trained, ["1", "2"], 1, tmp_path, tmp_path) == trained.names
