"""info.json and labels.txt for records that were inspected. No TensorFlow."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

from datasets.errors import DataError
from datasets.inspection.record_set import RecordSet
from datasets.inspection.result import Finding, Inspection
from datasets.record_files import find_record_files
from datasets.record_format import RecordFormat
from datasets.spec import INFO_FILE, LABELS_FILE, DatasetInfo, SplitInfo, StoredRecords, write_info

log = logging.getLogger(__name__)

# What is not known of the records with these, or would be written wrong.
_PREVENTING = (
    "damaged_records", "mixed_types", "refused", "no_image", "no_label", "labels_out_of_range",
)  # fmt: skip
_CORRECTED = ("counts_differ",)


def write_info_of(
    inspection: Inspection, data: RecordSet, findings: Sequence[Finding]
) -> tuple[Inspection, list[Finding]]:
    """Write info.json and labels.txt, and return the inspection with the findings that are left.

    Records of other tools then open without being read first: info.json says where their image and label are.

    Raises:
      DataError: the files cannot be written.
    """
    preventing = next((finding for finding in findings if finding.check in _PREVENTING), None)
    if preventing or not inspection.labels:
        reason = preventing.message if preventing else "It is not clear what the label is."
        message = f"{INFO_FILE} was not written, for the records have faults. First: {reason}"
        return inspection, [*findings, Finding("info_not_written", message)]
    folder = data.files.folder
    try:
        write_info(folder, _info(inspection, data))
    except OSError as error:
        raise DataError(f"Cannot write {folder / INFO_FILE}: {error.strerror}.") from error
    written = tuple(str(folder / name) for name in (INFO_FILE, LABELS_FILE))
    log.info("%s and %s are written.", *written)
    left = [finding for finding in findings if finding.check not in _CORRECTED]
    return dataclasses.replace(inspection, written=written), left


def _info(inspection: Inspection, data: RecordSet) -> DatasetInfo:
    before = data.files.info
    splits = {name: SplitInfo(split.num_samples, split.class_counts) for name, split in inspection.splits.items()}
    sizes = None
    if inspection.images and (smallest := inspection.images.smallest()) and (largest := inspection.images.largest()):
        sizes = ((smallest.height, smallest.width), (largest.height, largest.width))
    settings = before.settings if before else {}
    return DatasetInfo(inspection.name, inspection.labels, splits, sizes, settings, _stored(inspection, data))


def _stored(inspection: Inspection, data: RecordSet) -> StoredRecords | None:
    """Return where the records are and what is in them; None if they are as converted here."""
    formats = {format_ for format_ in data.formats.values() if format_}
    folder = data.files.folder
    own = find_record_files(folder)
    is_own = all(own.get((inspection.name, split)) == list(paths) for split, paths in data.files.splits.items())
    if is_own and formats == {RecordFormat()}:
        return None
    files = {split: tuple(_relative(path, folder) for path in paths) for split, paths in data.files.splits.items()}
    return StoredRecords(next(iter(formats)), files)


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
