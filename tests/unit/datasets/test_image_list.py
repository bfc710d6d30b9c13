"""The list of the images of a conversion: how it is divided and ordered."""

from __future__ import annotations

import tempfile
import tracemalloc
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

from datasets.image_list import Division, ImageList
from datasets.splits import train_test_split

_Images = Sequence[Sequence[str]]


def _listed(images: _Images, folder: Path, seed: int, division: Division | None) -> ImageList:
    listed = ImageList(folder, seed, division)
    for label, names in enumerate(images):
        group = listed.group("train")
        group.class_name = str(label)
        for name in names:
            group.add(name)
    return listed


def _ordered(
    images: _Images,
    seed: int,
    division: Division | None = None,
    without: Mapping[str, int] | None = None,
    num_shards: int = 1,
) -> dict[str, list[list[tuple[str, int]]]]:
    """Names and labels in each shard of each split."""
    classes = [str(label) for label in range(len(images))]
    with tempfile.TemporaryDirectory() as folder:
        listed = _listed(images, Path(folder), seed, division)
        splits = listed.order(classes, num_shards, without or {})
        return {name: [list(shard) for shard in shards] for name, shards in splits.items()}


def _split(images: _Images, test_fraction: float, seed: int, method: str) -> dict[str, list[list[str]]]:
    """The names of each class in each split, in their order."""
    division = Division(test_fraction, method) if test_fraction else None
    return {
        split: [[name for name, at in shard if at == label] for label in range(len(images))]
        for split, (shard,) in _ordered(images, seed, division).items()
    }


def _mixed_order(images: _Images, seed: int) -> tuple[list[str], list[int]]:
    """Names and labels of a split, in their order."""
    ((shard,),) = _ordered(images, seed).values()
    return [name for name, _ in shard], [label for _, label in shard]


_CATS = [f"cat/{number}.jpg" for number in range(100)]
_DOGS = [f"dog/{number}.jpg" for number in range(10)]


def test_no_test_fraction_means_no_test_split() -> None:
    assert list(_split([_CATS, _DOGS], 0, seed=1, method="random")) == ["train"]


def test_the_random_split_is_the_same_on_every_machine() -> None:
    # A fixed answer: Python's own hash() and random shuffles differ between runs or versions.
    splits = _split([_DOGS], 0.3, seed=7, method="random")
    assert sorted(splits["test"][0]) == ["dog/6.jpg", "dog/7.jpg", "dog/9.jpg"]


def test_the_random_split_does_not_hang_on_the_order_of_listing() -> None:
    forward = _split([_CATS], 0.3, seed=1, method="random")
    backward = _split([_CATS[::-1]], 0.3, seed=1, method="random")
    assert forward == backward


def test_another_seed_is_another_split() -> None:
    one, two = (_split([_CATS], 0.3, seed, method="random") for seed in (1, 2))
    assert set(one["test"][0]) != set(two["test"][0])


def test_the_unicode_form_of_a_name_does_not_count() -> None:
    names = [f"é{number}" for number in range(50)]
    decomposed = [unicodedata.normalize("NFD", name) for name in names]
    one, two = (_split([form], 0.3, seed=1, method="random")["test"][0] for form in (names, decomposed))
    assert one == [unicodedata.normalize("NFC", name) for name in two]


def test_with_filename_hash_an_image_stays_when_others_are_added() -> None:
    before = _split([_CATS[:60]], 0.3, seed=1, method="filename_hash")
    after = _split([_CATS], 0.3, seed=2, method="filename_hash")
    assert set(before["test"][0]) < set(after["test"][0])
    assert set(before["train"][0]) < set(after["train"][0])


def test_filename_hash_takes_about_the_share_asked_for() -> None:
    names = [f"c/{number}" for number in range(10_000)]
    splits = _split([names], 0.3, seed=1, method="filename_hash")
    assert len(splits["test"][0]) == pytest.approx(3000, abs=150)  # three standard deviations


@pytest.mark.parametrize("method", ["random", "filename_hash"])
@pytest.mark.parametrize("test_fraction", [0.001, 0.999])
def test_every_class_has_an_image_in_both_splits(method: str, test_fraction: float) -> None:
    splits = _split([_CATS, _DOGS, ["x/a", "x/b"]], test_fraction, seed=1, method=method)
    assert all(names for images in splits.values() for names in images)


