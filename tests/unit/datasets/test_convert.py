from __future__ import annotations

import csv
import logging
import os
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from datasets.convert import convert_dataset
from datasets.errors import DataError
from datasets.factory import get_dataset
from datasets.spec import read_info
from datasets.tfrecords import scan_records


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def _convert(pictures: Path, out: Path, **options: object) -> object:
    return convert_dataset("image_folder", out, pictures, **({"num_workers": 1} | options))


def _examples(out: Path, split_name: str) -> list[dict]:
    """The features of a split, in the order of its records."""
    examples = []
    for file in get_dataset(None, split_name, out).files:
        for _, record in scan_records(file):
            features = tf.train.Example.FromString(record).features.feature
            examples.append({key: (one.bytes_list.value or one.int64_list.value)[0] for key, one in features.items()})
    return examples


def _rejected(out: Path) -> list[list[str]]:
    with (out / "rejected.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def _file_names(out: Path, split_name: str) -> list[str]:
    return [example["image/filename"].decode() for example in _examples(out, split_name)]


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_of_classes_becomes_a_data_set(class_folders: Callable[..., Path], out: Path) -> None:
    pictures = class_folders({"dog": 10, "cat": 20})
    report = _convert(pictures, out)
    assert sorted(path.name for path in out.iterdir()) == [
        "image_folder_test.tfrecord",
        "image_folder_train.tfrecord",
        "info.json",
        "labels.txt",
        "rejected.csv",
    ]
    assert report.info == read_info(out)
    assert report.info.splits["train"].class_counts == (14, 7)
    assert report.info.splits["test"].class_counts == (6, 3)
    assert report.info.image_sizes == ((8, 12), (8, 12))
    assert report.num_bytes == sum(path.stat().st_size for path in out.glob("*.tfrecord"))
    for example in _examples(out, "train") + _examples(out, "test"):
        name = example["image/filename"].decode()
        assert example == {
            "image/encoded": (pictures / name).read_bytes(),
            "image/format": b"jpeg",
            "image/class/label": ["cat", "dog"].index(name.split("/")[0]),
            "image/class/text": name.split("/")[0].encode(),
            "image/height": 8,
            "image/width": 12,
            "image/filename": name.encode(),
        }


def test_every_image_is_in_one_split_once(class_folders: Callable[..., Path], out: Path) -> None:
    _convert(class_folders({"dog": 10, "cat": 20}), out)
    names = [example["image/filename"] for split in ("train", "test") for example in _examples(out, split)]
    assert len(names) == len(set(names)) == 30


def test_a_split_mixes_its_classes(class_folders: Callable[..., Path], out: Path) -> None:
    _convert(class_folders({"a": 20, "b": 20}), out)
    labels = [example["image/class/label"] for example in _examples(out, "train")]
    assert labels != sorted(labels)


@pytest.mark.parametrize("num_shards", [1, 3])
def test_any_number_of_workers_writes_the_same_bytes(
    class_folders: Callable[..., Path], tmp_path: Path, num_shards: int
) -> None:
    pictures = class_folders({"a": 150, "b": 90})
    (pictures / "a" / "bad.jpg").write_bytes(b"bad")
    for workers in (1, 2):
        _convert(pictures, tmp_path / str(workers), num_workers=workers, num_shards=num_shards)
    assert _contents(tmp_path / "1") == _contents(tmp_path / "2")


def test_shards_share_out_a_split(class_folders: Callable[..., Path], out: Path) -> None:
    _convert(class_folders({"a": 20}), out, num_shards=4, test_fraction=0.25)
    files = get_dataset("image_folder", "train", out).files
    assert [Path(file).name for file in files] == [f"image_folder_train-0000{n}-of-00004.tfrecord" for n in range(4)]
    assert [len(list(scan_records(file))) for file in files] == [3, 4, 4, 4]


def test_more_shards_than_images_are_refused(class_folders: Callable[..., Path], out: Path) -> None:
    with pytest.raises(DataError, match="num_shards=5 is more than split 'test' has images: 3"):
        _convert(class_folders({"a": 10}), out, num_shards=5)


def test_given_splits_are_kept(class_folders: Callable[..., Path], out: Path) -> None:
    report = _convert(class_folders({"train/a": 4, "train/b": 3, "validation/a": 2, "validation/b": 1}), out)
    assert {name: split.class_counts for name, split in report.info.splits.items()} == {
        "train": (4, 3),
        "validation": (2, 1),
    }
    assert '"num_sample_test": 0' in (out / "info.json").read_text()


def test_a_class_that_a_given_split_lacks_is_told_of(
    class_folders: Callable[..., Path], out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _convert(class_folders({"train/a": 4, "train/b": 3, "test/a": 2}), out)
    assert "Split test has no image of: b" in caplog.text


def test_of_many_classes_that_a_split_lacks_the_first_are_named(
    class_folders: Callable[..., Path], out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _convert(class_folders({**{f"train/{number:02}": 1 for number in range(50)}, "test/00": 1}), out)
    assert "Split test has no image of: 01, 02," in caplog.text
    assert caplog.text.rstrip().endswith("19, 20 and 29 more classes.")


def test_bad_images_are_listed_with_their_reasons_and_left_out(
    class_folders: Callable[..., Path], out: Path, encoded: Callable[..., bytes]
) -> None:
    pictures = class_folders({"猫": 10})
    (pictures / "猫" / "empty.jpg").write_bytes(b"")
    (pictures / "猫" / "text.jpg").write_text("I am a text")
    (pictures / "猫" / "cut, short.jpg").write_bytes(encoded()[:-40])
    report = _convert(pictures, out)
    rows = {row[0]: row[2:4] for row in _rejected(out)}
    assert rows == {
        "猫/empty.jpg": ["猫", "empty file"],
        "猫/text.jpg": ["猫", "not an image"],
        "猫/cut, short.jpg": ["猫", "truncated"],
    }
    assert report.rejected == {"empty file": 1, "not an image": 1, "truncated": 1}
    assert (report.num_images, report.num_rejected) == (10, 3)


def test_on_error_fail_stops_at_a_bad_image(class_folders: Callable[..., Path], out: Path) -> None:
    pictures = class_folders({"cat": 10})
    (pictures / "cat" / "bad.jpg").write_text("I am a text")
    with pytest.raises(DataError, match=r"Bad image cat/bad\.jpg: not an image"):
        _convert(pictures, out, on_error="fail")
    assert not out.exists()


def test_a_class_without_one_good_image_is_an_error(class_folders: Callable[..., Path], out: Path) -> None:
    pictures = class_folders({"cat": 10, "dog": 0})
    for name in ("a.jpg", "b.jpg"):
        (pictures / "dog" / name).write_text("I am a text")
    with pytest.raises(
        DataError, match=r"Class 'dog' has no usable image: all 2 were rejected, first dog/[ab]\.jpg: not"
    ):
        _convert(pictures, out)
    assert not out.exists()


def test_a_class_of_one_image_cannot_be_split(class_folders: Callable[..., Path], out: Path) -> None:
    pictures = class_folders({"cat": 10, "dog": 1})
    with pytest.raises(DataError, match=r"'dog' has a single usable image, dog/0\.jpg.*test_fraction=0"):
        _convert(pictures, out)
    assert _convert(pictures, out, test_fraction=0).info.splits["train"].class_counts == (10, 1)
    assert not (out / "image_folder_test.tfrecord").exists()


def test_a_class_whose_only_image_is_bad_has_none(class_folders: Callable[..., Path], out: Path) -> None:
    pictures = class_folders({"cat": 10, "dog": 1})
    (pictures / "dog" / "0.jpg").write_text("I am a text")
    with pytest.raises(DataError, match=r"'dog' has no usable image: its only one, dog/0\.jpg, is rejected: not"):
        _convert(pictures, out)


@pytest.mark.parametrize("bad", range(3))
def test_a_tiny_class_has_a_good_image_in_both_splits_whichever_image_is_bad(
    class_folders: Callable[..., Path], out: Path, bad: int
) -> None:
    pictures = class_folders({"cat": 10, "dog": 3})
    (pictures / "dog" / f"{bad}.jpg").write_text("I am a text")
    report = _convert(pictures, out)
    assert report.info.splits["train"].class_counts[1] == report.info.splits["test"].class_counts[1] == 1
    assert [row[0] for row in _rejected(out)] == [f"dog/{bad}.jpg"]


def test_a_finished_data_set_is_not_converted_twice(class_folders: Callable[..., Path], out: Path) -> None:
    pictures = class_folders({"cat": 10})
    first = _convert(pictures, out)
    before = _contents(out)
    (pictures / "cat" / "new.jpg").write_bytes((pictures / "cat" / "0.jpg").read_bytes())
    again = _convert(pictures, out)
    assert (first.already_finished, again.already_finished) == (False, True)
    assert again.info == first.info
    assert _contents(out) == before


def test_other_settings_than_the_finished_ones_are_told_of(
    class_folders: Callable[..., Path], out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pictures = class_folders({"cat": 10})
    _convert(pictures, out, seed=1)
    _convert(pictures, out, seed=2)
    assert "was converted with seed=1; --overwrite converts it again" in caplog.text


def test_a_folder_that_holds_another_data_set_is_refused(class_folders: Callable[..., Path], out: Path) -> None:
    pictures = class_folders({"cat": 10})
    _convert(pictures, out)
    with pytest.raises(DataError, match="Unknown data set 'flowers'.*Valid: image_folder"):
        convert_dataset("flowers", out, pictures)


def test_overwrite_leaves_nothing_of_the_old_files(class_folders: Callable[..., Path], out: Path) -> None:
    pictures = class_folders({"cat": 10})
    _convert(pictures, out)
    _convert(pictures, out, overwrite=True, num_shards=2, test_fraction=0)
    assert sorted(path.name for path in out.glob("*.tfrecord")) == [
        "image_folder_train-00000-of-00002.tfrecord",
        "image_folder_train-00001-of-00002.tfrecord",
    ]


def test_a_failed_overwrite_leaves_the_old_data_set(class_folders: Callable[..., Path], out: Path) -> None:
    pictures = class_folders({"cat": 10})
    _convert(pictures, out)
    before = _contents(out)
    (pictures / "cat" / "bad.jpg").write_text("I am a text")
    with pytest.raises(DataError):
        _convert(pictures, out, overwrite=True, on_error="fail")
    assert _contents(out) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_leaves_nothing_that_looks_finished_and_a_rerun_starts_over(
    class_folders: Callable[..., Path], out: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    pictures = class_folders({"a": 150, "b": 150})
    script = f"""
        import os, signal
        from datasets.convert import convert_dataset
        if __name__ == "__main__":
            kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
            convert_dataset("image_folder", {str(out)!r}, {str(pictures)!r}, num_workers={workers}, on_progress=kill)
    """
    # The output ends only when the workers, which hold it open, have ended too.
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, timeout=60)
    assert run.returncode == -signal.SIGKILL
    assert [path.name for path in out.iterdir()] == [".converting"]
    with pytest.raises(DataError, match=r"info\.json is missing"):
        get_dataset("image_folder", "train", out)
    with caplog.at_level(logging.INFO):
        _convert(pictures, out)
    assert "an earlier, unfinished conversion" in caplog.text
    assert not (out / ".converting").exists()
    assert len(_examples(out, "train")) == 210


def test_converting_never_imports_tensorflow(class_folders: Callable[..., Path], out: Path) -> None:
    pictures = class_folders({"a": 100, "b": 100})
    script = f"""
        import sys
        from datasets.convert import convert_dataset
        if __name__ == "__main__":
            convert_dataset("image_folder", {str(out)!r}, {str(pictures)!r}, num_workers=2)
            assert not any(name.split(".")[0] == "tensorflow" for name in sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)
    assert get_dataset(None, "train", out).num_samples == 140


def test_two_conversions_into_one_folder_at_a_time_are_refused(class_folders: Callable[..., Path], out: Path) -> None:
    pictures = class_folders({"cat": 10})

    def convert_meanwhile(*_: object) -> None:
        with pytest.raises(DataError, match="Another conversion is writing"):
            _convert(pictures, out)

    _convert(pictures, out, on_progress=convert_meanwhile)
    assert len(_examples(out, "train")) == 7


def test_the_pictures_folder_may_be_the_output_folder(class_folders: Callable[..., Path]) -> None:
    pictures = class_folders({"cat": 10})
    _convert(pictures, pictures)
    assert _convert(pictures, pictures, overwrite=True).info.labels == ("cat",)


def test_progress_counts_every_image(class_folders: Callable[..., Path], out: Path) -> None:
    told: list[tuple] = []
    _convert(class_folders({"cat": 100}), out, on_progress=lambda *args: told.append(args))
    assert told[-1] == ("converting", 100, 100, "images")
    assert [done for _, done, _, _ in told] == sorted(done for _, done, _, _ in told)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"test_fraction": 1.0}, r"test_fraction=1\.0 must be at least 0 and below 1"),
        ({"test_fraction": float("nan")}, "test_fraction=nan"),
        ({"num_shards": 0}, "num_shards=0 must be at least 1"),
        ({"num_workers": 0}, "num_workers=0 must be at least 1"),
        ({"on_error": "ignore"}, "Unknown on_error 'ignore'"),
        ({"split_by": "filename"}, r"Unknown split_by 'filename'\. Did you mean filename_hash"),
    ],
)
def test_a_wrong_option_is_named_with_its_value(
    class_folders: Callable[..., Path], out: Path, options: dict, complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        _convert(class_folders({"cat": 10}), out, **options)


def test_an_unknown_data_set_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Unknown data set 'flower'\. Did you mean flowers\? Valid: cifar10, digits"):
        convert_dataset("flower", tmp_path)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_an_output_folder_that_cannot_be_written_is_named(class_folders: Callable[..., Path], out: Path) -> None:
    out.mkdir(mode=0o500)
    with pytest.raises(DataError, match=r"Cannot write in --dataset_dir=.*Permission denied"):
        _convert(class_folders({"cat": 10}), out)


def test_an_output_folder_that_is_a_file_is_named(class_folders: Callable[..., Path], out: Path) -> None:
    out.write_text("x")
    with pytest.raises(DataError, match="--dataset_dir="):
        _convert(class_folders({"cat": 10}), out)


def test_a_file_that_cannot_be_written_to_its_end_is_one_clear_error(
    class_folders: Callable[..., Path], out: Path
) -> None:
    pictures = class_folders({"cat": 10})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(DataError, match=r"The conversion into .*out stopped: .*File too large"):
            _convert(pictures, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not out.exists()


def test_a_failed_conversion_leaves_no_folder_that_it_made(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    for folder in (tmp_path / "data/pets", there):
        with pytest.raises(DataError, match="does not exist"):
            _convert(tmp_path / "no_such_pictures", folder)
    assert list(tmp_path.iterdir()) == [there]


def test_the_digits_are_written_out_and_converted(out: Path) -> None:
    pytest.importorskip("sklearn")
    report = convert_dataset("digits", out, num_workers=1)
    assert (report.num_images, report.info.num_classes) == (1797, 10)
    assert (out / "images" / "0" / "digit_0000.png").exists()
    assert not (out / ".converting").exists()


def test_excluded_images_are_left_out_and_info_json_says_so(
    class_folders: Callable[..., Path], out: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = class_folders({"train/cat": 3, "train/dog": 2, "test/cat": 1, "test/dog": 1})
    (tmp_path / "list.csv").write_text("file,reason\ntrain/cat/1.jpg,equal bytes\n")
    report = convert_dataset("image_folder", out, root, exclude=tmp_path / "list.csv")
    assert report.info.splits["train"].class_counts == (2, 2)
    assert read_info(out).settings["excluded"] == 1
    with caplog.at_level(logging.WARNING):
        assert convert_dataset("image_folder", out, root).already_finished
    assert "was converted with exclude_digest=" in caplog.text


def test_groups_stay_in_one_split_and_no_flag_is_in_info_json_without_them(
    class_folders: Callable[..., Path], encoded: Callable[..., bytes], out: Path, tmp_path: Path
) -> None:
    root = class_folders({"cat": 0, "dog": 0})
    for number in range(40):
        name = ("cat", "dog")[number % 2]
        (root / name / f"p{number // 4}_{number}.jpg").write_bytes(encoded(shift=number))
    convert_dataset("image_folder", out, root, group_by="(p[0-9]+)_.*")
    people = {
        split: {name.split("/")[1].split("_")[0] for name in _file_names(out, split)} for split in ("train", "test")
    }
    assert not people["train"] & people["test"]
    assert read_info(out).settings["group_by"] == "(p[0-9]+)_.*"
    convert_dataset("image_folder", tmp_path / "plain", root)
    assert "group_by" not in read_info(tmp_path / "plain").settings


def test_duplicates_stay_in_one_split(class_folders: Callable[..., Path], out: Path) -> None:
    pytest.importorskip("imagehash")
    root = class_folders({"cat": 0, "dog": 0})
    for number in range(24):
        image = Image.effect_noise((8, 8), 100).resize((64, 64))
        for copy, quality in (("a", 95), ("b", 60)):
            image.save(root / ("cat", "dog")[number % 2] / f"{copy}{number}.jpg", quality=quality)
    convert_dataset("image_folder", out, root, group_duplicates=True, num_workers=2)
    pairs = {split: {name.rpartition("/")[2][1:] for name in _file_names(out, split)} for split in ("train", "test")}
    assert not pairs["train"] & pairs["test"]
    assert len(pairs["train"]) + len(pairs["test"]) == 24
    assert read_info(out).settings["group_duplicates"] is True


def test_groups_of_images_that_come_with_splits_are_refused(class_folders: Callable[..., Path], out: Path) -> None:
    root = class_folders({"train/cat": 2, "test/cat": 1})
    with pytest.raises(DataError, match="these come with test, train. inspect_dataset --write_exclusions lists"):
        convert_dataset("image_folder", out, root, group_by="(.).*")
