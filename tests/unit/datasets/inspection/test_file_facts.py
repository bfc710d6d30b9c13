"""One reading of image files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from datasets.inspection.file_facts import FileChunk, FileFacts, chunks_of_files, read_files

Folders = Callable[[Mapping[str, int]], Path]


def test_headers_give_formats_and_sizes(class_folders: Folders, encoded: Callable[..., bytes]) -> None:
    root = class_folders({"cat": 2})
    (root / "cat" / "gray.png").write_bytes(encoded("PNG", "L"))
    facts = read_files(FileChunk(str(root), ["cat/0.jpg", "cat/1.jpg", "cat/gray.png"]))
    assert facts.stats.formats == {"JPEG": 2, "PNG": 1}
    assert facts.stats.colors == {"color": 2, "gray": 1}
    assert facts.stats.sizes == {(8, 12): 3}
    assert not facts.bad


def test_files_that_are_no_images_are_listed_with_the_reason(class_folders: Folders) -> None:
    root = class_folders({"cat": 1})
    (root / "cat" / "note.txt").write_text("see https://example.org")
    (root / "cat" / "empty.jpg").touch()
    facts = read_files(FileChunk(str(root), ["cat/note.txt", "cat/empty.jpg", "cat/gone.jpg", "cat/0.jpg"]))
    assert dict(facts.bad) == {
        "cat/note.txt": "not an image",
        "cat/empty.jpg": "empty file",
        "cat/gone.jpg": "cannot be read (No such file or directory)",
    }
    assert facts.stats.images == 1


def test_decoding_finds_the_truncated_image(class_folders: Folders, encoded: Callable[..., bytes]) -> None:
    root = class_folders({"cat": 1})
    (root / "cat" / "half.jpg").write_bytes(encoded()[:-10])
    names = ["cat/0.jpg", "cat/half.jpg"]
    assert not read_files(FileChunk(str(root), names)).bad
    ((name, reason),) = read_files(FileChunk(str(root), names, decode=True)).bad
    assert name == "cat/half.jpg"
    assert reason.startswith("truncated")


def test_chunks_hold_every_name_once() -> None:
    names = [str(number) for number in range(7)]
    assert [name for chunk in chunks_of_files("root", names, True, size=3) for name in chunk.names] == names


def test_facts_are_the_same_after_json(class_folders: Folders) -> None:
    facts = read_files(FileChunk(str(class_folders({"cat": 1})), ["cat/0.jpg", "cat/gone.jpg"]))
    assert FileFacts.from_json(json.loads(json.dumps(facts.as_json()))) == facts
