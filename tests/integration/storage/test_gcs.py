"""TensorFlow's own client for gs://, unchanged, against an emulator of Google's store on loopback."""

from __future__ import annotations

import os
from typing import Any

import pytest

from datasets.files import replacing
from datasets.storage import copy_file, files_in, path_of
from datasets.tfrecords import scan_records, write_records
from slim_train.tf_compat import tf

_LARGE = os.urandom(1 << 20)


def test_files_at_a_url_are_written_listed_read_and_removed(gcs: Any) -> None:
    folder = path_of("gs://bucket/files")
    (folder / "sub").mkdir()
    (folder / "a.txt").write_text("first\nsecond\n")
    with replacing(folder / "sub" / "b.bin") as temporary:
        temporary.write_bytes(_LARGE)
    assert gcs.objects() == {"files/a.txt": 13, "files/sub/b.bin": len(_LARGE)}
    assert [path.name for path in folder.iterdir()] == ["a.txt", "sub"]
    assert files_in(folder) == [folder / "a.txt"]
    assert (folder / "sub").is_dir()
    assert not (folder / "su").exists()
    assert (folder / "a.txt").read_text() == "first\nsecond\n"
    assert (folder / "sub" / "b.bin").read_bytes() == _LARGE
    (folder / "sub" / "b.bin").rename(folder / "c.bin")
    (folder / "a.txt").unlink()
    assert list(gcs.objects()) == ["files/c.bin"]


def test_a_file_is_written_with_two_requests_and_read_with_one(gcs: Any) -> None:
    path = path_of("gs://bucket/counted/a.bin")
    path.write_bytes(_LARGE)
    assert gcs.counts() == {"uploads": 2}
    assert path.read_bytes() == _LARGE
    assert gcs.counts() == {"uploads": 2, "reads": 1}


@pytest.mark.parametrize(
    "status", [pytest.param(429, marks=pytest.mark.slow), 503, 0], ids=["throttled", "unavailable", "cut"]
)
def test_a_read_that_fails_is_repeated(gcs: Any, status: int) -> None:
    path = path_of(f"gs://bucket/read-{status}/a.bin")
    path.write_bytes(_LARGE)
    fault = gcs.fail("GET", "a.bin", status=status)
    assert path.read_bytes() == _LARGE
    assert not gcs.times_left(fault)


def test_a_token_that_has_expired_is_asked_for_again(gcs: Any) -> None:
    path = path_of("gs://bucket/expired/a.bin")
    path.write_bytes(b"content")
    fault = gcs.fail("GET", "a.bin", status=401)
    assert path.read_bytes() == b"content"
    assert not gcs.times_left(fault)


@pytest.mark.parametrize("status", [pytest.param(503, marks=pytest.mark.slow), 0], ids=["unavailable", "cut"])
def test_an_upload_that_fails_is_repeated_and_appears_whole(gcs: Any, status: int) -> None:
    path = path_of(f"gs://bucket/upload-{status}/a.bin")
    fault = gcs.fail("PUT", "a.bin", status=status)
    path.write_bytes(_LARGE)
    assert not gcs.times_left(fault)
    assert gcs.objects() == {f"upload-{status}/a.bin": len(_LARGE)}
    assert path.read_bytes() == _LARGE


def test_records_are_read_by_python_and_tensorflow(gcs: Any) -> None:
    path = path_of("gs://bucket/records/x_train.tfrecord")
    write_records(path, [b"first", b"second"])
    assert [record for _, record in scan_records(path)] == [b"first", b"second"]
    with tf.Graph().as_default(), tf.Session() as session:
        records = tf.data.make_one_shot_iterator(tf.data.TFRecordDataset(str(path)).batch(2)).get_next()
        assert session.run(records).tolist() == [b"first", b"second"]


def test_errors_name_the_bucket_that_does_not_exist_and_the_file_that_is_forbidden(gcs: Any) -> None:
    with pytest.raises(FileNotFoundError):
        path_of("gs://bucket/none").read_text()
    no_bucket = (
        b'{"error": {"code": 404, "message": "The specified bucket does not exist."}}'  # not the emulator's word
    )
    gcs.fail("POST", "missing", status=404, content=no_bucket)
    with pytest.raises(FileNotFoundError, match="bucket does not exist.*gs://missing"):
        path_of("gs://missing/a").write_text("")
    gcs.fail("GET", "secret", status=403)
    with pytest.raises(PermissionError, match="gs://bucket/secret"):
        copy_file(path_of("gs://bucket/secret"), path_of("gs://bucket/copy"))
