from __future__ import annotations

from datasets.tally import Tally, bad_image
from datasets.workers import Chunk, ConvertedChunk, Rejection

_BAD = Rejection("b/2.jpg", "train", 1, "truncated", "no end")


def test_a_rejected_image_is_not_counted_with_its_class() -> None:
    tally = Tally({"train": [0, 0], "test": [0, 0]})
    tally.add(Chunk("train", "x", ["a/1", "b/1", "b/2"], [0, 1, 1]), ConvertedChunk(b"12", [_BAD], (4, 9), (3, 5)))
    tally.add(Chunk("test", "y", ["b/3"], [1]), ConvertedChunk(b"3", [], (2, 2), (7, 7)))
    assert tally.class_counts == {"train": [1, 1], "test": [0, 1]}
    assert (tally.heights, tally.widths, tally.num_bytes, tally.rejections) == ((2, 9), (3, 7), 3, [_BAD])


def test_the_error_for_a_bad_image_says_why_and_what_to_do() -> None:
    assert str(bad_image(_BAD)) == (
        "Bad image b/2.jpg: truncated (no end). Fix or remove it, or skip bad images with on_error=skip."
    )
