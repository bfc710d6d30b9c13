"""Records that were not converted here."""

from __future__ import annotations

import gzip
import io
import json
import logging
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets import scan
from datasets.errors import DataError
from datasets.factory import get_dataset
from datasets.foreign import RecordsAsTold
from datasets.tfrecords import frame
from slim_train.tf_compat import tf


def _png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((6, 5), shade, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _feature(value: Any) -> Any:
    """A feature of the one value or the values given."""
    values = value if isinstance(value, list) else [value]
    if isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _example(**values: Any) -> bytes:
    features = {key.replace("__", "/"): _feature(value) for key, value in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _slim(label: int, shade: int = 9) -> bytes:
    """A record as research/slim's converter of flowers writes it."""
    values = {"image__encoded": _png(shade), "image__format": b"png", "image__class__label": label}
    return _example(**values, image__height=6, image__width=5)


def _write(path: Path, records: Sequence[bytes], pack: Callable[[bytes], bytes] = bytes) -> Path:
    path.write_bytes(pack(b"".join(map(frame, records))))
    return path


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (["flowers_train_00000-of-00002.tfrecord", "flowers_train_00001-of-00002.tfrecord"], "train"),
        (["flowers_validation-00000-of-00001.tfrecord"], "validation"),
        (["train-00000-of-00001"], "train"),
        (["my-pets-train.tfrecord-00000-of-00001"], "train"),
        (["train.tfrecord"], "train"),
        (["test.tfrecords"], "test"),
        (["val.tfrec"], "val"),
        (["train-00000-of-00001.tfrec"], "train"),
        (["train.tfrecord.gz"], "train"),
        (["everything.tfrecord"], "train"),
    ],
)
def test_every_layout_opens_without_a_description(tmp_path: Path, names: list[str], split: str) -> None:
    (tmp_path / "labels.txt").write_text("0:daisy\n1:roses\n")
    for name in names:
        _write(tmp_path / name, [_slim(0), _slim(1), _slim(1)])
    dataset = get_dataset(None, split, tmp_path)
    assert (dataset.num_samples, dataset.labels) == (3 * len(names), ("daisy", "roses"))
    assert dataset.class_counts == (len(names), 2 * len(names))


@pytest.mark.parametrize(("pack", "compression"), [(gzip.compress, "GZIP"), (zlib.compress, "ZLIB")])
def test_compression_is_seen_in_the_file(tmp_path: Path, pack: Callable[[bytes], bytes], compression: str) -> None:
    _write(tmp_path / "train.tfrecord", [_slim(0), _slim(1)], pack)
    dataset = get_dataset(None, "train", tmp_path)
    assert (dataset.records.compression, dataset.num_samples) == (compression, 2)


def test_keys_that_alone_can_be_meant_are_found(tmp_path: Path) -> None:
    record = {"picture": _png(1), "species": 1, "height": 6, "weight": 0.5, "boxes": [1, 2, 3]}
    _write(tmp_path / "train.tfrecord", [_example(**record), _example(**{**record, "species": 0})])
    found = get_dataset(None, "train", tmp_path).records
    assert (found.image_key, found.label_key, found.label_kind) == ("picture", "species", "number")


def test_of_two_candidates_one_must_be_named(tmp_path: Path) -> None:
    _write(tmp_path / "train.tfrecord", [_example(left=_png(1), right=_png(2), breed=0, color=0)])
    with pytest.raises(DataError, match="left and right could each be an image: name one with --image_key"):
        get_dataset(None, "train", tmp_path)
    with pytest.raises(DataError, match="breed and color could each be a label: name one with --label_key"):
        get_dataset(None, "train", tmp_path, told=RecordsAsTold(image_key="left"))
    told = RecordsAsTold(image_key="left", label_key="color")
    assert get_dataset(None, "train", tmp_path, told=told).records.label_key == "color"
    with pytest.raises(DataError, match="Unknown --label_key 'colour'.*Did you mean color"):
        get_dataset(None, "train", tmp_path, told=RecordsAsTold(image_key="left", label_key="colour"))


