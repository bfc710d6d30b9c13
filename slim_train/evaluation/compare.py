"""Runs compared image by image on the same split. No TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slim_train.errors import UsageError
from slim_train.evaluation.calibration import wilson_interval
from slim_train.evaluation.evaluated_runs import EvaluatedRun
from slim_train.evaluation.read_predictions import RunPredictions, read_predictions, rows_of
from slim_train.evaluation.significance import mcnemar_test
from slim_train.reports import html
from slim_train.reports.run_curves import run_curves


@dataclasses.dataclass(frozen=True)
class RunFigures:
    """The figures of a run.

    Attributes:
      run: what was evaluated.
      images, correct: counts.
      accuracy: share of the images that are right.
      interval: the 95% Wilson interval of the accuracy.
      balanced_accuracy: mean recall of the classes.
    """

    run: EvaluatedRun
    images: int
    correct: int
    accuracy: float
    interval: tuple[float, float]
    balanced_accuracy: float

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        run = self.run
        return {
            "name": run.name,
            "predictions": str(run.predictions),
            "split": run.split,
            "net": run.net,
            "step": run.step,
            "images": self.images,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "accuracy_interval_95": list(self.interval),
            "top_5_accuracy": run.top_5_accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "loss": run.loss,
        }


@dataclasses.dataclass(frozen=True)
class PairTest:
    """McNemar's exact test of two runs.

    Attributes:
      first, second: names of the runs.
      only_first, only_second: images that only one of the two got right.
      p_value: two-sided.
    """

    first: str
    second: str
    only_first: int
    only_second: int
    p_value: float


@dataclasses.dataclass(frozen=True)
class OnlyRight:
    """The images that a single run got right.

    Attributes:
      name: of the run.
      count: how many.
      examples: file, true class and the predictions of all runs, by their names, of the first ones.
    """

    name: str
    count: int
    examples: tuple[tuple[str, str, dict[str, str]], ...]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Runs compared on the same images.

    Attributes:
      runs: the figures of each.
      tests: each other run against the first.
      only_right: of each run.
      all_right, none_right: images that all runs got right, and none.
    """

    runs: tuple[RunFigures, ...]
    tests: tuple[PairTest, ...]
    only_right: tuple[OnlyRight, ...]
    all_right: int
    none_right: int

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain values."""
        only = [
            {
                "name": entry.name,
                "count": entry.count,
                "examples": [
                    {"file": file, "label": label, "predictions": predictions}
                    for file, label, predictions in entry.examples
                ],
            }
            for entry in self.only_right
        ]
        return {
            "images": self.runs[0].images,
            "runs": [run.to_dict() for run in self.runs],
            "mcnemar": [dataclasses.asdict(test) for test in self.tests],
            "all_right": self.all_right,
            "none_right": self.none_right,
            "only_right": only,
        }

    @property
    def headings(self) -> list[str]:
        """Return the headings of :meth:`rows`."""
        return ["run", "net", "step", "accuracy", "95% interval", "balanced", "top 5", "loss"]

    def rows(self) -> list[list[str]]:
        """Return the table: a row of text for each run."""
        return [
            [
                figures.run.name,
                figures.run.net or "",
                "" if figures.run.step is None else f"{figures.run.step:,}",
                f"{figures.accuracy:.2%}",
                "{:.2%}\N{EN DASH}{:.2%}".format(*figures.interval),
                f"{figures.balanced_accuracy:.2%}",
                "" if figures.run.top_5_accuracy is None else f"{figures.run.top_5_accuracy:.2%}",
                "" if figures.run.loss is None else f"{figures.run.loss:.4f}",
            ]
            for figures in self.runs
        ]

    def sentences(self) -> list[str]:
        """Return what the tests say, a line each."""
        lines = [describe(test) for test in self.tests]
        if len(lines) > 1:
            lines.append(f"The p values are not corrected for {len(lines)} comparisons.")
        return lines

    def to_html(self) -> str:
        """Return the comparison as HTML, with the curves in one plot if matplotlib is there."""
        parts = [html.table(self.headings, self.rows()), *map(html.paragraph, self.sentences()), self._curves()]
        for entry in self.only_right:
            names = [figures.run.name for figures in self.runs]
            rows = [[file, label, *(said[name] for name in names)] for file, label, said in entry.examples]
            summary = f"Only {entry.name} is right: {entry.count:,} images"
            if rows:
                table = html.table(["file", "label", *names], rows)
                more = html.paragraph(f"and {entry.count - len(rows):,} more") if entry.count > len(rows) else ""
                parts.append(html.details(summary, table + more, is_open=False))
            else:
                parts.append(html.paragraph(summary))
        return html.report("Comparison of runs", self.note(), *parts)

    def _repr_html_(self) -> str:
        return self.to_html()

    def note(self) -> str:
        """Return a line on the images."""
        split = self.runs[0].run.split
        return (
            f"{f'{split} · ' if split else ''}{self.runs[0].images:,} images · all runs are right on "
            f"{self.all_right:,}, none on {self.none_right:,}"
        )

    def _curves(self) -> str:
        return run_curves({figures.run.name: figures.run.history for figures in self.runs})


def describe(test: PairTest) -> str:
    """Return what a test says, in a sentence."""
    p_value = "p < 0.0001" if test.p_value < 0.0001 else f"p = {test.p_value:.4f}"
    verdict = "differ" if test.p_value < 0.05 else "may differ by chance"
    return (
        f"{test.first} and {test.second} {verdict} (McNemar's exact test, {p_value}): only {test.first} is right on "
        f"{test.only_first:,} images, only {test.second} on {test.only_second:,}."
    )


def compare(runs: Sequence[EvaluatedRun], most_examples: int) -> Comparison:
    """Compare runs on the same images.

    Args:
      runs: at least two.
      most_examples: of images that a single run got right, for each run.

    Raises:
      UsageError: they are not evaluations of the same images, or a file is damaged.
    """
    predictions = [read_predictions(run.predictions) for run in runs]
    for run, other in zip(runs[1:], predictions[1:], strict=True):
        _check_same(runs[0], predictions[0], run, other)
    right = np.stack([of_run.correct for of_run in predictions])
    count = right.sum(axis=0)
    figures = [
        RunFigures(
            run,
            len(of_run.correct),
            of_run.hits,
            of_run.hits / len(of_run.correct),
            wilson_interval(of_run.hits, len(of_run.correct)),
            of_run.balanced_accuracy,
        )
        for run, of_run in zip(runs, predictions, strict=True)
    ]
    places = [np.flatnonzero(of_run & (count == 1)) for of_run in right]
    return Comparison(
        tuple(figures),
        tuple(_test(runs[0], run, right[0], of_run) for run, of_run in zip(runs[1:], right[1:], strict=True)),
        _only_right(runs, predictions, places, most_examples),
        int((count == len(runs)).sum()),
        int((count == 0).sum()),
    )


def _check_same(first: EvaluatedRun, expected: RunPredictions, second: EvaluatedRun, got: RunPredictions) -> None:
    if np.array_equal(expected.images, got.images):
        return
    names = f"{first.name} and {second.name}"
    only_first, only_second = _num_apart(expected.files, got.files)
    if not only_first and not only_second:
        changed, _ = _num_apart(expected.images, got.images)
        raise UsageError(f"{names} cannot be compared: {changed:,} images have another true class in one of them.")
    raise UsageError(
        f"{names} cannot be compared: of {len(expected.files):,} and {len(got.files):,} images, {only_first:,} are "
        f"only in the first and {only_second:,} only in the second. Evaluate both on the same split."
    )


def _num_apart(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> tuple[int, int]:
    """Return how many are only in the first, and only in the second; an image may be there several times."""
    values, first_counts = np.unique(first, return_counts=True)
    others, second_counts = np.unique(second, return_counts=True)
    _, at, other_at = np.intersect1d(values, others, assume_unique=True, return_indices=True)
    common = int(np.minimum(first_counts[at], second_counts[other_at]).sum())
    return len(first) - common, len(second) - common


def _test(first: EvaluatedRun, second: EvaluatedRun, right: NDArray[np.bool_], other: NDArray[np.bool_]) -> PairTest:
    only_first, only_second = int((right & ~other).sum()), int((other & ~right).sum())
    return PairTest(first.name, second.name, only_first, only_second, mcnemar_test(only_first, only_second))


def _only_right(
    runs: Sequence[EvaluatedRun],
    predictions: Sequence[RunPredictions],
    places: Sequence[NDArray[np.int64]],
    most: int,
) -> tuple[OnlyRight, ...]:
    # In the order of the first file.
    shown = [sorted(at.tolist(), key=predictions[0].rows.__getitem__)[:most] for at in places]
    wanted = [place for of_run in shown for place in of_run]
    rows = [
        rows_of(run.predictions, [int(of_run.rows[place]) for place in wanted])
        for run, of_run in zip(runs, predictions, strict=True)
    ]

    def example(place: int) -> tuple[str, str, dict[str, str]]:
        found = [of_file[int(of_run.rows[place])] for of_file, of_run in zip(rows, predictions, strict=True)]
        return found[0][0], found[0][1], {run.name: row[2] for run, row in zip(runs, found, strict=True)}

    return tuple(
        OnlyRight(run.name, len(at), tuple(map(example, of_run)))
        for run, at, of_run in zip(runs, places, shown, strict=True)
    )
