"""``st.load``: whatever holds a classifier, and what the user knows better."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import slim_train as st

NAMES = ["a", "b", "c", "d", "e"]


def test_a_training_folder_predicts(training_folder: Path, photo: Callable[..., bytes]) -> None:
    with st.load(training_folder) as classifier:
        first, second = classifier.predict([photo(seed=1), photo(seed=2)], top=2)
    assert first.label == first.top[0][0]
    assert (len(first.top), len(second.top)) == (2, 2)
    assert first.to_dict()["label"] in ("daisy", "dandelion", "roses", "sunflowers", "tulips")


def test_labels_are_names_or_a_file_of_names(training_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    for labels in (NAMES, tmp_path / "names.txt"):
        with st.load(training_folder, labels=labels) as classifier:
            assert list(classifier.labels) == NAMES


def test_what_describes_another_kind_of_model_is_refused(training_folder: Path) -> None:
    with pytest.raises(st.UsageError, match="input_mean"):
        st.load(training_folder, input_mean=127.5)


def test_where_there_is_no_model_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(st.UsageError, match="holds no classifier"):
        st.load(tmp_path)


def test_a_url_that_nothing_serves_is_refused() -> None:
    with pytest.raises(st.UsageError, match="swift://bucket/export is a URL.*nstall"):
        st.load("swift://bucket/export")


def test_a_file_url_names_a_path_of_this_machine(tmp_path: Path) -> None:
    with pytest.raises(st.UsageError, match=f"^{tmp_path}/gone does not exist"):
        st.load(f"file://{tmp_path}/gone")
    with pytest.raises(st.UsageError, match=r"load\(\): file://models/fer must be file:///absolute/path"):
        st.load("file://models/fer")