def test_class_names_may_be_the_labels(tmp_path: Path) -> None:
    _write(tmp_path / "train.tfrecord", [_example(image=_png(1), text=name) for name in (b"rose", b"daisy", b"rose")])
    dataset = get_dataset(None, "train", tmp_path)
    assert (dataset.labels, dataset.class_counts, dataset.records.label_kind) == (("daisy", "rose"), (1, 2), "text")
    (tmp_path / "labels.txt").write_text("0:daisy\n1:tulip\n")
    with pytest.raises(DataError, match="the class 'rose' is not in"):
        get_dataset(None, "train", tmp_path)


def test_labels_may_be_one_hot(tmp_path: Path) -> None:
    _write(tmp_path / "train.tfrecord", [_example(image=_png(1), label=hot) for hot in ([0, 1, 0], [0, 0, 1])])
    dataset = get_dataset(None, "train", tmp_path)
    assert (dataset.records.label_kind, dataset.class_counts) == ("one_hot", (0, 1, 1))


def test_labels_that_begin_at_one_need_an_offset(tmp_path: Path) -> None:
    _write(tmp_path / "train.tfrecord", [_slim(1), _slim(2)])
    with pytest.raises(DataError, match="labels run from 1 to 2: --labels_offset=1 makes them begin at 0"):
        get_dataset(None, "train", tmp_path)
    (tmp_path / "labels.txt").write_text("daisy\nroses\n")
    dataset = get_dataset(None, "train", tmp_path, told=RecordsAsTold(labels_offset=1))
    assert dataset.labels == ("background", "daisy", "roses")


def test_without_names_classes_are_numbered_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _write(tmp_path / "train.tfrecord", [_slim(0), _slim(2)])
    assert get_dataset(None, "train", tmp_path).labels == ("0", "1", "2")
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING] == [
        f"{tmp_path} has no labels.txt: classes are called by their numbers."
    ]


def test_the_names_of_tensorflow_datasets_are_read(tmp_path: Path) -> None:
    (tmp_path / "label.labels.txt").write_text("daisy\nroses\n")
    record = _example(image=_png(1), label=1)
    _write(tmp_path / "my_flowers-train.tfrecord-00000-of-00001", [record])
    assert get_dataset(None, "train", tmp_path).labels == ("daisy", "roses")


def test_of_two_data_sets_in_a_folder_one_must_be_named(tmp_path: Path) -> None:
    for name in ("cats_train.tfrecord", "dogs_train.tfrecord"):
        _write(tmp_path / name, [_slim(0)])
    with pytest.raises(DataError, match="holds several data sets: cats, dogs; name one with --dataset_name"):
        get_dataset(None, "train", tmp_path)
    assert Path(get_dataset("dogs", "train", tmp_path).files[0]).name == "dogs_train.tfrecord"
    with pytest.raises(DataError, match="Unknown data set 'dog'.*Did you mean dogs"):
        get_dataset("dog", "train", tmp_path)


def test_a_pattern_names_the_files(tmp_path: Path) -> None:
    _write(tmp_path / "part_a.train", [_slim(0)])
    _write(tmp_path / "part_b.train", [_slim(0), _slim(1)])
    assert get_dataset(None, "train", tmp_path, told=RecordsAsTold("part_*.%s")).num_samples == 3
    with pytest.raises(DataError, match="--file_pattern=prat.*: no file of .* matches"):
        get_dataset(None, "train", tmp_path, told=RecordsAsTold("prat_*"))


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "holds no records"),
        ([_example(image__class__label=0)], "no key of the records holds an image; they have image/class/label"),
        ([_example(image=_png(1))], "no key of the records holds a label"),
        ([_slim(0), _example(image__encoded=b"", image__class__label=0)], "record 2 has an empty image/encoded"),
        (
            [_slim(0), _example(image__encoded=_png(1), image__class__label=[0, 1])],
            "no key of the records holds a label",
        ),
        ([b"\xff\xff"], "record at byte 0: the record is no tf.train.Example"),
    ],
)
def test_records_that_cannot_be_used_are_told_of(tmp_path: Path, records: list[bytes], words: str) -> None:
    _write(tmp_path / "train.tfrecord", records)
    with pytest.raises(DataError, match=words):
        get_dataset(None, "train", tmp_path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zlib.compress])
