"""Images per class as bars."""

from __future__ import annotations

import re

from slim_train.reports.class_bars import bar, between, class_bars, left_out


def test_the_largest_count_fills_the_width() -> None:
    assert bar(50, 50, 4) == "████"
    assert bar(25, 50, 4) == "██"
    assert bar(50, 50, 4, is_ascii=True) == "####"


def test_a_part_of_a_character_is_an_eighth() -> None:
    assert bar(3, 8, 1) == "▍"


def test_a_small_count_is_seen_and_none_is_not() -> None:
    assert (bar(1, 10_000, 5), bar(1, 10_000, 5, is_ascii=True), bar(0, 10, 5), bar(0, 0, 5)) == ("▏", "#", "", "")


def test_the_classes_between_are_counted_with_their_images() -> None:
    counts = [9, 1, 5, 4, 8]
    assert between(counts, [0], [1]) == [4, 2, 3]
    assert left_out(counts, [4, 2, 3]) == "3 more, 4 to 8 images each"
    assert left_out([5, 5], [0, 1]) == "2 more, 5 images each"


def test_each_split_has_its_part_of_the_bar() -> None:
    shown = class_bars(["cat", "<dog>"], {"train": [6, 2], "test": [2, 0]}, with_all=True)
    assert re.findall(r"width:([\d.]+%);min", shown) == ["75.00%", "25.00%", "25.00%"]
    assert "&lt;dog&gt;" in shown
    assert "<dog>" not in shown
    assert ">8</td>" in shown


def test_of_a_thousand_classes_the_middle_is_folded() -> None:
    counts = {"train": list(range(1, 1001))}
    names = [f"class {number}" for number in range(1000)]
    folded, cut = (class_bars(names, counts, with_all) for with_all in (True, False))
    assert folded.count("<tr>") == 1000
    assert "<summary" in folded
    assert cut.count("<tr>") == 60
    for shown in (folded, cut):
        assert "940 more, 31 to 970 images each" in shown
    assert "class 999<" in cut
    assert "class 0<" in cut
    assert "class 500<" not in cut
