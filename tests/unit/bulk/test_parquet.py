from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slim_train.bulk import parquet
from slim_train.bulk.image_rows import ImageRow
from slim_train.errors import UsageError

pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra [parquet])")

ROWS = [ImageRow("a.jpg", 0, "cat", "training"), ImageRow("b.jpg")]
FACTS = {"identity": "1", "model": "net"}


def test_a_part_has_a_row_per_image_with_null_vectors_where_it_was_rejected(tmp_path: Path) -> None:
    vectors = {"features": np.arange(6, dtype=np.float32).reshape(2, 3)}
    parquet.write_part(tmp_path / "part-1.parquet", ROWS, vectors, [None, "not an image"])
    table = pq.read_table(tmp_path)
    assert table.to_pylist() == [
        {"path": "a.jpg", "label": 0, "class": "cat", "split": "training", "features": [0, 1, 2], "error": None},
        {"path": "b.jpg", "label": None, "class": None, "split": None, "features": None, "error": "not an image"},
    ]
    assert str(table.schema.field("features").type) == "list<element: float>"


def test_the_name_of_a_part_depends_on_its_images_alone() -> None:
    assert parquet.part_name(ROWS) == parquet.part_name([ImageRow("a.jpg"), ImageRow("b.jpg")])
    assert parquet.part_name(ROWS) != parquet.part_name(ROWS[:1])


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(UsageError, match="holds other files, such as thesis.txt"):
        parquet.prepare_folder(tmp_path, FACTS, overwrite=False)


def test_results_of_another_net_are_refused_unless_they_may_be_deleted(tmp_path: Path) -> None:
    parquet.prepare_folder(tmp_path, FACTS, overwrite=False)
    parquet.write_part(tmp_path / "part-1.parquet", ROWS, {}, [None, None])
    parquet.prepare_folder(tmp_path, {**FACTS, "model": "the same elsewhere"}, overwrite=False)
    with pytest.raises(UsageError, match="results with another identity: 1, not 2"):
        parquet.prepare_folder(tmp_path, {**FACTS, "identity": "2"}, overwrite=False)
    parquet.prepare_folder(tmp_path, {**FACTS, "identity": "2"}, overwrite=True)
    assert parquet.part_files(tmp_path) == []


def test_temporary_files_of_killed_tasks_are_swept(tmp_path: Path) -> None:
    (tmp_path / ".part-1.aaaa.parquet").touch()
    (tmp_path / ".job-12").mkdir()
    parquet.prepare_folder(tmp_path, FACTS, overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == [parquet.MODEL_FILE]


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    (tmp_path / "part-1.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match=r"part-1.parquet cannot be read"):
        list(parquet.stored_paths(tmp_path))