def test_a_truncated_file_is_named(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = _write(tmp_path / "train.tfrecord", [_slim(0), _slim(1)], pack)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"train\.tfrecord.*truncated"):
        get_dataset(None, "train", tmp_path)


def test_a_scan_is_kept_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    scan_file = scan.scan_file
    monkeypatch.setattr(scan, "scan_file", lambda path: read.append(path.name) or scan_file(path))
    for name in ("a_train.tfrecord", "a_test.tfrecord"):
        _write(tmp_path / name, [_slim(0)])
    for _ in range(2):
        get_dataset("a", "train", tmp_path)
    assert sorted(read) == ["a_test.tfrecord", "a_train.tfrecord"]
    _write(tmp_path / "a_train.tfrecord", [_slim(0), _slim(1)])
    assert get_dataset("a", "train", tmp_path).num_samples == 2
    assert read[2:] == ["a_train.tfrecord"]


def test_where_the_folder_cannot_be_written_the_cache_keeps_the_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIM_TRAIN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    _write(tmp_path / "data" / "train.tfrecord", [_slim(0)])
    (tmp_path / "data" / scan.SCAN_FILE).mkdir()  # root may write anywhere
    get_dataset(None, "train", tmp_path / "data")
    assert list((tmp_path / "cache" / "scans").iterdir())
    monkeypatch.setattr(scan, "scan_file", None)
    assert get_dataset(None, "train", tmp_path / "data").num_samples == 1


def test_an_outdated_scan_in_a_folder_that_cannot_be_written_gives_way_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIM_TRAIN_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "data"
    data.mkdir()
    _write(data / "train.tfrecord", [_slim(0)])
    get_dataset(None, "train", data)
    outdated = (data / scan.SCAN_FILE).read_bytes()
    (data / scan.SCAN_FILE).unlink()
    (data / scan.SCAN_FILE).mkdir()  # root may write anywhere
    _write(data / "train.tfrecord", [_slim(0), _slim(1)])
    get_dataset(None, "train", data)  # is kept in the cache
    (data / scan.SCAN_FILE).rmdir()
    (data / scan.SCAN_FILE).write_bytes(outdated)
    monkeypatch.setattr(scan, "scan_file", None)
    assert get_dataset(None, "train", data).num_samples == 2


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    for folder, count in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        _write(tmp_path / folder / "train.tfrecord", [_slim(0)] * count)
    files = sorted(tmp_path.glob("*/train.tfrecord"))
    for _ in range(2):
        assert [found.records for found in scan.scan_files(files).values()] == [1, 2]


def test_several_processes_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [_write(tmp_path / f"train-{n:05d}-of-00003", [_slim(n), _slim(0)]) for n in range(3)]
    alone = {path: scan.scan_file(path) for path in files}
    monkeypatch.setattr(scan, "_BYTES_WORTH_A_PROCESS", 0)
    assert scan.scan_files(files) == alone


def _texts(*names: str) -> list[bytes]:
    """Records whose labels are class names."""
    return [_example(image=_png(1), text=name.encode()) for name in names]


@pytest.mark.parametrize("pattern", ["flowers.%s", "flowers*%s*", "%s/../flowers.%s"])
def test_classes_have_the_same_numbers_in_all_splits_of_a_pattern(
    tmp_path: Path, pattern: str, caplog: pytest.LogCaptureFixture
) -> None:
    for split, names in (("train", ("daisy", "rose", "tulip")), ("test", ("rose", "tulip"))):
        (tmp_path / split).mkdir()
        _write(tmp_path / f"flowers.{split}", _texts(*names))
    for split in ("train", "test"):
        dataset = get_dataset(None, split, tmp_path, told=RecordsAsTold(pattern))
        assert dataset.labels == ("daisy", "rose", "tulip")
    assert dataset.class_counts == (0, 1, 1)
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warned == [f"{tmp_path / pattern} lacks classes of other splits: 'daisy'."]


