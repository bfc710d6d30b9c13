"""ImageNet as research/slim's converter leaves it."""

from __future__ import annotations

from pathlib import Path

from datasets import imagenet
from datasets.factory import get_dataset


def test_its_published_sizes_stand_in_for_info_json(tmp_path: Path) -> None:
    for shard in range(2):
        (tmp_path / f"validation-{shard:05d}-of-00002").touch()
    dataset = get_dataset(imagenet.NAME, "validation", tmp_path)
    assert (dataset.num_samples, dataset.num_classes, len(dataset.files)) == (50_000, 1001, 2)
    (tmp_path / "labels.txt").write_text("0:background\n1:tench\n")
    assert imagenet.published_info(tmp_path).labels == ("background", "tench")
