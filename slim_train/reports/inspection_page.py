"""The result of an inspection in HTML, for a notebook and as a page, and the sheet of first images. No TensorFlow."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from slim_train.reports import html
from slim_train.reports import inspection as words
from slim_train.reports.class_bars import class_bars
from slim_train.reports.contact_sheet import Tile, draw_contact_sheet
from slim_train.reports.fonts import drawable_labels
from slim_train.reports.image_strip import StripImage, strip
from slim_train.reports.plotting import BLUE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datasets.inspection.result import Duplicate, Duplicates, FeatureFindings, Inspection, LabelError, Sample

_COLUMNS = 5
_MOST_OPEN = 10


def inspection_html(inspection: Inspection, sheet: Path | None = None, is_page: bool = False) -> str:
    """Return the result as one block.

    Args:
      inspection: the result.
      sheet: image file of the first images, to be shown.
      is_page: whether there is room to unfold the middle of many classes.
    """
    parts = [html.facts(words.facts(inspection))]
    rest = "inspection.json" if is_page else "to_dict()"
    points = {
        f"{'Fault' if finding.is_fault else 'Note'}: {finding.message}": words.places(finding, rest=rest)
        for finding in inspection.findings
    }
    parts += [html.heading(words.verdict(inspection)), html.bullets(points) if points else ""]
    splits = {name: split.class_counts for name, split in inspection.splits.items() if split.class_counts is not None}
    if splits:
        parts += [html.heading("Images per class"), class_bars(inspection.labels, splits, with_all=is_page)]
    if counted := words.all_duplicate_rows(inspection):
        parts += [html.heading("Duplicates"), html.table(words.DUPLICATE_COLUMNS, counted)]
    if inspection.duplicates:
        parts += _duplicates(inspection.duplicates, inspection.labels, "Duplicates")
    if inspection.by_features:
        if inspection.by_features.alike:
            parts += _duplicates(inspection.by_features.alike, inspection.labels, "Alike by features only")
        parts += _by_features(inspection.by_features, inspection.labels)
    if inspection.keys:
        rows = words.key_rows(inspection.keys, inspection.num_images)
        parts += [html.heading("Keys of the records"), html.table(("key", "type", "is", "content"), rows)]
    if sheet:
        parts += [html.heading("First images of each class"), html.image_file(sheet, "first images of each class")]
    return html.report(words.title(inspection), words.summary(inspection), *parts)


def _duplicates(duplicates: Duplicates, labels: Sequence[str], title: str) -> list[str]:
    parts = []
    for name, groups in words.relations(duplicates).items():
        strips = [
            strip(
                [
                    StripImage(
                        image.data,
                        ("no label" if image.label is None else labels[image.label], image.split, _name(image)),
                        words.LIKENESS[image.likeness] if number else "",
                    )
                    for number, image in enumerate(group.images)
                    if image.data
                ],
                sum(not image.data for image in group.images),
            )
            for group in groups
            if any(image.data for image in group.images)
        ]
        if strips:
            parts.append(html.heading(f"{title}, {name}: {len(strips):,} of {words.count(len(groups), 'group')}"))
            parts += strips
    return parts


def _by_features(found: FeatureFindings, labels: Sequence[str]) -> list[str]:
    parts = []
    shown = [error for error in found.label_errors if error.data]
    if found.accuracy is not None:
        parts.append(html.heading(f"Labels that are probably wrong: {len(shown):,} of {found.num_probable:,}"))
        parts.append(html.paragraph(words.label_errors_note(found)))
    if shown:
        examples = [
            StripImage(
                error.data,
                (labels[error.label], f"→ {labels[error.suggestion]}", _name(error)),
                f"{error.suggestion_probability:.0%}, {error.split}",
            )
            for error in shown
        ]
        parts.append(strip(examples))
    if found.typical:
        parts.append(html.heading("Most typical and most unusual images"))
        parts.append(html.paragraph("Of each class: those whose features are most and least like its average."))
        parts += _pairs(found, labels)
    return parts


def _pairs(found: FeatureFindings, labels: Sequence[str]) -> list[str]:
    """Return for each class a line of typical and a line of unusual images; beyond a few classes, folded."""
    by_class: dict[int, list[list[StripImage]]] = {}
    for kind, samples in enumerate((found.typical, found.unusual)):
        for sample in samples:
            lines = by_class.setdefault(sample.label, [[], []])
            lines[kind].append(StripImage(sample.data, (("typical", "unusual")[kind], _name(sample)), sample.split))
    parts = []
    for label, lines in by_class.items():
        body = "".join(strip(examples) for examples in lines if examples)
        parts.append(html.details(labels[label], body, is_open=len(by_class) <= _MOST_OPEN))
    return parts


def _name(image: Sample | Duplicate | LabelError) -> str:
    return PurePath(image.file).name if image.record is None else f"record {image.record:,}"


def inspection_page(inspection: Inspection, sheet: Path | None) -> str:
    """Return the result as a document that needs no other file."""
    return html.page(words.title(inspection), inspection_html(inspection, sheet, is_page=True))


def draw_first_images(path: Path, inspection: Inspection) -> bool:
    """Draw the first images of each class, a class beside or below the other.

    Returns:
      Whether there are any.
    """
    samples = inspection.samples
    if not samples:
        return False
    names = drawable_labels(inspection.labels)
    by_class: dict[int, list[Tile]] = {}
    for sample in samples:
        where = f"{sample.split}, {_name(sample)}" if sample.record else _name(sample)
        by_class.setdefault(sample.label, []).append(Tile(sample.data, (names[sample.label], where), BLUE))
    most = max(map(len, by_class.values()))
    columns = most * (_COLUMNS // most) or _COLUMNS
    # Classes with fewer images leave places empty, so that each class begins a stretch of equal length.
    length = most if most <= columns else -(-most // columns) * columns
    tiles = [tile for of_class in by_class.values() for tile in (*of_class, *[None] * (length - len(of_class)))]
    missing = len(names) - len(by_class)
    classes = f"{len(by_class):,} of {words.count(len(names), 'class', 'classes')}" if missing else "All classes"
    shown = f"{classes}, {'one image' if most == 1 else f'up to {most} images'} of each"
    draw_contact_sheet(path, tiles, f"First images of {inspection.name}", shown, columns)
    return True
