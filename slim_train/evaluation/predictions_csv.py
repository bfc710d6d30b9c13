"""One line for each image: what it is and what the net took it for."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from datasets.files import replacing
from slim_train.evaluation.metrics import Predictions

COLUMNS = ("file", "label", "prediction", "probability", "correct")

# File names need not be valid Unicode: what cannot be encoded is written as an escape.
_ENCODING, _ERRORS = "utf-8", "backslashreplace"
# What a spreadsheet takes for a formula, https://owasp.org/www-community/attacks/CSV_Injection; but not plain numbers.
_FORMULA = re.compile(r"[=@\t\r]|[+-](?!\d+(\.\d+)?$)")


class PredictionsCsv:
    """Writes the predictions of a split as they come; the file appears when the ``with`` block ends without an error.

    UTF-8, columns file, label, prediction, probability, correct (true or false). File and class names are data: one
    that a spreadsheet would run as a formula (it begins with ``=``, ``+``, ``-`` or ``@``) gets an apostrophe in front.

    Args:
      path: the file to write.
      labels: a name for each class.
    """

    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        self._path, self._names = path, [as_data(label) for label in labels]

    def __enter__(self) -> PredictionsCsv:
        self._open = ExitStack()
        temporary = self._open.enter_context(replacing(self._path))
        file = temporary.open("w", encoding=_ENCODING, errors=_ERRORS, newline="")
        self._rows = csv.writer(self._open.enter_context(file))
        self._rows.writerow(COLUMNS)
        return self

    def write(self, files: Sequence[str], labels: Iterable[int], predictions: Predictions) -> None:
        """Add one batch of B images: their file names, their true classes and what was predicted."""
        for file, label, predicted, probability in zip(files, labels, *predictions, strict=True):
            self._rows.writerow(
                (
                    as_data(file),
                    self._names[label],
                    self._names[predicted],
                    f"{probability:.6f}",
                    "true" if label == predicted else "false",
                )
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)


def as_data(text: str) -> str:
    """Return a text with an apostrophe in front if a spreadsheet would run it as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def as_written(text: str) -> str:
    """Return a text as the file holds it: as data, and with escapes for what is not Unicode, such as ``\\udce9``."""
    return as_data(text).encode(_ENCODING, _ERRORS).decode(_ENCODING)
