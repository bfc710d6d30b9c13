"""The result of an inspection as text: colored tables on a terminal, plain lines elsewhere. No TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from slim_train.reports import inspection as words
from slim_train.reports.class_bars import MOST_CLASSES, bar, between, left_out
from slim_train.reports.fonts import one_line

if TYPE_CHECKING:
    from datasets.inspection.result import Finding, Inspection

_PLAIN_WIDTH = 120
_MOST_SPLITS = 5
# Of a note; faults have more.
_MOST_PLACES = 5
_LONGEST_NAME, _LONGEST_NAME_IF_NARROW = 40, 24


def print_inspection(inspection: Inspection, console: Console | None = None) -> None:
    """Print the result of an inspection, on stdout unless told otherwise."""
    console = console or Console()
    if console.is_terminal:
        for part in _parts(inspection, console):
            console.print(part, highlight=False)
        return
    plain = Console(file=console.file, width=_PLAIN_WIDTH, color_system=None, force_jupyter=False)
    with plain.capture() as captured:
        for part in _parts(inspection, plain):
            plain.print(part, highlight=False)
    console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _parts(inspection: Inspection, console: Console) -> Iterator[RenderableType]:
    yield Text(f"{words.title(inspection)}: {words.summary(inspection)}", style="bold")
    yield ""
    values = _table(console, [("", "left"), ("", "left")], header=False)
    for name, value in words.facts(inspection).items():
        values.add_row(Text(f"{name}", style="dim"), Text(one_line(value)))
    yield values
    if inspection.class_counts is not None:
        yield ""
        yield _classes(inspection, inspection.class_counts, console)
    if inspection.keys:
        yield ""
        table = _table(console, [("key", "left"), ("type", "left"), ("is", "left"), ("content", "left")])
        for row in words.key_rows(inspection.keys, inspection.num_images):
            table.add_row(*(Text(one_line(cell)) for cell in row))
        yield table
    if rows := words.all_duplicate_rows(inspection):
        yield ""
        name, *columns = words.DUPLICATE_COLUMNS
        table = _table(console, [(name, "left"), *((column, "right") for column in columns)])
        for level, *numbers in rows:
            table.add_row(level, *(f"{number:,}" for number in numbers))
        yield table
    yield ""
    for finding in inspection.findings:
        yield from _finding(finding)
    yield Text(words.verdict(inspection), style="bold red" if inspection.faults else "bold green")


def _classes(inspection: Inspection, counts: Sequence[int], console: Console) -> Table:
    from datasets.inspection.result import extremes_of  # not at the top: commands check first that this package is ours

    splits = {name: split.class_counts for name, split in inspection.splits.items() if split.class_counts is not None}
    splits = splits if 1 < len(splits) <= _MOST_SPLITS else {}
    first, last = extremes_of(dict(enumerate(counts)), MOST_CLASSES)
    total = max(1, sum(counts))
    longest = _LONGEST_NAME if console.width >= _PLAIN_WIDTH else _LONGEST_NAME_IF_NARROW
    used = min(longest, max(len(inspection.labels[label]) for label in (*first, *last)))
    room = console.width - used - 12 * (len(splits) + 2)
    width = max(8, min(50, room))
    is_ascii = not console.encoding.lower().startswith("utf")
    columns = [("class", "left"), *((name, "right") for name in splits), ("images", "right"), ("share", "right")]
    table = _table(console, [*columns, ("", "left")], longest_first=longest)

    def add(labels: Sequence[int]) -> None:
        for label in labels:
            numbers = [f"{of_split[label]:,}" for of_split in splits.values()]
            drawn = Text(bar(counts[label], max(counts), width, is_ascii), style="blue")
            name = Text(one_line(inspection.labels[label]))
            table.add_row(name, *numbers, f"{counts[label]:,}", _share(counts[label] / total), drawn)

    add(first)
    if last:
        line = left_out(counts, between(counts, first, last))
        table.add_row(Text(f"... {line}", style="dim"), *[""] * (len(splits) + 3))
    add(last)
    totals = [f"{sum(of_split):,}" for of_split in splits.values()]
    table.add_section()
    table.add_row("all", *totals, f"{sum(counts):,}", "", "", style="bold")
    return table


def _share(share: float) -> str:
    return "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def _finding(finding: Finding) -> Iterator[Text]:
    style = "red" if finding.is_fault else "yellow"
    yield Text.assemble(("fault: " if finding.is_fault else "note: ", style), one_line(finding.message))
    for line in words.places(finding, _MOST_PLACES if not finding.is_fault else words.MOST_PLACES):
        yield Text(f"    {one_line(line)}")


def _table(
    console: Console, columns: Sequence[tuple[str, str]], header: bool = True, longest_first: int | None = None
) -> Table:
    style = box.SIMPLE_HEAD if console.is_terminal and header else None
    table = Table(box=style, pad_edge=False, show_header=header, padding=(0, 2, 0, 0))
    for index, (name, side) in enumerate(columns):
        table.add_column(
            name,
            justify="right" if side == "right" else "left",
            overflow="fold",
            max_width=longest_first if index == 0 else None,
            no_wrap=side == "right",
        )
    return table