def test_a_split_without_the_highest_number_has_the_classes_of_the_others(tmp_path: Path) -> None:
    _write(tmp_path / "part.train", [_slim(0), _slim(1), _slim(2)])
    _write(tmp_path / "part.test", [_slim(0), _slim(1)])
    assert get_dataset(None, "test", tmp_path, told=RecordsAsTold("part.%s")).labels == ("0", "1", "2")


def test_other_files_that_a_pattern_reaches_are_no_split(tmp_path: Path) -> None:
    _write(tmp_path / "train", _texts("daisy", "rose"))
    (tmp_path / "notes").write_text("These are my flowers, which I photographed.")
    (tmp_path / "empty").touch()
    assert get_dataset(None, "train", tmp_path, told=RecordsAsTold("%s")).labels == ("daisy", "rose")


def test_another_split_that_cannot_be_read_calls_for_labels_txt(tmp_path: Path) -> None:
    _write(tmp_path / "flowers.train", _texts("daisy", "rose"))
    path = _write(tmp_path / "flowers.test", _texts("daisy", "rose"))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match=r"flowers\.test.*truncated.*to number the classes: list .*labels\.txt"):
        get_dataset(None, "train", tmp_path, told=RecordsAsTold("flowers.%s"))
    (tmp_path / "labels.txt").write_text("0:daisy\n1:rose\n")
    assert get_dataset(None, "train", tmp_path, told=RecordsAsTold("flowers.%s")).num_samples == 2


