from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from datasets.errors import DataError
from datasets.files import Stamp
from datasets.images import EncodedImage, ImageRejected
from datasets.workers import Chunk, ChunkConverter, convert_chunks, cut_into_chunks


@dataclass(frozen=True)
class _Reader:
    """Every image is its name; ``bad`` is rejected, ``deadly`` kills the process."""

    def stamp(self, name: str) -> Stamp:
        return Stamp("", 10)

    def load(self, name: str) -> EncodedImage:
        if name == "bad":
            raise ImageRejected("damaged", "badly")
        if name == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        return EncodedImage(name.encode(), "png", height=len(name), width=2)


def _chunk(*names: str) -> Chunk:
    return Chunk("train", "a.tfrecord", names, [0] * len(names))


def _cut(names: Iterable[str], bytes_each: int = 10) -> list[Chunk]:
    return list(cut_into_chunks("train", "a.tfrecord", ((name, 0, bytes_each) for name in names)))


def test_chunks_hold_every_image_once_in_order() -> None:
    names = [str(number) for number in range(200)]
    cut = _cut(names)
    assert [name for chunk in cut for name in chunk.names] == names
    assert {chunk.file_name for chunk in cut} == {"a.tfrecord"}
    assert max(len(chunk.names) for chunk in cut) == 64


def test_large_images_come_in_small_chunks() -> None:
    assert [len(chunk.names) for chunk in _cut("abcde", bytes_each=700 << 10)] == [2, 2, 1]


def test_a_bad_image_is_left_out_of_its_chunk() -> None:
    ((_, converted),) = convert_chunks(ChunkConverter(_Reader(), ["cat"]), [_chunk("a", "bad", "ccc")], num_workers=1)
    assert [(bad.name, bad.reason, bad.detail) for bad in converted.rejections] == [("bad", "damaged", "badly")]
    assert (converted.heights, converted.widths) == ((1, 3), (2, 2))


@pytest.mark.parametrize("num_workers", [1, 2])
def test_results_come_in_the_order_of_the_tasks(num_workers: int) -> None:
    tasks = [_chunk(f"x{number}") for number in range(40)]
    results = list(convert_chunks(ChunkConverter(_Reader(), ["cat"]), tasks, num_workers))
    assert [task for task, _ in results] == tasks
    assert [converted.heights[0] for _, converted in results] == [2] * 10 + [3] * 30


def test_tasks_are_taken_only_as_results_are() -> None:
    taken = []

    def tasks() -> object:
        for number in range(1000):
            taken.append(number)
            yield _chunk(f"x{number}")

    results = convert_chunks(ChunkConverter(_Reader(), ["cat"]), tasks(), num_workers=2)
    for _ in range(5):
        next(results)
    assert len(taken) < 20
    results.close()


def test_a_worker_that_dies_is_reported_with_its_images() -> None:
    tasks = [_chunk("a"), _chunk("b"), _chunk("deadly"), _chunk("c")]
    with pytest.raises(DataError, match="A worker process died.*deadly"):
        list(convert_chunks(ChunkConverter(_Reader(), ["cat"]), tasks, num_workers=2))
