"""Convert images to TFRecords: the command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from slim_train.api.convert import ConvertOptions, run
from slim_train.cli.command import Command

if TYPE_CHECKING:
    from datasets.convert import ConversionReport

_MOST_CLASSES_SHOWN = 60


def _run(options: ConvertOptions) -> None:
    from datasets.shrinking_savings import measure_savings
    from datasets.storage import path_of
    from deployment.threads import available_cpus

    report = run(options)
    print(summary(report))
    if not report.already_finished and not options.output.max_image_side and report.num_images:
        savings = measure_savings(path_of(report.dataset_dir), report.info, available_cpus())
        if savings:
            print(f"\n{savings}")


def summary(report: ConversionReport) -> str:
    """Return what a conversion did, as text of several lines."""
    info = report.info
    head = f"{info.name}: {report.num_images:,} images of {info.num_classes} classes in {report.dataset_dir}"
    if report.already_finished:
        head += ", converted before; --overwrite converts them again."
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
    """Return the first column to the left, numbers to the right; by cells, since class names may be in any script."""
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
        return "No image was rejected."
    listed = f"{report.dataset_dir.rstrip('/')}/rejected.csv"
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(report.rejected.items()))
    return (
        f"Rejected: {report.num_rejected:,}{f' ({reasons})' if reasons else ''}. {listed} lists them with the reasons."
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
