"""The nets as slim_models prints them: a line each, one in detail, or JSON."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from slim_train.errors import unknown
from slim_train.nets.costs import Costs, known_costs
from slim_train.nets.discovery import smallest_image
from slim_train.nets.factory import get_record, net_names, net_origin
from slim_train.nets.record import NetRecord
from slim_train.progress import ProgressBar
from slim_train.registry import BUILT_IN
from slim_train.zoo.identify import released_flags

NOTE = "GFLOPs: one image, 2 for each multiply-add. Top-1: percent of ImageNet, by the released weights."
_PATTERN_CHARACTERS = set("*?[")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A net as it is listed.

    Attributes:
      record: the net.
      image_size: height and width in pixels that its costs are for.
      costs: None if images of that size are too small for the net.
      origin: slim-train, or the file or package of the net.
    """

    record: NetRecord
    image_size: int
    costs: Costs | None
    origin: str = BUILT_IN

    def as_json(self) -> dict[str, Any]:
        """Return all that is known of the net, but for its functions."""
        facts = {
            field.name: getattr(self.record, field.name)
            for field in dataclasses.fields(self.record)
            if field.name not in ("builder", "arg_scope", "files", "digest")
        }
        costs = dataclasses.asdict(self.costs) if self.costs else {"num_parameters": None, "flops": None}
        return {**facts, "origin": self.origin, "image_size": self.image_size, **costs}


def find(names: Sequence[str]) -> list[str]:
    """Return the nets that any of ``names`` means, sorted: that of the name, else those that have it in theirs.

    With ``*``, ``?`` or ``[`` in it a name is a shell pattern of whole names. No names mean all nets.

    Raises:
      UsageError: one of them means no net.
    """
    found: set[str] = set()
    for name in names:
        pattern = name if _PATTERN_CHARACTERS & set(name) else f"*{name}*"
        meant = {name} & set(net_names()) or fnmatch.filter(net_names(), pattern)
        if not meant:
            raise unknown("net", name, net_names(), listed_by="slim_models")
        found.update(meant)
    return sorted(found if names else net_names())


def entries(nets: Sequence[str | NetRecord], image_size: int | None = None) -> list[Entry]:
    """Return the nets with their costs.

    Args:
      nets: full names, or records of nets that are not registered.
      image_size: height and width in pixels to count at; None: each net's own.
    """
    listed = []
    with ProgressBar("counting", len(nets), "nets") as bar:
        for net in nets:
            origin = net_origin(net) if isinstance(net, str) else net.files[0]
            record = get_record(net) if isinstance(net, str) else net
            if origin != BUILT_IN:
                record = dataclasses.replace(record, min_image_size=smallest_image(record))
            size = image_size or record.default_image_size
            costs = known_costs(record, size) if size >= record.min_image_size else None
            listed.append(Entry(record, size, costs, origin))
            bar.update(len(listed))
    return listed


def table(listed: Sequence[Entry]) -> Table:
    """Return a line for each net, for ``rich`` to print."""
    lines = Table("net", box=None, pad_edge=False, header_style="bold")
    for heading in ("image size", "parameters (M)", "GFLOPs", "top-1"):
        lines.add_column(heading, justify="right")
    lines.add_column("weights")
    for entry in listed:
        record, costs = entry.record, entry.costs
        lines.add_row(
            record.name if entry.origin == BUILT_IN else f"{record.name} ({Path(entry.origin).name})",
            str(entry.image_size),
            f"{costs.num_parameters / 1e6:.1f}" if costs else "",
            _giga(costs.flops) if costs else "too small",
            f"{record.imagenet_top1:.1f}" if record.imagenet_top1 else "",
            "released" if record.checkpoint_url else "",
        )
    return lines


def detail(entry: Entry) -> str:
    """Return all that is known of a net, and how to train it: several lines."""
    lines = [entry.record.name, "", *(f"  {label:<18}{value}" for label, value in _facts(entry)), ""]
    return "\n".join([*lines, *_commands(entry)])


def _facts(entry: Entry) -> Iterator[tuple[str, str]]:
    record, costs = entry.record, entry.costs
    size, smallest = record.default_image_size, record.min_image_size
    if entry.origin != BUILT_IN:
        yield "from", entry.origin
    yield "image size", f"{size}x{size}, {record.channels} channels; at least {smallest}x{smallest}"
    yield "preprocessing", record.preprocessing
    yield "classes", f"{record.num_classes}{', class 0 is background' if record.num_classes == 1001 else ''}"
    at = f"at {entry.image_size}x{entry.image_size}"
    yield "parameters", f"{costs.num_parameters:,} {at}" if costs else f"none {at}: too small"
    yield "GFLOPs", f"{_giga(costs.flops)} {at}, 2 for each multiply-add" if costs else f"none {at}: too small"
    yield "last layer", ", ".join(record.head_scopes)
    yield "features", f"{record.feature_end_point}, {record.feature_width} wide"
    if record.paper:
        yield "paper", record.paper
    if record.checkpoint_url:
        yield "released weights", record.checkpoint_url
        if record.checkpoint_preprocessing or record.checkpoint_image_size:
            yield "  made for", " ".join(released_flags(record))
    if record.imagenet_top1:
        yield "ImageNet top-1", f"{record.imagenet_top1:.1f}%"


def _commands(entry: Entry) -> Iterator[str]:
    record = entry.record
    command = f"train_image_classifier --dataset_dir=data/flowers --train_dir=models/flowers --model_name={record.name}"
    if record.files:
        yield from ("To train it:", "", f"  {command} --model_file={entry.origin}")
        return
    if not record.checkpoint_url:
        yield from ("No weights were released. To train from scratch:", "", f"  {command}")
        return
    yield from ("To train a new last layer on the released weights:", "")
    yield f"  slim_models --download {record.name} && {command} \\"
    flags = ["--checkpoint_exclude_scopes=auto", "--trainable_scopes=auto", *released_flags(record)]
    yield f"    --checkpoint_path=checkpoints/{record.name} {' '.join(flags)}"


def _giga(number: int) -> str:
    """In billions, with three digits: 0.0278, 1.14, 47.6."""
    return f"{number / 1e9:#.3g}"