@pytest.mark.parametrize("other", [b"daisy", [0, 1]], ids=["text", "one hot"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_of_another_kind_in_another_file_are_an_error(tmp_path: Path, split: str, other: Any) -> None:
    _write(tmp_path / "train-1.bin", [_example(image=_png(1), label=0)])
    _write(tmp_path / f"{split}-2.bin", [_example(image=_png(1), label=other)])
    with pytest.raises(DataError, match=r"label (does not hold labels of the same kind|holds one label in 1 of 2)"):
        get_dataset(None, "train", tmp_path, told=RecordsAsTold("%s-*", label_key="label"))


def test_the_classes_of_a_training_number_those_of_a_folder_that_names_none(tmp_path: Path) -> None:
    _write(tmp_path / "mine.bin", _texts("rose", "tulip"))
    told = RecordsAsTold("mine.bin", trained_classes=("daisy", "rose", "tulip"))
    dataset = get_dataset(None, "test", tmp_path, told=told)
    assert (dataset.labels, dataset.class_counts) == (("daisy", "rose", "tulip"), (0, 1, 1))
    told = RecordsAsTold("mine.bin", trained_classes=("daisy", "rose"))
    with pytest.raises(DataError, match=r"the class 'tulip' is not in the training folder's labels\.txt"):
        get_dataset(None, "test", tmp_path, told=told)


@pytest.mark.parametrize("name", ["my_flowers.tfrecord", "my-flowers.tfrec", "my_flowers-00000-of-00001.tfrecord"])
def test_files_alone_whose_name_ends_in_no_known_split_are_the_split_train(tmp_path: Path, name: str) -> None:
    _write(tmp_path / name, [_slim(0)])
    assert get_dataset(None, "train", tmp_path).num_samples == 1


def test_a_file_alone_of_a_known_split_is_that_split(tmp_path: Path) -> None:
    _write(tmp_path / "my_val.tfrecord", [_slim(0)])
    with pytest.raises(DataError, match="Unknown split 'train'.*Valid: val"):
        get_dataset(None, "train", tmp_path)


@pytest.mark.parametrize("file", ["labels.txt", "label.labels.txt"])
def test_class_names_that_are_not_utf_8_are_an_error_that_names_the_file(tmp_path: Path, file: str) -> None:
    _write(tmp_path / "train.tfrecord", [_slim(0)])
    (tmp_path / file).write_bytes("0:Gänseblümchen\n".encode("latin-1"))
    with pytest.raises(DataError, match=f"{file} is not UTF-8 text"):
        get_dataset(None, "train", tmp_path)


def test_labels_without_zero_that_fit_the_names_need_no_offset(tmp_path: Path) -> None:
    _write(tmp_path / "train.tfrecord", [_slim(1), _slim(2)])
    (tmp_path / "labels.txt").write_text("0:daisy\n1:roses\n2:tulips\n")
    dataset = get_dataset(None, "train", tmp_path)
    assert (dataset.labels, dataset.class_counts) == (("daisy", "roses", "tulips"), (0, 1, 1))


def test_a_split_without_zero_and_another_with_it_need_no_offset(tmp_path: Path) -> None:
    _write(tmp_path / "part.train", [_slim(0), _slim(1), _slim(2)])
    _write(tmp_path / "part.test", [_slim(1), _slim(2)])
    assert get_dataset(None, "test", tmp_path, told=RecordsAsTold("part.%s")).class_counts == (0, 1, 1)


def test_labels_from_two_that_only_fit_from_one_need_an_offset(tmp_path: Path) -> None:
    _write(tmp_path / "train.tfrecord", [_slim(2), _slim(3)])
    (tmp_path / "labels.txt").write_text("daisy\nroses\ntulips\n")
    with pytest.raises(DataError, match="labels run from 2 to 3, and 3 classes are named: --labels_offset=1"):
        get_dataset(None, "train", tmp_path)
    dataset = get_dataset(None, "train", tmp_path, told=RecordsAsTold(labels_offset=1))
    assert dataset.labels == ("background", "daisy", "roses", "tulips")


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is 0 bytes long"), (gzip.compress(b""), "holds no records")], ids=["empty", "gzip"]
)
def test_a_shard_without_records_beside_good_ones_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    pack = gzip.compress if content else bytes
    _write(tmp_path / "train-00000-of-00002", [_slim(0), _slim(1)], pack)
    (tmp_path / "train-00001-of-00002").write_bytes(content)
    with pytest.raises(DataError, match=f"train-00001-of-00002 {words}, so it may be truncated"):
        get_dataset(None, "train", tmp_path)


def test_values_that_cannot_be_counted_are_no_label(tmp_path: Path) -> None:
    records = [_example(image=_png(1), label=0, caption=b"a rose " * 99)]
    _write(tmp_path / "train.tfrecord", records)
    with pytest.raises(DataError, match="caption holds too many or too long values"):
        get_dataset(None, "train", tmp_path, told=RecordsAsTold(text_key="caption"))


def _features_json(**features: dict[str, Any]) -> str:
    name = "tensorflow_datasets.core.features"
    described = {key: {"pythonClassName": f"{name}.{value.pop('of')}", **value} for key, value in features.items()}
    content = {"pythonClassName": f"{name}.features_dict.FeaturesDict", "featuresDict": {"features": described}}
    return json.dumps(content)


def test_features_json_says_where_image_and_label_are(tmp_path: Path) -> None:
    record = {"photo": _png(1), "mask": _png(2), "kind": 1, "count": 3}
    _write(tmp_path / "pets-train.tfrecord-00000-of-00001", [_example(**record)])
    with pytest.raises(DataError, match="name one with --image_key"):
        get_dataset(None, "train", tmp_path)
    photo, mask = ({"of": f"image_feature.{kind}"} for kind in ("Image", "Tensor"))
    kind = {"of": "class_label_feature.ClassLabel", "classLabel": {"numClasses": "5"}}
    (tmp_path / "features.json").write_text(_features_json(photo=photo, mask=mask, kind=kind))
    dataset = get_dataset(None, "train", tmp_path)
    assert (dataset.records.image_key, dataset.records.label_key) == ("photo", "kind")
    assert dataset.labels == ("0", "1", "2", "3", "4")
    (tmp_path / "kind.labels.txt").write_text("cat\ndog\nemu\n")
    assert get_dataset(None, "train", tmp_path).labels == ("cat", "dog", "emu")
