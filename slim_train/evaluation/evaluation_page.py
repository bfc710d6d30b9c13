"""An evaluation in HTML: how far it can be trusted, what its mistakes are, each class. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

import numpy as np

from slim_train.evaluation.calibration import WISHED_PRECISION, Bin, Calibration
from slim_train.evaluation.mistakes import Mistake
from slim_train.evaluation.report import EvaluationReport
from slim_train.reports import html
from slim_train.reports.confusion_matrix import confusion_figure
from slim_train.reports.image_strip import StripImage, strip
from slim_train.reports.interval_table import Share, interval_table
from slim_train.reports.line_chart import Line, share_chart, side_by_side
from slim_train.reports.plotting import has_matplotlib

# Of the confused pairs, and of their images that are among the worst mistakes.
_MOST_PAIRS, _MOST_OF_A_PAIR = 15, 6
_MOST_MISTAKES = 200
_MOST_DRAWN = 100  # classes of a matrix that no file holds
_MOST_CLASSES, _MOST_CLASSES_FOLDED = 60, 1000
# A page is to be 5 MB at most, and base64 takes a third more.
_MOST_BYTES_OF_MATRIX = 2_000_000
_ABOUT_HEAT = (
    "Below each image: where the net looked to see the predicted class (Grad-CAM, yellow is most), on the image as the "
    "net takes it."
)
_COLUMN_NAMES = {
    "short_side": "short side in pixels",
    "height": "height in pixels",
    "width": "width in pixels",
    "aspect_ratio": "aspect ratio (width : height)",
}
_SHOWN_THRESHOLDS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


def evaluation_html(report: EvaluationReport, mistakes: Sequence[Mistake] = ()) -> str:
    """Return an evaluation as parts of a page.

    Args:
      report: the figures.
      mistakes: the worst mistakes that were kept, the most confident first.
    """
    wrong = report.images - round(report.accuracy * report.images)
    parts = [html.heading(f"Evaluation of {report.split}"), html.facts(_facts(report, wrong))]
    if report.calibration:
        parts += _trust(report.calibration)
    parts += _by_columns(report)
    parts += _per_class(report)
    if wrong:
        parts += _confusions(report, mistakes)
        if mistakes:
            shown = mistakes[:_MOST_MISTAKES]
            parts.append(html.heading(f"Worst mistakes: {len(shown):,} of {wrong:,}"))
            parts.append(
                html.paragraph("True class, predicted class with its probability, file; the most confident first.")
            )
            if any(mistake.heat for mistake in shown):
                parts.append(html.paragraph(_ABOUT_HEAT))
            parts.append(strip([_strip_image(mistake, report.labels) for mistake in shown]))
    else:
        parts.append(html.heading("No mistakes"))
    return "".join(parts)


def _facts(report: EvaluationReport, wrong: int) -> dict[str, str]:
    low, high = report.accuracy_interval
    values = {
        "accuracy": f"{report.accuracy:.2%}, 95% interval {low:.2%} to {high:.2%} (Wilson)",
        "images": f"{report.images:,}, {wrong:,} wrong",
        "top-5 accuracy": f"{report.top_5_accuracy:.2%}" if len(report.labels) > 5 else "",
        "balanced accuracy": f"{report.balanced_accuracy:.2%}",
        "loss": f"{report.loss:.4f}",
        "checkpoint": f"{PurePath(report.checkpoint).name}, step {report.step:,}",
        "mirror images": "probabilities are averaged over each image and its mirror image" if report.flip else "",
        "time": f"{report.seconds:,.1f} s, {report.images_per_second:,.0f} images/s" if report.seconds else "",
    }
    return {name: value for name, value in values.items() if value}


def _trust(calibration: Calibration) -> list[str]:
    temperature = calibration.temperature
    lines = [_reliability("as they are", calibration.bins)]
    if temperature:
        lines.append(_reliability(f"at temperature {temperature.value:.2f}", temperature.bins))
        note = (
            f"Expected calibration error {calibration.error:.4f}. Temperature {temperature.value:.3f} is best: error "
            f"{temperature.calibration_error_after:.4f}, loss {temperature.loss_before:.4f} before and "
            f"{temperature.loss_after:.4f} after, on the {temperature.images:,} images that it was fitted on."
        )
    else:
        note = f"Expected calibration error {calibration.error:.4f}. No temperature from 0.05 to 20 is best."
    rows = calibration.coverage
    covered = Line("", [(row.coverage, row.accuracy) for row in rows])
    shown = [row for row in rows if row.threshold in _SHOWN_THRESHOLDS]
    table = html.table(
        ("answered from probability", "images", "share", "accuracy"),
        [(f"{row.threshold:.0%}", row.images, f"{row.coverage:.1%}", f"{row.accuracy:.1%}") for row in shown],
    )
    return [
        html.heading("Can the probabilities be trusted?"),
        html.paragraph(note),
        side_by_side(
            share_chart("Reliability diagram", "probability of the prediction", "accuracy", lines, with_diagonal=True),
            share_chart("Coverage against accuracy", "share of images answered", "accuracy", [covered]),
        ),
        html.paragraph(
            "Reliability: on the diagonal, 80% means right in 80% of cases; the larger a dot, the more images. "
            "Coverage: accuracy if answers of low probability are refused."
        ),
        table,
    ]


def _reliability(name: str, bins: Sequence[Bin]) -> Line:
    return Line(name, [(of.confidence, of.accuracy) for of in bins], [of.images for of in bins])


def _by_columns(report: EvaluationReport) -> list[str]:
    """Return a table for each column that tells images apart."""
    parts = []
    is_drawn = False
    for column, groups in report.accuracy_by.items():
        name = _COLUMN_NAMES.get(column, column)
        if len(groups) == 1:
            parts.append(html.paragraph(f"All images have the same {name}: {groups[0].value}."))
            continue
        shares = [Share(group.value, group.images, group.accuracy, *group.interval) for group in groups]
        is_drawn = True
        parts.append(html.heading(f"Accuracy by {name}"))
        parts.append(interval_table(name, "images", "accuracy", shares, report.accuracy))
    if is_drawn:
        parts.append(
            html.paragraph(
                "Dots are accuracies, bars their 95% intervals. The line through all rows is that of all images."
            )
        )
    return parts


def _per_class(report: EvaluationReport) -> list[str]:
    """Return the classes with the most wrong images first."""
    wrong = report.support - report.confusion.correct
    occurring = np.flatnonzero((report.support > 0) | (report.confusion.predicted > 0))
    order = occurring[np.lexsort((occurring, report.f1[occurring], -wrong[occurring]))].tolist()
    thresholds = {row.label: row for row in report.calibration.thresholds} if report.calibration else {}

    def row(label: int) -> tuple[object, ...]:
        at = thresholds.get(label)
        figures = (report.recall[label], report.precision[label], report.f1[label])
        return (
            report.labels[label],
            int(report.support[label]),
            int(wrong[label]),
            *(f"{value:.3f}" for value in figures),
            f"{at.threshold:.2f}" if at else "-",
        )

    columns = ("class", "images", "wrong", "recall", "precision", "F1", f"{WISHED_PRECISION:.0%} precise from")
    parts = [html.heading("Classes, by number of wrong images")]
    parts.append(html.table(columns, map(row, order[:_MOST_CLASSES])))
    rest = order[_MOST_CLASSES:_MOST_CLASSES_FOLDED]
    if rest:
        tables = (
            html.table(columns, map(row, rest[start : start + _MOST_CLASSES]))
            for start in range(0, len(rest), _MOST_CLASSES)
        )
        more = len(order) - _MOST_CLASSES_FOLDED
        after = html.paragraph(f"and {more:,} more: see eval_{report.split}.json") if more > 0 else ""
        parts.append(
            html.details(f"{len(order) - _MOST_CLASSES:,} more classes", "".join(tables) + after, is_open=False)
        )
    return parts


def _confusions(report: EvaluationReport, mistakes: Sequence[Mistake]) -> list[str]:
    parts = []
    matrix = _matrix(report)
    if matrix:
        parts += [html.heading("Confusion matrix"), matrix]
    pairs = report.confusion.pairs
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    order = np.argsort(-pairs[:, 2], kind="stable")[:_MOST_PAIRS]
    parts.append(html.heading("Most confused classes"))
    rows = [
        (f"{report.labels[true]} → {report.labels[taken]}", count, f"{count / report.support[true]:.1%}")
        for true, taken, count in pairs[order].tolist()
    ]
    parts.append(html.table(("true → predicted", "images", "of the true class"), rows))
    for true, taken, _ in pairs[order].tolist():
        of_pair = [mistake for mistake in mistakes if (mistake.label, mistake.predicted) == (true, taken)]
        if of_pair:
            images = [_strip_image(mistake, report.labels) for mistake in of_pair[:_MOST_OF_A_PAIR]]
            title = f"{report.labels[true]} → {report.labels[taken]}: {len(images):,} of the worst mistakes"
            parts.append(html.details(title, strip(images), is_open=False))
    return parts


def _matrix(report: EvaluationReport) -> str:
    """Return the matrix that was drawn if it is not too large, else one of a few classes."""
    file = report.files.get("confusion_matrix")
    if file:
        return html.image_file(file, "confusion matrix") if file.stat().st_size <= _MOST_BYTES_OF_MATRIX else ""
    counts = report.confusion_matrix
    if counts is None or len(counts) > _MOST_DRAWN or not has_matplotlib():
        return ""
    return html.figure(confusion_figure(counts, report.labels), "confusion matrix")


def _strip_image(mistake: Mistake, labels: Sequence[str]) -> StripImage:
    return StripImage(
        mistake.image if isinstance(mistake.image, bytes) else b"",
        (labels[mistake.label], f"→ {labels[mistake.predicted]}", PurePath(mistake.file).name),
        f"{mistake.probability:.0%}",
        mistake.heat,
    )
