"""The confusion matrix as an image."""

from __future__ import annotations

import logging
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from slim_train.reports import plotting
from slim_train.reports.confusion_matrix import draw_confusion_matrix


@pytest.fixture(autouse=True)
def no_missing_glyphs():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Glyph")  # "Glyph 29483 missing from font"
        yield


def draw(path, matrix, labels):
    pytest.importorskip("matplotlib")
    assert draw_confusion_matrix(path, np.array(matrix), labels, "test · 3 images")
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype(int)


def share_of(pixels, is_colour):
    return is_colour(*np.moveaxis(pixels, -1, 0)).mean()


def is_blue(red, green, blue):
    return blue > red + 60


def is_orange(red, green, blue):
    return red > blue + 60


def test_right_predictions_are_blue_and_wrong_ones_orange(tmp_path):
    right = draw(tmp_path / "right.png", [[5, 0], [0, 5]], ["cat", "dog"])
    wrong = draw(tmp_path / "wrong.png", [[0, 5], [5, 0]], ["cat", "dog"])
    assert share_of(right, is_blue) > 5 * share_of(right, is_orange)
    assert share_of(wrong, is_orange) > 5 * share_of(wrong, is_blue)


def test_colours_follow_the_share_of_the_true_class_not_the_counts(tmp_path):
    few = draw(tmp_path / "few.png", [[1, 0], [0, 10_000]], ["cat", "dog"])
    many = draw(tmp_path / "many.png", [[5000, 0], [0, 5000]], ["cat", "dog"])
    assert share_of(few, is_blue) == pytest.approx(share_of(many, is_blue), rel=0.05)


@pytest.mark.parametrize(
    "num_classes", [1, 2, 30, *(pytest.param(number, marks=pytest.mark.slow) for number in (102, 300))]
)
def test_any_number_of_classes_gives_a_picture_of_sensible_size(tmp_path, num_classes):
    matrix = np.random.default_rng(0).integers(0, 9, (num_classes, num_classes))
    pixels = draw(tmp_path / "matrix.png", matrix, [f"a class with a long name {i}" for i in range(num_classes)])
    assert 300 < pixels.shape[0] < 3000
    assert 300 < pixels.shape[1] < 3000


def test_names_in_any_script_and_dollars_are_drawn_without_a_warning(tmp_path):
    names = ["القطط", "猫", "$x_1$ % \\alpha", "two\nlines", "\U0003fffd", ""]
    draw(tmp_path / "matrix.png", np.eye(6, dtype=int), names)


def test_classes_without_images_are_drawn_empty(tmp_path):
    pixels = draw(tmp_path / "matrix.png", np.zeros((3, 3), int), ["a", "b", "c"])
    assert share_of(pixels, is_orange) < 0.05


def test_without_matplotlib_nothing_is_drawn_and_one_line_says_what_to_install(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    plotting.has_matplotlib.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert not draw_confusion_matrix(tmp_path / "matrix.png", np.eye(2, dtype=int), ["a", "b"])
    plotting.has_matplotlib.cache_clear()
    assert caplog.text.count("pip install 'slim-train[plots]'") == 1
    assert list(tmp_path.iterdir()) == []
