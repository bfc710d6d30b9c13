"""One pass over the images of a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import tensorflow.compat.v1 as tf

from datasets.class_folders import scan
from datasets.errors import DataError
from datasets.image_list import ImageList
from datasets.local_images import list_source
from datasets.manifests import take_over
from datasets.tally import Tally
from datasets.tfrecords import scan_records
from datasets.writing import RecordWriter, write_rejected

MakeFolders = Callable[[Mapping[str, int]], Path]


def _write(images: Path, folder: Path, *, num_shards: int = 2, stop: bool = False) -> tuple[Tally, list[int]]:
    """What the pass over ``images`` met, and how many images it said were done, each time."""
    source, done = scan(images), []
    (folder / "list").mkdir(parents=True, exist_ok=True)
    take_over(folder / "records", folder)
    writer = RecordWriter(
        folder / "records", "pets", num_shards, num_workers=1, flags="", stop_at_bad_image=stop,
        on_progress=lambda what, count, total, unit: done.append(count),
    )  # fmt: skip
    listed = list_source(source, lambda _: ImageList(folder / "list", 0, None))
    return writer.write(source.reader, source.classes, listed.order(source.classes, num_shards, {})), done


def test_every_image_is_in_one_of_the_files_under_the_label_of_its_class(
    class_folders: MakeFolders, tmp_path: Path
) -> None:
    tally, done = _write(class_folders({"cat": 4, "dog": 3}), tmp_path)
    files = sorted((tmp_path / "records").glob("*.tfrecord"))
    assert [file.name for file in files] == [f"pets_train-0000{n}-of-00002.tfrecord" for n in range(2)]
    features = [
        tf.train.Example.FromString(record).features.feature for file in files for _, record in scan_records(file)
    ]
    written = sorted(
        (held["image/filename"].bytes_list.value[0].decode(), held["image/class/label"].int64_list.value[0])
        for held in features
    )
    assert written == [(f"cat/{n}.jpg", 0) for n in range(4)] + [(f"dog/{n}.jpg", 1) for n in range(3)]
    assert tally.class_counts == {"train": [4, 3]}
    assert (tally.heights, tally.widths) == ((8, 8), (12, 12))
    assert tally.num_bytes == sum(file.stat().st_size for file in files)
    assert done == [3, 7]


def test_a_bad_image_is_left_out_counted_and_listed(class_folders: MakeFolders, tmp_path: Path) -> None:
    images = class_folders({"cat": 3, "dog": 3})
    (images / "dog" / "1.jpg").write_bytes(b"no image")
    tally, _ = _write(images, tmp_path)
    assert tally.class_counts == {"train": [3, 2]}
    write_rejected(tmp_path / "rejected.csv", tally.rejections, ("cat", "dog"))
    heading, row = (tmp_path / "rejected.csv").read_text().splitlines()
    assert heading == "file,split,class,reason,detail"
    assert row.startswith("dog/1.jpg,train,dog,")


def test_the_pass_can_stop_at_a_bad_image_and_names_it(class_folders: MakeFolders, tmp_path: Path) -> None:
    images = class_folders({"cat": 3})
    (images / "cat" / "2.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"Bad image cat/2\.jpg: empty file\."):
        _write(images, tmp_path, stop=True)


def test_more_files_than_images_are_refused(class_folders: MakeFolders, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="num_shards=4 is more than split 'train' has images: 3"):
        _write(class_folders({"cat": 3}), tmp_path, num_shards=4)
