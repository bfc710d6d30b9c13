"""Fonts for names in any script."""

from __future__ import annotations

import logging

import pytest

from slim_train.reports.fonts import can_draw, drawable_labels, font_file, one_line

_NEVER_ASSIGNED = "\U0003fffd"


def test_line_breaks_and_broken_characters_become_spaces():
    assert one_line("a\nb\tc\udcffd") == "a b c d"


def test_joiners_within_words_stay():
    assert one_line("क\u200dष") == "क\u200dष"


def test_latin_can_always_be_drawn():
    assert can_draw("hard-leaved pocket orchid (1)")


def test_a_character_without_a_glyph_is_noticed():
    assert not can_draw(f"cat {_NEVER_ASSIGNED}")
    assert font_file(f"cat {_NEVER_ASSIGNED}") is None


def test_spaces_and_marks_do_not_count_as_missing():
    assert can_draw("a\u00a0b\u200b e\u0301")


def test_names_that_cannot_be_drawn_become_numbers_and_the_log_says_so_once(caplog):
    labels = ["cat", f"dog{_NEVER_ASSIGNED}"]
    with caplog.at_level(logging.WARNING):
        assert drawable_labels(labels) == ["cat", "#1"]
        assert drawable_labels(labels) == ["cat", "#1"]
    assert caplog.text.count("No font of this machine can draw") == 1


def test_the_fonts_of_matplotlib_are_found():
    pytest.importorskip("matplotlib")
    assert "DejaVuSans" in str(font_file("Größe, القطط, πλ, Я"))
