from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.interchange.converted import Converted, Facts, converted_checkpoint, read_facts
from slim_train.tf_compat import tf


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLIM_TRAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def convert(path: Path) -> Converted:
    size = path.stat().st_size
    facts = Facts(image_size=size, labels=("a", "b"))
    return Converted({"net/weights": np.full([2, 3], size, np.float32), "net/step": np.int64(size)}, facts)


def test_a_file_becomes_a_checkpoint_and_what_it_says_lies_beside_it(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "net.bin").write_bytes(b"1234")
    prefix = converted_checkpoint(tmp_path / "net.bin", [tmp_path / "no.json"], convert)
    reader = tf.train.load_checkpoint(prefix)
    np.testing.assert_array_equal(reader.get_tensor("net/weights"), np.full([2, 3], 4.0))
    assert reader.get_tensor("net/step") == 4
    assert read_facts(Path(prefix).parent) == Facts(image_size=4, labels=("a", "b"))
    assert [path.name.startswith("net-") for path in (cache / "checkpoints").iterdir()] == [True]


def test_it_is_converted_again_only_if_it_or_a_file_beside_it_has_changed(tmp_path: Path) -> None:
    path, about = tmp_path / "net.bin", tmp_path / "net.json"
    path.write_bytes(b"1234")
    converted = [converted_checkpoint(path, [about], convert)]
    written = Path(f"{converted[0]}.index").stat().st_mtime_ns
    assert converted_checkpoint(path, [about], convert) == converted[0]
    assert Path(f"{converted[0]}.index").stat().st_mtime_ns == written
    for changed in (about, path):
        changed.write_bytes(b"12345")
        converted.append(converted_checkpoint(path, [about], convert))
    assert len(set(converted)) == 3


def test_a_conversion_that_fails_leaves_nothing_behind(tmp_path: Path, cache: Path) -> None:
    def fail(path: Path) -> Converted:
        raise UsageError(f"{path} is damaged.")

    (tmp_path / "net.bin").write_bytes(b"")
    with pytest.raises(UsageError, match="damaged"):
        converted_checkpoint(tmp_path / "net.bin", [], fail)
    assert list((cache / "checkpoints").iterdir()) == []


def test_another_folder_says_nothing(tmp_path: Path) -> None:
    assert read_facts(tmp_path) is None
