"""Convert images to TFRecords: the command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len

from slim_train.cli.command import Command
from slim_train.config import Options, option
from slim_train.progress import ProgressBars

if TYPE_CHECKING:
    from datasets.convert import ConversionReport

_MOST_CLASSES_SHOWN = 60


@dataclass(frozen=True)
class SourceOptions(Options):
    """Images."""

    dataset_name: str | None = option(
        None,
        "fer, flowers, cifar10, mnist, digits, or image_folder for your own images. The name starts the file names.",
    )
    pic_path: str | None = option(
        None,
        "Folder with one folder of images per class, or with train/, validation/ and test/ folders of such; for a "
        "known data set also its published files. Default: download, where there is a public address.",
    )
    on_error: str = option(
        "skip",
        "Images that cannot be used are listed in rejected.csv (skip), or the first one stops the command (fail).",
        choices=("skip", "fail"),
    )


@dataclass(frozen=True)
class OutputOptions(Options):
    """TFRecords."""

    dataset_dir: str | None = option(None, "Folder for the TFRecord files, labels.txt, info.json and rejected.csv.")
    num_shards: int = option(1, "Files per split.", at_least=1)
    overwrite: bool = option(False, "Convert anew although --dataset_dir holds a finished data set.")
    num_workers: int | None = option(None, "Processes that decode images. Default: one per CPU.", at_least=1)


@dataclass(frozen=True)
class SplitOptions(Options):
    """Train and test, for images that come without splits."""

    test_fraction: float = option(0.3, "Share of each class that is for testing; 0: none.", at_least=0, at_most=0.99)
    split_by: str = option(
        "random",
        "filename_hash: where an image goes hangs on its file name alone: it stays there when others are added.",
        choices=("random", "filename_hash"),
    )
    seed: int = option(0, "Number that the random split and the order of the records follow from.")


@dataclass(frozen=True)
class ConvertOptions(Options):
    """Everything that download_and_convert_data can be told."""

    source: SourceOptions = field(default_factory=SourceOptions)
    output: OutputOptions = field(default_factory=OutputOptions)
    split: SplitOptions = field(default_factory=SplitOptions)


def _run(options: ConvertOptions) -> None:
    from datasets.convert import convert_dataset
    from deployment.threads import available_cpus

    source, output, split = options.source, options.output, options.split
    assert source.dataset_name and output.dataset_dir  # required flags
    with ProgressBars() as progress:
        report = convert_dataset(
            source.dataset_name,
            output.dataset_dir,
            source.pic_path,
            test_fraction=split.test_fraction,
            seed=split.seed,
            num_shards=output.num_shards,
            num_workers=output.num_workers or available_cpus(),
            on_error=source.on_error,
            split_by=split.split_by,
            overwrite=output.overwrite,
            on_progress=progress.update,
        )
    print(summary(report))


def summary(report: ConversionReport) -> str:
    """What a conversion did, as text of several lines."""
    info = report.info
    head = f"{info.name}: {report.num_images:,} images of {info.num_classes} classes in {report.dataset_dir}"
    if report.already_finished:
        head += ", converted before; --overwrite converts them anew."
    else:
        per_second = report.num_images / report.seconds
        head += f"; {report.num_bytes / 1e6:,.1f} MB, {report.seconds:.1f} s, {per_second:,.0f} images/s."
    return "\n".join([head, "", *_class_table(report), "", _rejected_line(report)])


def _class_table(report: ConversionReport) -> list[str]:
    info = report.info
    rows = [["class", *info.splits]]
    counts = [split.class_counts for split in info.splits.values()]
    for label, name in enumerate(info.labels[:_MOST_CLASSES_SHOWN]):
        rows.append([name, *(f"{split_counts[label]:,}" if split_counts else "?" for split_counts in counts)])
    if info.num_classes > _MOST_CLASSES_SHOWN:
        rows.append([f"... and {info.num_classes - _MOST_CLASSES_SHOWN} more, in info.json", *("" for _ in counts)])
    rows.append(["all", *(f"{split.num_samples:,}" for split in info.splits.values())])
    return _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, numbers to the right; by cells, since class names may be in any script."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        padded = first + " " * (widths[0] - cell_len(first))
        lines.append(
            "  ".join(["", padded, *(f"{text:>{width}}" for text, width in zip(others, widths[1:], strict=True))])
        )
    return lines


def _rejected_line(report: ConversionReport) -> str:
    if not report.num_rejected:
        return "No image was left out."
    listed = Path(report.dataset_dir, "rejected.csv")
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(report.rejected.items()))
    return (
        f"Left out: {report.num_rejected:,}{f' ({reasons})' if reasons else ''}. {listed} lists them with the reasons."
    )


COMMAND = Command(
    name="download_and_convert_data",
    summary="Convert images to the TFRecords that training reads: your own class folders, FER2013 (folders or csv), "
    "or a known data set, downloaded where it is public. Every image is decoded once; bad ones are listed, not stored.",
    defaults=ConvertOptions(),
    run=_run,
    required=("dataset_name", "dataset_dir"),
    uses_tensorflow=False,
)


def main() -> int:
    """Entry point of the console script."""
    return COMMAND.main()


if __name__ == "__main__":
    sys.exit(main())
