"""The result of an inspection."""

from __future__ import annotations

from datasets.inspection.result import Finding, Inspection, Place, SplitFacts, extremes_of


def test_few_classes_are_shown_in_their_order() -> None:
    assert extremes_of({0: 5, 1: 9, 2: 1}, 3) == ([0, 1, 2], [])


def test_of_many_classes_the_largest_and_the_smallest_are_shown() -> None:
    assert extremes_of({0: 5, 1: 9, 2: 1, 3: 7, 4: 3}, 4) == ([1, 3], [4, 2])


def test_a_place_names_file_and_record() -> None:
    assert str(Place("train.tfrecord", 1234, "empty")) == "train.tfrecord, record 1,234: empty"
    assert str(Place("cat/1.jpg")) == "cat/1.jpg"


def test_an_inspection_adds_up_its_splits() -> None:
    splits = {"train": SplitFacts(5, (2, 3), 1, 100), "test": SplitFacts(2, (1, 1), 1, 50)}
    findings = (Finding("a", "A."), Finding("b", "B.", is_fault=False))
    inspection = Inspection("folder", "records", "x", ("a", "b"), splits, None, findings=findings)
    assert (inspection.num_images, inspection.num_bytes, inspection.class_counts) == (7, 150, (3, 4))
    assert inspection.faults == findings[:1]


def test_classes_are_not_counted_if_the_label_is_not_clear() -> None:
    assert Inspection("folder", "records", "x", (), {"train": SplitFacts(5, None, 1, 9)}, None).class_counts is None
