from __future__ import annotations

from pathlib import Path

import pytest

from datasets.distributed.job import write_json
from datasets.distributed.shards import MANIFESTS, Manifest, prepare, read_manifest, sweep
from datasets.workers import Rejection


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """Two files with manifests, and what killed tasks left."""
    folder = tmp_path / ".converting"
    (folder / MANIFESTS).mkdir(parents=True)
    (folder / "job-1" / "order").mkdir(parents=True)
    for name in ("a.tfrecord", "b.tfrecord"):
        (folder / name).write_bytes(b"records")
        write_json(folder / MANIFESTS / f"{name}.json", {})
    for name in (".a.1234.tfrecord", "c.tfrecord", f"{MANIFESTS}/.b.tfrecord.12.json", f"{MANIFESTS}/d.tfrecord.json"):
        (folder / name).write_bytes(b"half")
    return folder


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_only_named_files_and_their_manifests_survive_a_sweep(staged: Path) -> None:
    sweep(staged, ["a.tfrecord"])
    assert names(staged) == {"a.tfrecord", MANIFESTS, f"{MANIFESTS}/a.tfrecord.json"}


def test_a_new_run_keeps_files_that_have_a_manifest(staged: Path, tmp_path: Path) -> None:
    job = prepare(staged, tmp_path, is_finished=False)
    assert job.name != "job-1"
    assert {"a.tfrecord", "b.tfrecord", job.name} < names(staged)
    assert not names(staged) & {"c.tfrecord", ".a.1234.tfrecord", "job-1"}


def test_files_of_a_finished_data_set_are_not_taken_back(staged: Path, tmp_path: Path) -> None:
    for is_finished in (True, False):
        (tmp_path / "d.tfrecord").write_bytes(b"published")
        prepare(staged, tmp_path, is_finished)
        assert (tmp_path / "d.tfrecord").exists() == is_finished


def test_a_manifest_gives_back_the_counts_of_its_file(tmp_path: Path) -> None:
    (tmp_path / MANIFESTS).mkdir()
    bad = ("a/\udcff.jpg", 2, "truncated", "no end")
    written = Manifest("digest", 10, 7, {"0": 3, "2": 1}, (8, 9), (10, 11), [bad])
    write_json(tmp_path / MANIFESTS / "x.tfrecord.json", vars(written))
    manifest = read_manifest(tmp_path, "x.tfrecord")
    assert manifest is not None
    tally = manifest.tally("test", 4)
    assert tally.class_counts == {"test": [3, 0, 1, 0]}
    assert tally.rejections == [Rejection("a/\udcff.jpg", "test", 2, "truncated", "no end")]
    assert (tally.heights, tally.widths, tally.num_bytes) == ((8, 9), (10, 11), 10)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"size": 1}'])
def test_a_manifest_that_is_not_whole_counts_for_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFESTS).mkdir()
    (tmp_path / MANIFESTS / "x.tfrecord.json").write_text(text)
    assert read_manifest(tmp_path, "x.tfrecord") is None
