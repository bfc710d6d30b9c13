from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.retraining.bottlenecks import BottleneckStore, digest


def rows(*numbers: int) -> dict[bytes, np.ndarray]:
    return {digest(bytes([number])): np.full(4, number, np.float32) for number in numbers}


def keys(*numbers: int) -> list[bytes | None]:
    return list(rows(*numbers))


def test_what_was_added_is_there_in_the_next_run(tmp_path: Path):
    BottleneckStore(tmp_path / "new" / "store", 4).add(rows(1, 2))
    store = BottleneckStore(tmp_path / "new" / "store", 4)
    assert store.gather(keys(2, 1)).tolist() == [[2] * 4, [1] * 4]


def test_a_picture_without_a_key_has_zeros(tmp_path: Path):
    store = BottleneckStore(tmp_path, 4)
    store.add(rows(3))
    assert store.gather([None, *keys(3)]).tolist() == [[0] * 4, [3] * 4]


def test_other_bytes_are_not_in_the_store(tmp_path: Path):
    store = BottleneckStore(tmp_path, 4)
    store.add(rows(1))
    assert digest(b"\1") in store
    assert digest(b"\1\0") not in store


def test_small_files_become_one(tmp_path: Path):
    store = BottleneckStore(tmp_path, 4)
    for number in range(5):
        store.add(rows(number))
    assert len(list(tmp_path.iterdir())) == 5
    store.compact()
    assert len(list(tmp_path.iterdir())) == 1
    assert BottleneckStore(tmp_path, 4).gather(keys(*range(5)))[:, 0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_damaged_file_is_passed_over_and_said(tmp_path: Path, keep: float, caplog: pytest.LogCaptureFixture):
    store = BottleneckStore(tmp_path, 4)
    store.add(rows(1))
    (whole,) = tmp_path.iterdir()
    store.add(rows(2))
    data = whole.read_bytes()
    whole.write_bytes(data[: int(keep * len(data))])
    reopened = BottleneckStore(tmp_path, 4)
    assert [key in reopened for key in keys(1, 2)] == [False, True]
    assert f"Ignoring {whole}" in caplog.text


def test_a_flipped_bit_is_noticed(tmp_path: Path):
    BottleneckStore(tmp_path, 4).add(rows(7))
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    place = data.index(np.full(4, 7, np.float32).tobytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert len(BottleneckStore(tmp_path, 4)) == 0


def test_pickled_objects_are_never_loaded(tmp_path: Path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    np.savez(tmp_path / "trap.npz", keys=np.array([Trap()], object), features=np.zeros((1, 4), np.float32))
    assert len(BottleneckStore(tmp_path, 4)) == 0
    assert not (tmp_path / "sprung").exists()


def test_a_file_of_another_width_is_passed_over(tmp_path: Path):
    BottleneckStore(tmp_path, 4).add(rows(1))
    assert len(BottleneckStore(tmp_path, 5)) == 0


def test_a_folder_that_cannot_be_made_is_a_usage_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--bottleneck_dir"):
        BottleneckStore(tmp_path / "file" / "store", 4)
