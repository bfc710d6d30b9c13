"""The words for the result of an inspection, which its text and its page share. No TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets.inspection.image_stats import Extent, ImageStats
    from datasets.inspection.result import DuplicateGroup, Duplicates, FeatureFindings, Finding, Inspection, KeyFacts

_KINDS = {
    "converted": "records with info.json",
    "records": "records without info.json",
    "class_folders": "class folders, not converted",
}
# Of an image, and of many.
LIKENESS = {"bytes": "equal bytes", "pixels": "equal pixels", "near": "near-duplicate", "features": "alike by features"}
_LEVELS = {**LIKENESS, "near": "near-duplicates"}
DUPLICATE_COLUMNS = ("duplicates", "images", "groups", "within class and split", "across classes", "across splits")
MOST_PLACES = 100
_MOST_VALUES = 5


def title(inspection: Inspection) -> str:
    """Return the heading of a report."""
    return f"Data set {inspection.name}"


def summary(inspection: Inspection) -> str:
    """Return images, classes and bytes in a line."""
    classes = len(inspection.labels)
    of_classes = f" of {count(classes, 'class', 'classes')}" if classes else ""
    files = sum(split.num_files for split in inspection.splits.values())
    kind = "file" if inspection.kind == "class_folders" else "record file"
    return (
        f"{count(inspection.num_images, 'image')}{of_classes}, {size(inspection.num_bytes)} in {count(files, kind)}; "
        f"{'decoded' if inspection.decoded else 'read'} in {inspection.seconds:.1f} s"
    )


def facts(inspection: Inspection) -> dict[str, str]:
    """Return what there is to say about the whole data set, by name."""
    splits = ", ".join(
        f"{name} {split.num_samples:,} ({size(split.num_bytes)})" for name, split in inspection.splits.items()
    )
    values = {
        "folder": inspection.dataset_dir,
        "kind": _KINDS[inspection.kind],
        "splits": splits,
        "compression": inspection.compression,
        **(_image_facts(inspection.images) if inspection.images and inspection.images.images else {}),
        "features": _feature_facts(inspection.by_features) if inspection.by_features else "",
        "written": ", ".join(inspection.written),
    }
    return {name: value for name, value in values.items() if value}


def key_rows(keys: Mapping[str, KeyFacts], records: int) -> list[tuple[str, str, str, str]]:
    """Return name, type, role and content of each key."""
    rows = []
    for name, key in keys.items():
        low, high = key.values
        number = "" if low == high == 1 else f" x {low:,}" if low == high else f" x {low:,} to {high:,}"
        content = [count(key.images, "image")] if key.images and key.kind == "bytes" else []
        content += [key.example] if key.example else []
        content += [f"in {key.records:,} of {records:,} records"] if key.records < records else []
        rows.append((name, f"{key.kind}{number}", key.role, "; ".join(content)))
    return rows


def places(finding: Finding, most: int = MOST_PLACES, rest: str = "--json") -> list[str]:
    """Return where a finding was made, in lines; of more than ``most`` the others are counted: see ``rest``."""
    lines = [str(place) for place in finding.places[:most]]
    more = max(finding.count, len(finding.places)) - len(lines)
    return [*lines, f"and {more:,} more: see {rest}"] if lines and more > 0 else lines


def all_duplicate_rows(inspection: Inspection) -> list[tuple[str, int, int, int, int, int]]:
    """Return the rows of all ways of comparing that were used."""
    found = (inspection.duplicates, inspection.by_features.alike if inspection.by_features else None)
    return [row for duplicates in found if duplicates for row in duplicate_rows(duplicates)]


def duplicate_rows(duplicates: Duplicates) -> list[tuple[str, int, int, int, int, int]]:
    """Return a row of numbers for each way of comparing; :data:`DUPLICATE_COLUMNS` names them."""
    return [
        (_LEVELS[level], of.images, of.groups, of.within, of.across_classes, of.across_splits)
        for level, of in duplicates.counts.items()
    ]


def relations(duplicates: Duplicates) -> dict[str, list[DuplicateGroup]]:
    """Return the groups across splits, those across classes of one split, and the rest, each under its heading."""
    splits = [group for group in duplicates.groups if len(group.splits) > 1]
    classes = [group for group in duplicates.groups if len(group.splits) == 1 and len(group.labels) > 1]
    rest = [group for group in duplicates.groups if len(group.splits) == 1 and len(group.labels) <= 1]
    named = {"across splits": splits, "across classes of a split": classes, "within a class and split": rest}
    return {name: groups for name, groups in named.items() if groups}


def label_errors_note(found: FeatureFindings) -> str:
    """Return how labels were doubted, in a line."""
    assert found.accuracy is not None
    note = (
        f"A classifier on features of {found.net}, trained on other images, gives {found.accuracy:.1%} of "
        f"{found.num_images:,} labels."
    )
    return f"{note} These are the least probable, with its suggestions." if found.num_probable else note


def verdict(inspection: Inspection) -> str:
    """Return a line that says how many faults there are."""
    if inspection.faults:
        return count(len(inspection.faults), "fault")
    return "No faults." if inspection.decoded else "No faults. Images were not decoded in full: --decode does that."


def count(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def size(num_bytes: float) -> str:
    """Return a number of bytes for a person."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= factor:
            return f"{num_bytes / factor:,.1f} {unit}"
    return f"{num_bytes:,.0f} bytes"


def _feature_facts(found: FeatureFindings) -> str:
    known = "" if found.accuracy is None else f"; a classifier gives {found.accuracy:.1%} of the labels of other images"
    return f"{found.num_images:,} images by {found.net}{known}"


def _image_facts(images: ImageStats) -> dict[str, str]:
    number = images.images
    least, most, mean = images.least_bytes or 0, images.most_bytes or 0, images.num_bytes / number
    frequent = images.most_frequent(_MOST_VALUES)
    values = {
        "formats": ", ".join(f"{name} {amount:,}" for name, amount in images.formats.most_common()),
        "colors": ", ".join(f"{name} {amount:,}" for name, amount in images.colors.most_common()),
    }
    smallest, median, largest = images.smallest(), images.median(), images.largest()
    if smallest and median and largest:
        if len(images.sizes) == 1:
            values["sizes"] = f"{_extent(smallest)} pixels, all images"
        else:
            values["sizes"] = (
                f"{_extent(smallest)} to {_extent(largest)} pixels (width x height), median {_extent(median)}"
            )
            listed = (f"{_extent(extent)} {amount / number:.0%}" for extent, amount in frequent)
            rest = f" of {len(images.sizes):,} sizes" if len(images.sizes) > len(frequent) else ""
            values["most frequent"] = f"{', '.join(listed)}{rest}"
    values["bytes"] = f"{size(least)} to {size(most)} per image, mean {size(mean)}" if least < most else size(least)
    return values


def _extent(extent: Extent) -> str:
    return f"{extent.width}x{extent.height}"
