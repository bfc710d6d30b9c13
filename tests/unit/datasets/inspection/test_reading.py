"""Reading in chunks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from datasets.inspection.file_facts import chunks_of_files
from datasets.inspection.reading import Request, read_chunks


@pytest.mark.parametrize("worth", [0, 100], ids=["processes", "this process"])
def test_facts_come_in_the_order_of_the_chunks(class_folders: Callable[[Mapping[str, int]], Path], worth: int) -> None:
    root = class_folders({"cat": 6})
    names = [f"cat/{number}.jpg" for number in range(6)]
    (root / names[3]).write_text("no image")
    done: list[tuple[str, int, int | None, str]] = []
    chunks = list(chunks_of_files(str(root), names, False, size=2))
    request = Request(num_workers=2, on_progress=lambda *progress: done.append(progress))
    facts = read_chunks(chunks, [2, 2, 2], "reading images", "images", request, worth)
    assert [found.stats.images for found in facts] == [2, 1, 2]
    assert done == [("reading images", count, 6, "images") for count in (2, 4, 6)]
