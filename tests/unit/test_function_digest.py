"""Digests of what functions do."""

from __future__ import annotations

import functools
import importlib.util
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slim_train.function_digest import function_digest
from slim_train.tf_compat import tf

STRENGTH = 0.3
SOURCE = """
STRENGTH = 0.3
def half(x):
    return x / 2
def augment(images, seed):
    return [half(image) * STRENGTH for image in images]
def unused():
    return 1
"""


def module_of(source: str, path: Path) -> Any:
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("of_user", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("STRENGTH = 0.3", "# Comments do not count.\nSTRENGTH = 0.3", False),
        ("return 1", "return 2", False),
        ("STRENGTH = 0.3", "STRENGTH = 0.4", True),
        ("x / 2", "x / 3", True),
        ("half(image)", "abs(image)", True),
        ("seed):", "seed=7):", True),
    ],
)
def test_the_digest_changes_with_what_the_function_does(before: str, after: str, changes: bool, tmp_path: Path) -> None:
    first = function_digest(module_of(SOURCE, tmp_path / "first.py").augment)
    second = function_digest(module_of(SOURCE.replace(before, after, 1), tmp_path / "second.py").augment)
    assert (second != first) == changes


def test_the_digest_is_the_same_in_another_process(tmp_path: Path) -> None:
    own = function_digest(module_of(SOURCE, tmp_path / "of_user.py").augment)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import of_user\n"
        "from slim_train.function_digest import function_digest; print(function_digest(of_user.augment))"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == own


def make(strength: float) -> Any:
    return lambda images, seed: images * strength


class Noise:
    """An augmentation with settings."""

    def __init__(self, strength: Any) -> None:
        self.strength = strength

    def __call__(self, images: Any, seed: Any) -> Any:
        return images * self.strength

    def twice(self, images: Any, seed: Any) -> Any:
        return self(self(images, seed), seed)


@pytest.mark.parametrize(
    "variant",
    [
        make,
        Noise,
        lambda strength: Noise(strength).twice,
        lambda strength: functools.partial(Noise(1.0).twice, seed=strength),
        lambda strength: Noise(np.full(3, strength)),
        lambda strength: Noise({"by": [strength, {1, 2}]}),
        lambda strength: tf.function(make(strength), autograph=False),
    ],
    ids=["closure", "object", "method", "partial", "array", "containers", "tf.function"],
)
def test_the_digest_changes_with_settings(variant: Any) -> None:
    assert function_digest(variant(0.1)) == function_digest(variant(0.1)) != function_digest(variant(0.2))


def test_functions_that_call_each_other_have_a_digest(tmp_path: Path) -> None:
    source = "def even(n):\n    return n == 0 or odd(n - 1)\ndef odd(n):\n    return n != 0 and even(n - 1)\n"
    assert function_digest(module_of(source, tmp_path / "mutual.py").even)


def test_other_packages_count_by_their_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def augment(images: Any, seed: Any) -> Any:
        return tf.image.flip_left_right(images) * math.pi * np.float32(STRENGTH)

    before = function_digest(augment)
    assert function_digest(augment) == before
    monkeypatch.setattr(sys.modules["tensorflow"], "__version__", "99")
    assert function_digest(augment) != before


def test_an_object_that_cannot_be_read_is_never_taken_for_another() -> None:
    assert function_digest(Noise(tf.Graph())) != function_digest(Noise(tf.Graph()))
