"""A comparison of runs for the terminal. No TensorFlow."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from slim_train.evaluation.compare import Comparison

_PLAIN_WIDTH = 140


def print_comparison(comparison: Comparison) -> None:
    """Print the table, the tests and the images that only one run got right."""
    console = Console()
    console = console if console.is_terminal else Console(width=_PLAIN_WIDTH)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(comparison.headings):
        table.add_column(heading, justify="left" if index < 2 else "right", overflow="fold")
    for row in comparison.rows():
        table.add_row(*map(Text, row))
    console.print(Text(comparison.note()))
    console.print(table)
    for line in comparison.sentences():
        console.print(Text(line))
    for entry in comparison.only_right:
        console.print(Text(f"\nOnly {entry.name} is right: {entry.count:,} images"))
        for file, label, said in entry.examples:
            others = ", ".join(f"{name}: {prediction}" for name, prediction in said.items() if name != entry.name)
            console.print(Text(f"  {file}  {label}  ({others})"), soft_wrap=True)
        if entry.examples and entry.count > len(entry.examples):
            console.print(Text(f"  and {entry.count - len(entry.examples):,} more"))
