"""Class folders of small photos, one of them broken."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CLASSES = ("cat", "dog")


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Leave the environment as it was: a worker sets its own, for a process that does nothing else."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def image_dir(tmp_path: Path, photo: Callable[..., bytes]) -> Path:
    """Two classes of five JPEGs each; ``dog/broken.jpg`` is cut short."""
    folder = tmp_path / "images"
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for index in range(5):
            (folder / name / f"{index}.jpg").write_bytes(photo(size=(90 - index, 70), seed=10 * number + index))
    (folder / "dog" / "broken.jpg").write_bytes(photo(seed=3)[:-200])
    return folder
