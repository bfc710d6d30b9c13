"""s3:// by fsspec's client, against an emulator of the store on loopback."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datasets.convert import convert_dataset
from datasets.errors import DataError
from datasets.files import replacing
from datasets.inspection import of_folders
from datasets.inspection.inspect import inspect
from datasets.record_copies import CopySettings
from datasets.spec import DatasetSpec
from datasets.storage import copy_folder, files_in, path_of
from datasets.tfrecords import scan_records, write_records
from slim_train.inputs import records
from slim_train.tf_compat import tf

_LARGE = os.urandom(1 << 20)


def test_files_at_a_url_are_written_listed_read_and_removed(s3: Any) -> None:
    folder = path_of("s3://bucket/files")
    (folder / "sub").mkdir()
    (folder / "a.txt").write_text("first\nsecond\n")
    with replacing(folder / "sub" / "b.bin") as temporary:
        temporary.write_bytes(_LARGE)
    assert s3.objects() == {"files/a.txt": 13, "files/sub/b.bin": len(_LARGE)}
    assert [path.name for path in folder.iterdir()] == ["a.txt", "sub"]
    assert files_in(folder) == [folder / "a.txt"]
    assert (folder / "sub").is_dir()
    assert not (folder / "su").exists()
    assert (folder / "a.txt").read_text() == "first\nsecond\n"
    assert (folder / "a.txt").stat().tag  # type: ignore[attr-defined]
    (folder / "sub" / "b.bin").rename(folder / "c.bin")
    (folder / "a.txt").unlink()
    assert list(s3.objects()) == ["files/c.bin"]


def test_brackets_in_a_name_are_no_pattern(s3: Any) -> None:
    for name in ("run1/a", "run[1]/a", "run[1]/sub/b"):
        path_of(f"s3://bucket/{name}").write_text(name)
    path_of("s3://bucket/run[1]").rename(path_of("s3://bucket/old[1]"))
    assert list(s3.objects()) == ["old[1]/a", "old[1]/sub/b", "run1/a"]
    path_of("s3://bucket/old[1]").remove_folder()  # type: ignore[attr-defined]
    assert list(s3.objects()) == ["run1/a"]


def test_a_file_is_written_with_one_request_and_read_with_one(s3: Any) -> None:
    path = path_of("s3://bucket/counted/a.bin")
    path.write_bytes(_LARGE)
    assert s3.counts() == {"uploads": 1}
    assert path.read_bytes() == _LARGE
    assert s3.counts() == {"uploads": 1, "reads": 1}


def test_class_folders_are_inspected_by_several_processes(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_folders, "_FILES_WORTH_PROCESSES", 2)
    monkeypatch.setattr(of_folders, "_FILES_IN_A_CHUNK", 2)
    for name in ("cat/0.png", "cat/1.png", "dog/0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), "red").save(tmp_path / name)
    copy_folder(tmp_path, path_of("s3://bucket/inspected"))
    here, there = (inspect(folder, num_workers=2) for folder in (tmp_path, "s3://bucket/inspected"))
    assert (there.labels, there.splits, there.images) == (here.labels, here.splits, here.images)


@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", 503), ("GET", 0), ("PUT", 503), pytest.param("PUT", 0, marks=pytest.mark.slow)],
)
def test_a_request_that_fails_is_repeated(s3: Any, method: str, status: int) -> None:
    path = path_of(f"s3://bucket/{method}-{status}/a.bin")
    fault = s3.fail(method, "a.bin", status=status)
    path.write_bytes(_LARGE)
    assert path.read_bytes() == _LARGE
    assert not s3.times_left(fault)
    assert list(s3.objects().values()) == [len(_LARGE)]


def test_a_bucket_that_is_missing_or_forbidden_is_named(s3: Any) -> None:
    with pytest.raises(FileNotFoundError, match="bucket does not exist") as missing:
        path_of("s3://missing/a").write_bytes(b"x")
    assert missing.value.filename == "s3://missing/a"
    s3.fail("GET", "forbidden", status=403, times=9)
    with pytest.raises(PermissionError) as forbidden:
        path_of("s3://bucket/forbidden").read_bytes()
    assert forbidden.value.strerror


def test_a_token_that_has_expired_is_asked_for_again(s3: Any) -> None:
    path = path_of("s3://bucket/expired/a.bin")
    path.write_bytes(b"content")
    fault = s3.fail("GET", "a.bin", status=400)  # ExpiredToken, as S3 says it
    assert path.read_bytes() == b"content"
    assert not s3.times_left(fault)


def test_a_conversion_whose_upload_was_interrupted_goes_on(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for number in range(8):
        path = tmp_path / "images" / ("dark", "light")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 30 * number).save(path)
    s3.fail("PUT", "image_folder_train", status=403)
    with caplog.at_level("DEBUG"), pytest.raises(DataError, match="s3://bucket/shapes stopped: AccessDenied"):
        convert_dataset("image_folder", "s3://bucket/shapes", tmp_path / "images")
    assert "of-the-test" not in caplog.text  # as the credentials end
    (kept,) = tmp_path.glob("slim-train-converting-*")
    assert f"2 finished record files stay in {kept}" in caplog.text
    report = convert_dataset("image_folder", "s3://bucket/shapes", tmp_path / "images")
    assert not report.already_finished
    uploads = [address for method, address in s3.requests() if method == "PUT" and "image_folder_test" in address]
    assert len(uploads) == 1  # the store has it from the time before
    assert "shapes/info.json" in s3.objects()
    assert not kept.exists()


def test_records_are_read_by_python_and_through_copies_by_tensorflow(s3: Any, tmp_path: Any) -> None:
    files = tuple(f"s3://bucket/records/x_train-{number}.tfrecord" for number in range(3))
    for number, file in enumerate(files):
        write_records(path_of(file), [b"%d" % number, b"second"])
    assert [record for _, record in scan_records(path_of(files[0]))] == [b"0", b"second"]
    copies = CopySettings(str(tmp_path / "cache"))
    dataset = DatasetSpec("x", "train", "s3://bucket/records", files, 2, 6, ("a", "b"), copies=copies)
    before = s3.counts()["looks"] + s3.counts()["reads"]
    for requests in (6, 9):  # a look and a read of each file, then a look
        with tf.Graph().as_default(), tf.Session() as session:
            read = tf.data.make_one_shot_iterator(records.read(files, dataset).batch(9)).get_next()
            assert session.run(read).tolist() == [b"0", b"second", b"1", b"second", b"2", b"second"]
        counts = s3.counts()
        assert counts["looks"] + counts["reads"] - before == requests
    assert len(list((tmp_path / "cache").glob("*.copy"))) == 3
