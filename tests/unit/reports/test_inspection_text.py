"""The result of an inspection on a terminal and elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from datasets.inspection.result import Finding, Inspection, KeyFacts, Place, SplitFacts
from slim_train.reports.inspection_text import print_inspection


def _inspection(num_classes: int = 2, **changes: object) -> Inspection:
    counts = tuple(range(num_classes, 0, -1))
    labels = tuple(f"class {number}" for number in range(num_classes))
    splits = {name: SplitFacts(sum(counts), counts, 1, 1000) for name in ("train", "test")}
    values = {"labels": labels, "splits": splits, "images": None, **changes}
    return Inspection("data/pets", "converted", "pets", **values)  # type: ignore[arg-type]


def _plain(inspection: Inspection, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_inspection(inspection, Console(file=file))
    file.seek(0)
    return file.read().splitlines()


def _on_terminal(inspection: Inspection, width: int = 80) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=width)
    print_inspection(inspection, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_elsewhere_lines_are_plain_and_short() -> None:
    lines = _plain(_inspection(1000))
    assert not any("\x1b" in line or line != line.rstrip() or len(line) > 120 for line in lines)


def test_counts_are_aligned_under_their_splits() -> None:
    lines = _plain(_inspection())
    start = next(index for index, line in enumerate(lines) if line.startswith("class "))
    assert [line.split()[:6] for line in lines[start : start + 4]] == [
        ["class", "train", "test", "images", "share"],
        ["class", "0", "2", "2", "4", "66.7%"],
        ["class", "1", "1", "1", "2", "33.3%"],
        ["all", "3", "3", "6"],
    ]


def test_bars_are_as_long_as_the_counts() -> None:
    bars = [line.count("█") for line in _plain(_inspection(4)) if "█" in line]
    assert bars == [bars[0], *(int(bars[0] * share) for share in (0.75, 0.5, 0.25))]


def test_where_blocks_cannot_be_written_bars_are_of_number_signs() -> None:
    assert any("####" in line for line in _plain(_inspection(), encoding="ascii"))


def test_of_a_thousand_classes_the_middle_is_counted() -> None:
    lines = _plain(_inspection(1000))
    assert len([line for line in lines if line.startswith("class ")]) == 61
    assert any(line.startswith("... 940 more, 62 to 1,940 images each") for line in lines)


def test_a_long_name_is_shown_whole() -> None:
    name = "".join(f"[{number}]" for number in range(40))
    text = "".join(line[:40].strip() for line in _plain(_inspection(labels=("a", name))))
    assert name in text


def test_a_terminal_gets_colors_and_fits_its_width() -> None:
    text = _on_terminal(_inspection(100), width=80)
    assert "\x1b[" in text
    assert "█" in text


def test_findings_are_listed_with_their_places() -> None:
    findings = (
        Finding("broken_images", "1 image cannot be decoded.", True, 1, (Place("a.tfrecord", 7, "[truncated]"),)),
        Finding("missing_classes", "Split test has no image of dog.", False),
    )
    lines = _plain(_inspection(findings=findings))
    assert lines[-4:] == [
        "fault: 1 image cannot be decoded.",
        "    a.tfrecord, record 7: [truncated]",
        "note: Split test has no image of dog.",
        "1 fault",
    ]


def test_without_labels_the_keys_are_shown_all_the_same() -> None:
    splits = {"train": SplitFacts(3, None, 1, 1000)}
    keys = {"photo": KeyFacts("bytes", 3, 3, (1, 1))}
    lines = _plain(_inspection(labels=(), splits=splits, keys=keys))
    assert not any(line.startswith("class") for line in lines)
    assert any(line.split() == ["photo", "bytes", "3", "images"] for line in lines)
