"""The cost of decoding the images of a data set."""

from __future__ import annotations

from pathlib import Path

from datasets.spec import DatasetSpec
from datasets.tfrecords import image_example, write_records
from slim_train.inputs.decoding_speed import measure_decoding


def _dataset(path: Path, images: list[bytes]) -> DatasetSpec:
    write_records(path, [image_example(data, "jpeg", 0, "a", 1, 1, "x") for data in images])
    return DatasetSpec("x", "train", str(path.parent), (str(path),), 1, len(images), ("a",))


def test_the_first_images_tell_the_cost_and_the_size(tmp_path: Path, photo) -> None:
    cost = measure_decoding(_dataset(tmp_path / "x", [photo(size=(640, 480)), photo(), photo()]), 224)
    assert cost is not None
    assert cost.side == 90
    assert 0 < cost.seconds < 10


def test_what_cannot_be_read_has_no_cost(tmp_path: Path) -> None:
    assert measure_decoding(_dataset(tmp_path / "x", [b"broken"]), 224) is None
    (tmp_path / "x").unlink()
    (tmp_path / "x").write_bytes(b"broken")
    assert measure_decoding(DatasetSpec("x", "train", "", (str(tmp_path / "x"),), 1, 1, ("a",)), 224) is None
