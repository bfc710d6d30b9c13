"""Results as HTML for notebooks."""

from __future__ import annotations

from pathlib import Path

import pytest

from slim_train.reports import html, plotting

HISTORY = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}, {"step": 2, "eval_accuracy": 0.5}]


def test_text_is_escaped_everywhere() -> None:
    shown = html.report("<a>", "<b>", html.facts({"<c>": "<d>"}), html.table(["<e>"], [["<f>"]], ["<g>"]))
    assert [letter for letter in "abcdefg" if f"&lt;{letter}&gt;" not in shown] == []
    assert [letter for letter in "cdefg" if f"<{letter}>" in shown] == []


def test_a_fact_that_is_none_is_left_out() -> None:
    assert "best" not in html.facts({"best": None, "steps": 3})


def test_numbers_are_aligned_to_the_right_and_text_to_the_left() -> None:
    row = html.table(["class", "images", "file"], [["cat", 1200, "cat.jpg"]]).partition("<tbody>")[2]
    assert row.startswith('<tr><td style="text-align:left">cat</td><td style="text-align:right">1,200</td>')
    assert '<td style="text-align:left">cat.jpg</td>' in row


def test_of_a_long_table_the_rest_is_counted() -> None:
    assert "and 940 more" in html.table(["class"], [[f"class {number}"] for number in range(1000)])


def test_an_image_file_is_inline(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"png")
    assert 'src="data:image/png;base64,cG5n"' in html.image_file(tmp_path / "a.png", "a")
    assert html.image_file(tmp_path / "gone.png", "gone") == ""


def test_curves_are_an_inline_image() -> None:
    pytest.importorskip("matplotlib")
    assert html.training_curves(HISTORY).startswith('<img alt="training curves"')
    assert html.training_curves([]) == ""


def test_without_matplotlib_there_are_no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plotting, "has_matplotlib", lambda: False)
    assert html.training_curves(HISTORY) == ""


def test_a_page_is_a_whole_document_with_its_title_escaped() -> None:
    shown = html.page("<a>", html.heading("<b>") + html.bullets({"<c>": ["<d>"]}))
    assert shown.startswith("<!DOCTYPE html>")
    assert [letter for letter in "abcd" if f"&lt;{letter}&gt;" not in shown] == []
    assert "<li>" in shown
