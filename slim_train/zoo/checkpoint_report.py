"""The report on a checkpoint: its net, its variables by kind, and values that are not finite."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from slim_train.checkpoints import scopes
from slim_train.checkpoints.contents import KINDS, CheckpointContents, count_not_finite, read_contents
from slim_train.checkpoints.resolve import resolve_checkpoint
from slim_train.nets.record import NetRecord
from slim_train.progress import ProgressBar
from slim_train.zoo.identify import Match, matches

_MOST_NAMES = 5


@dataclasses.dataclass(frozen=True)
class CheckpointReport:
    """The result of :func:`inspect`.

    Attributes:
      contents: variables, step and size.
      match: the net that fits best; None if no net has the head of the checkpoint.
      not_finite: values that are NaN or infinite, by variable.
    """

    contents: CheckpointContents
    match: Match | None
    not_finite: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        match = self.match
        return {
            "checkpoint": self.contents.prefix,
            "bytes": self.contents.num_bytes,
            "global_step": self.contents.step,
            "net": match.record.name if match else None,
            "fits": match.fits if match else False,
            "num_classes": match.num_classes if match else None,
            "image_size": match.image_size if match else None,
            "preprocessing": match.preprocessing if match else None,
            "missing": list(match.missing) if match else [],
            "reshaped": list(match.reshaped) if match else [],
            "others": list(match.others) if match else [],
            "not_finite": self.not_finite,
            "variables": [dataclasses.asdict(variable) for variable in self.contents.variables],
        }

    def text(self, with_variables: bool = False) -> str:
        """Return the report as lines of text, with a line for each variable if asked for."""
        lines = [self._title(), "", *(f"  {name:<18}{value}" for name, value in self._facts())]
        if with_variables:
            width = max((len(variable.name) for variable in self.contents.variables), default=0)
            lines += ["", *(_line(variable, width) for variable in self.contents.variables)]
        return "\n".join([*lines, *self._use()])

    def _title(self) -> str:
        if self.match is None:
            return f"{self.contents.prefix}: of no net that slim-train knows"
        about = self.match.record.name if self.match.fits else f"resembles {self.match.record.name}"
        return f"{self.contents.prefix}: {about}, {self.match.num_classes:,} classes"

    def _facts(self) -> Iterator[tuple[str, str]]:
        if self.match:
            yield from _facts_of_net(self.match)
        else:
            names = [variable.name for variable in self.contents.variables]
            yield "scopes", ", ".join(scopes.top_scopes(names, depth=1)[:_MOST_NAMES])
        yield "global step", f"{self.contents.step:,}" if self.contents.step else "none"
        yield "size", f"{self.contents.num_bytes / 1e6:,.1f} MB"
        for kind in KINDS:
            found = self.contents.of_kind(kind)
            if found:
                dtypes = ", ".join(sorted({variable.dtype for variable in found}))
                values = sum(variable.num_values for variable in found)
                yield kind, f"{len(found):,} variables, {values:,} values, {dtypes}"
        if self.not_finite:
            yield "NaN or infinite", f"{sum(self.not_finite.values()):,} values in {_shortened([*self.not_finite])}"
        else:
            yield "NaN or infinite", "none"

    def _use(self) -> Iterator[str]:
        if self.match is None or not self.match.fits:
            return
        record, checkpoint = self.match.record, f"--checkpoint_path={self.contents.prefix}"
        code = [f"--model_file={record.files[0]}"] if record.files else []
        if not code:
            yield from ("", "To label an image:", "", f"  label_image {checkpoint} \\")
            yield "    --labels=LABELS --image=IMAGE"
        yield from ("", "To train a new last layer on it:", "", f"  train_image_classifier {checkpoint} \\")
        yield f"    --model_name={record.name} --checkpoint_exclude_scopes=auto --trainable_scopes=auto \\"
        yield f"    {' '.join([*code, *self.match.input_flags(), '--dataset_dir=DIR', '--train_dir=DIR'])}"


def inspect(path: str, nets: Sequence[NetRecord] = ()) -> CheckpointReport:
    """Return the report on a checkpoint. Reads all of its values.

    Args:
      path: a checkpoint, a folder with one, or an archive, as ``--checkpoint_path`` takes them.
      nets: records of nets that are not registered, which it may be of.

    Raises:
      UsageError: there is no checkpoint.
      RunError: it cannot be read.
    """
    contents = read_contents(resolve_checkpoint(path))
    found = matches(contents.model_shapes(), tuple(nets))
    with ProgressBar("reading", len(contents.variables), "variables") as bar:
        not_finite = count_not_finite(contents, bar.update)
    return CheckpointReport(contents, found[0] if found else None, not_finite)


def _facts_of_net(match: Match) -> Iterator[tuple[str, str]]:
    size, shared = match.image_size, " (class 0 is background if these are ImageNet's)"
    yield "classes", f"{match.num_classes:,}{shared if match.num_classes == 1001 else ''}"
    yield "image size", f"{size}x{size}"
    yield "preprocessing", match.preprocessing
    for name, variables in (
        ("missing", match.missing),
        ("other shape", match.reshaped),
        ("not of the net", match.others),
    ):
        if variables:
            yield name, f"{len(variables):,} variables: {_shortened(variables)}"


def _shortened(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return f"{', '.join(names[:_MOST_NAMES])}{more}"


def _line(variable: Any, width: int) -> str:
    shape = "x".join(map(str, variable.shape)) or "scalar"
    return f"  {variable.name:<{width}}  {variable.dtype:<9} {shape}"
