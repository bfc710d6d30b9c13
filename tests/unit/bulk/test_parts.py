from __future__ import annotations

from pathlib import Path

import pytest

from slim_train.bulk.image_rows import ImageRow
from slim_train.bulk.parts import Part, PartDone, default_size, finished, run_here, split_into_parts

ROWS = [ImageRow(f"{number}.jpg") for number in range(7)]


def test_parts_hold_each_image_once_in_order() -> None:
    parts = split_into_parts(ROWS, 3)
    assert [len(part.rows) for part in parts] == [3, 3, 1]
    assert [row for part in parts for row in part.rows] == ROWS
    assert len({part.file for part in parts}) == 3


@pytest.mark.parametrize(
    ("images", "parts"),
    [(0, 0), (5, 1), (499, 1), (500, 2), (1250, 4), (2569, 8), (14_000, 16), (1_000_000, 1000), (1_000_001, 1008)],
)
def test_tasks_of_a_cluster_end_together_with_the_default_size(images: int, parts: int) -> None:
    size = default_size(images)
    assert size <= 1000
    assert -(-images // size) == parts


def test_images_of_finished_parts_are_counted(tmp_path: Path) -> None:
    parts = split_into_parts(ROWS, 3)

    def write(part: Part) -> PartDone:
        (tmp_path / part.file).touch()
        return PartDone(part.file, len(part.rows), 0)

    done = list(run_here(parts[:2], write, 6))
    assert [part.file for part in done] == [part.file for part in parts[:2]]
    assert finished(tmp_path, parts) == 6
