"""The words for the result of an inspection."""

from __future__ import annotations

import pytest

from datasets.images import ImageHeader
from datasets.inspection.image_stats import ImageStats
from datasets.inspection.result import Finding, Inspection, KeyFacts, Place, SplitFacts
from slim_train.reports import inspection as words


def _inspection(**changes: object) -> Inspection:
    images = ImageStats()
    for height in (10, 20, 20):
        images.add(ImageHeader("JPEG", "gray", height, 30), height * 100)
    splits = {"train": SplitFacts(2, (1, 1), 1, 2_500_000), "test": SplitFacts(1, (1, 0), 1, 900)}
    values = {"labels": ("cat", "dog"), "splits": splits, "images": images, "seconds": 1.25, **changes}
    return Inspection("data/pets", "converted", "pets", **values)  # type: ignore[arg-type]


def test_the_summary_counts_images_classes_and_bytes() -> None:
    assert words.summary(_inspection()) == "3 images of 2 classes, 2.5 MB in 2 record files; read in 1.2 s"


def test_sizes_are_width_by_height() -> None:
    facts = words.facts(_inspection())
    assert facts["sizes"] == "30x10 to 30x20 pixels (width x height), median 30x20"
    assert facts["most frequent"] == "30x20 67%, 30x10 33%"
    assert facts["bytes"] == "1.0 kB to 2.0 kB per image, mean 1.7 kB"
    assert facts["splits"] == "train 2 (2.5 MB), test 1 (900 bytes)"
    assert "compression" not in facts


def test_images_of_one_size_have_one() -> None:
    images = ImageStats()
    images.add(ImageHeader("PNG", "gray", 48, 48), 7)
    facts = words.facts(_inspection(images=images))
    assert facts["sizes"] == "48x48 pixels, all images"
    assert facts["bytes"] == "7 bytes"


def test_without_images_their_sizes_are_not_told() -> None:
    assert "sizes" not in words.facts(_inspection(images=None))


def test_a_key_is_told_with_its_role_and_its_values() -> None:
    keys = {
        "image": KeyFacts("bytes", 3, 3, (1, 1), "image"),
        "box": KeyFacts("float", 2, 0, (4, 8)),
        "label": KeyFacts("int", 3, 0, (1, 1), "label", "one of 0, 1"),
    }
    assert words.key_rows(keys, 3) == [
        ("image", "bytes", "image", "3 images"),
        ("box", "float x 4 to 8", "", "in 2 of 3 records"),
        ("label", "int", "label", "one of 0, 1"),
    ]


def test_many_places_are_counted() -> None:
    places = tuple(Place("train.tfrecord", number) for number in range(1, 151))
    finding = Finding("broken_images", "Broken.", True, 170, places)
    lines = words.places(finding)
    assert lines[0] == "train.tfrecord, record 1"
    assert len(lines) == 101
    assert lines[-1] == "and 70 more: see --json"
    assert words.places(Finding("broken_images", "Broken.", True, 170, places), 1, "to_dict()")[-1].endswith(
        "to_dict()"
    )


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "No faults. Images were not decoded in full: --decode does that."),
        ({"decoded": True, "findings": (Finding("a", "A.", is_fault=False),)}, "No faults."),
        ({"findings": (Finding("a", "A."), Finding("b", "B."))}, "2 faults"),
    ],
)
def test_the_verdict_counts_faults(changes: dict[str, object], verdict: str) -> None:
    assert words.verdict(_inspection(**changes)) == verdict


@pytest.mark.parametrize(("num_bytes", "text"), [(999, "999 bytes"), (1500, "1.5 kB"), (2.5e9, "2.5 GB")])
def test_bytes_have_a_unit(num_bytes: float, text: str) -> None:
    assert words.size(num_bytes) == text