def test_a_split_is_written_in_an_order_that_mixes_the_classes() -> None:
    names, labels = _mixed_order([_CATS, _DOGS], seed=1)
    assert sorted(names) == sorted(_CATS + _DOGS)
    assert all((label == 1) == name.startswith("dog") for name, label in zip(names, labels, strict=True))
    assert 0 < names.index(next(name for name in names if name.startswith("dog"))) < 100
    assert list(labels) != sorted(labels)


def test_the_order_follows_from_the_seed_alone() -> None:
    assert _mixed_order([_CATS], seed=1) == _mixed_order([_CATS[::-1]], seed=1)
    assert _mixed_order([_CATS], seed=1) != _mixed_order([_CATS], seed=2)


def test_shards_share_out_the_order() -> None:
    (whole,) = _ordered([_CATS, _DOGS], seed=3)["train"]
    shards = _ordered([_CATS, _DOGS], seed=3, num_shards=7)["train"]
    assert [image for shard in shards for image in shard] == whole
    assert [len(shard) for shard in shards] == [15, 16, 16, 15, 16, 16, 16]


@pytest.mark.parametrize("method", ["random", "filename_hash"])
def test_images_that_are_left_out_count_for_nothing(method: str) -> None:
    copies = [f"x/1_nohash_{copy}.jpg" for copy in range(9)]
    bad = dict.fromkeys((*_CATS[::3], *copies[::2]), 0)
    images = [[*_CATS, *copies], _DOGS]
    usable = [[name for name in of if name not in bad] for of in images]
    division = Division(0.4, method)
    assert _ordered(images, 1, division, bad) == _ordered(usable, 1, division)


def test_of_images_with_one_hash_the_first_by_name_are_test_images() -> None:
    copies = [f"x/1_nohash_{copy}.jpg" for copy in range(9)]
    splits = _split([copies], 0.999, seed=1, method="filename_hash")
    assert [sorted(splits[name][0]) for name in ("test", "train")] == [copies[:8], copies[8:]]


@pytest.mark.parametrize("method", ["random", "filename_hash"])
@pytest.mark.parametrize("fraction", [0.02, 0.5])
def test_the_split_is_that_of_names_in_memory(method: str, fraction: float) -> None:
    copies = [f"x/{number}_nohash_{copy}.jpg" for number in range(4) for copy in range(5)]
    images = [_CATS, _DOGS, copies]
    in_memory = train_test_split(images, fraction, 1, method)
    assert {
        name: [sorted(names) for names in by_class] for name, by_class in _split(images, fraction, 1, method).items()
    } == {name: [sorted(names) for names in by_class] for name, by_class in in_memory.items()}


def test_a_group_without_a_class_is_left_out(tmp_path: Path) -> None:
    listed = _listed([_CATS, _DOGS], tmp_path, 1, Division(0.3, "random"))
    listed.groups[0].class_name = ""
    assert listed.class_counts(["1"], {"dog/3.jpg": 0}) == [9]
    names = [name for shards in listed.order(["1"], 1, {}).values() for name, _ in shards[0]]
    assert sorted(names) == _DOGS
    assert listed.first_of(["1"], 0, dict.fromkeys(_DOGS[1:], 0)) == "dog/0.jpg"


def test_files_are_written_from_the_beginning_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mounted object stores take no other."""
    opened: list[tuple[str, str]] = []
    usual = Path.open

    def noted(path: Path, mode: str = "r", *rest: int) -> IO[Any]:
        opened.append((path.name, mode))
        return usual(path, mode, *rest)

    monkeypatch.setattr(Path, "open", noted)
    listed = _listed([_CATS * 100], tmp_path, 1, Division(0.3, "random"))
    listed.order(["0"], 1, {})
    written = [name for name, mode in opened if mode != "rb"]
    assert {mode for _, mode in opened} == {"rb", "wb"}
    assert len(written) == len(set(written))
    assert sum(name.startswith("bucket") for name in written) > 50


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        peaks = []
        for count in (20_000, 50_000):
            (tmp_path / str(count)).mkdir()
            tracemalloc.reset_peak()
            names = (f"class/image number {number} of many.jpg" for number in range(count))
            listed = _listed([names], tmp_path / str(count), 1, Division(0.3, "random"))  # type: ignore[list-item]
            assert sum(1 for shards in listed.order(["0"], 4, {}).values() for shard in shards for _ in shard) == count
            del listed
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 30_000 * 10
