from __future__ import annotations

from pathlib import Path

import pytest

from datasets.storage import path_of
from slim_train.errors import UsageError
from slim_train.inference.image_files import find_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.JPG", "a.png", "notes.txt", "one, two.jpg", "roses/c.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("{0}", ["a.png", "b.JPG", "one, two.jpg", "roses/c.webp"]),
        ("{0}/notes.txt", ["notes.txt"]),
        ("{0}/b.JPG, {0}/a.png", ["b.JPG", "a.png"]),
        ("{0}/*.png,{0}/a.png", ["a.png"]),
        ("{0}/**/*.webp", ["roses/c.webp"]),
        ("{0}/one, two.jpg", ["one, two.jpg"]),
    ],
)
def test_files_folders_and_patterns_are_found(value: str, names: list[str], folder: Path) -> None:
    found = find_images("image", value.format(folder))
    assert [file.relative_to(folder).as_posix() for file in found] == names


def test_a_pattern_may_be_relative(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert find_images("image", "roses/*.webp") == [Path("roses/c.webp")]


@pytest.mark.parametrize("value", ["{0}/gone.jpg", "{0}/*.tif", "{0}/empty", "{0}/a.png,{0}/gone.jpg", "", ","])
def test_what_names_nothing_is_an_error_that_names_the_flag(
    value: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "empty").mkdir()
    monkeypatch.chdir(folder)  # whose images "" does not mean
    with pytest.raises(UsageError, match="--image"):
        find_images("image", value.format(folder))


def test_a_list_may_be_longer_than_the_name_of_a_file(folder: Path) -> None:
    many = [folder / f"photo_number_{number:05}.png" for number in range(300)]
    for file in many:
        file.write_bytes(b"")
    assert find_images("image", ",".join(map(str, many))) == many
    with pytest.raises(UsageError, match="no image at x"):
        find_images("image", "x" * 5000)


def test_urls_name_files_folders_and_patterns() -> None:
    url = path_of("ram://images")
    for name in ("a.jpg", "sub/b.png", "notes.txt"):
        (url / name).write_text("")
    assert find_images("image", "ram://images") == [url / "a.jpg", url / "sub" / "b.png"]
    assert find_images("image", "ram://images/a.jpg") == [url / "a.jpg"]
    assert find_images("image", "ram://images/*/*.png") == [url / "sub" / "b.png"]
    with pytest.raises(UsageError, match="no image at ram://images/c.jpg"):
        find_images("image", "ram://images/c.jpg")
