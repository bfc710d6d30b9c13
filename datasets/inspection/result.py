"""The result of an inspection. No TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from datasets.duplicates.fingerprints import LEVELS
from datasets.inspection.image_stats import ImageStats

_MOST_LISTED = 1000

CONVERTED, RECORDS, CLASS_FOLDERS = "converted", "records", "class_folders"


@dataclass(frozen=True)
class Place:
    """Where something is.

    Attributes:
      file: path of a record file or an image.
      record: number of the record in the file, from 1; None for an image file, or a whole record file.
      detail: what is there; may be empty.
    """

    file: str
    record: int | None = None
    detail: str = ""

    def __str__(self) -> str:
        number = "" if self.record is None else f", record {self.record:,}"
        return f"{self.file}{number}{f': {self.detail}' if self.detail else ''}"


@dataclass(frozen=True)
class Finding:
    """Something that a check has found.

    Attributes:
      check: name of the check, for programs.
      message: one sentence.
      is_fault: whether training stops at it, or conversion rejects it. Others are worth knowing.
      count: how many records, files or groups of duplicates are concerned; 0 if that makes no sense.
      places: where; at most 1,000 for each file.
    """

    check: str
    message: str
    is_fault: bool = True
    count: int = 0
    places: tuple[Place, ...] = ()


@dataclass(frozen=True)
class SplitFacts:
    """A split.

    Attributes:
      num_samples: images, or records.
      class_counts: images by label; None if the labels are not known.
      num_files: record files, or image files.
      num_bytes: size of the files.
    """

    num_samples: int
    class_counts: tuple[int, ...] | None
    num_files: int
    num_bytes: int


@dataclass(frozen=True)
class KeyFacts:
    """A key of the records.

    Attributes:
      kind: bytes, int or float.
      records: how many records have it.
      images: how many of them hold an image under it.
      values: range of the number of values in a record.
      role: image, label, file or "".
      example: the values in words; "" for images, numbers with a fraction and long texts.
    """

    kind: str
    records: int
    images: int
    values: tuple[int, int]
    role: str = ""
    example: str = ""


@dataclass(frozen=True)
class Sample:
    """One of the first images of a class.

    Attributes:
      split: its split.
      label: number of its class.
      file: path of a record file or an image.
      record: number of the record, from 1; None for an image file.
      data: the encoded image.
    """

    split: str
    label: int
    file: str
    record: int | None
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Duplicate:
    """One of several images that are the same.

    Attributes:
      split: its split.
      label: number of its class; None if it is not known.
      file: path of a record file or an image.
      record: number of the record, from 1; None for an image file.
      source: name of the image for download_and_convert_data; "" if the record does not have it.
      likeness: what it has in common with the first of its group: bytes, pixels, near or features.
      data: the encoded image, of those that a report shows; otherwise empty.
    """

    split: str
    label: int | None
    file: str
    record: int | None
    source: str
    likeness: str
    data: bytes = field(default=b"", repr=False)

    def __str__(self) -> str:
        return str(Place(self.file, self.record))


@dataclass(frozen=True)
class DuplicateGroup:
    """Images that are the same.

    Attributes:
      images: two or more, in the order of the data set.
    """

    images: tuple[Duplicate, ...]

    @property
    def labels(self) -> frozenset[int]:
        """The labels that are known."""
        return frozenset(image.label for image in self.images if image.label is not None)

    @property
    def splits(self) -> frozenset[str]:
        """The splits."""
        return frozenset(image.split for image in self.images)

    @property
    def likeness(self) -> str:
        """What the least alike have in common: bytes, pixels, near or features."""
        return max((image.likeness for image in self.images), key=LEVELS.index)


@dataclass(frozen=True)
class DuplicateCounts:
    """How many images are the same. A group may be both across classes and across splits.

    Attributes:
      groups: groups of images that are the same.
      images: images in them.
      within: groups whose images have one class and one split.
      across_classes: groups with images of several classes: one image, two labels.
      across_splits: groups with images of several splits.
    """

    groups: int
    images: int
    within: int
    across_classes: int
    across_splits: int


class Leak(NamedTuple):
    """How many images of a split are also in another.

    Attributes:
      split: the split.
      other: the other, which comes before it.
      images: how many of ``split`` are in ``other``.
      of_images: images of ``split``.
    """

    split: str
    other: str
    images: int
    of_images: int


@dataclass(frozen=True)
class Duplicates:
    """The images that are in a data set more than once.

    Attributes:
      level: by what images were compared: bytes, pixels, near or features.
      distance: bits in which perceptual hashes of near-duplicates may differ.
      counts: level -> counts; each level includes those before it.
      leaks: pairs of splits that have images in common, at ``level``.
      groups: all groups at ``level``.
    """

    level: str
    distance: int
    counts: Mapping[str, DuplicateCounts]
    leaks: tuple[Leak, ...]
    groups: tuple[DuplicateGroup, ...] = field(repr=False)


@dataclass(frozen=True)
class LabelError:
    """An image whose label a classifier does not give that was trained on other images.

    Attributes:
      split: its split.
      label: number of its class.
      suggestion: number of the class that the classifier gives.
      label_probability: that the classifier gives the label.
      suggestion_probability: that it gives the suggestion.
      is_probable: whether the label is probably wrong, see :mod:`slim_train.bulk.label_errors`. Otherwise the
        classifier may well be.
      file: path of a record file or an image.
      record: number of the record, from 1; None for an image file.
      source: name of the image for download_and_convert_data; "" if the record does not have it.
      data: the encoded image, of those that a report shows; otherwise empty.
    """

    split: str
    label: int
    suggestion: int
    label_probability: float
    suggestion_probability: float
    is_probable: bool
    file: str
    record: int | None
    source: str
    data: bytes = field(default=b"", repr=False)

    def __str__(self) -> str:
        return str(Place(self.file, self.record))


@dataclass(frozen=True)
class FeatureFindings:
    """What the features of images tell.

    Attributes:
      net: the net that computed the features.
      num_images: images with features and a label.
      accuracy: share of them whose label the classifier gives; None if there are not two classes to tell apart.
      label_errors: images whose label it does not give, those with the least probable labels first.
      typical: the images of each class that are most like the others of it, in the order of the labels.
      unusual: those that are least like them.
      alike: groups of images with nearly the same features.
    """

    net: str
    num_images: int
    accuracy: float | None
    label_errors: tuple[LabelError, ...] = field(repr=False)
    typical: tuple[Sample, ...] = field(repr=False)
    unusual: tuple[Sample, ...] = field(repr=False)
    alike: Duplicates | None = None

    @property
    def num_probable(self) -> int:
        """Labels that are probably wrong."""
        return sum(error.is_probable for error in self.label_errors)

    def findings(self, labels: Sequence[str]) -> tuple[Finding, ...]:
        """Return the labels that are probably wrong as a finding."""
        probable = [error for error in self.label_errors if error.is_probable]
        if not probable:
            return ()
        message = (
            f"{len(probable):,} label{'s are' if len(probable) > 1 else ' is'} probably wrong "
            f"({len(probable) / self.num_images:.1%} of {self.num_images:,}), by a classifier that gives "
            f"{self.accuracy or 0:.1%} of the labels."
        )
        places = tuple(
            Place(error.file, error.record, f"{labels[error.label]}, probably {labels[error.suggestion]}")
            for error in probable[:_MOST_LISTED]
        )
        return (Finding("label_errors", message, False, len(probable), places),)


@dataclass(frozen=True)
class Inspection:
    """What a data set is and what is wrong with it.

    Attributes:
      dataset_dir: the folder.
      kind: ``converted`` (a folder with info.json), ``records`` of another tool, or ``class_folders``.
      name: name of the data set.
      labels: class names by label; empty if it is not clear what the label is.
      splits: the splits by name.
      images: formats, colors, sizes and bytes of the images; None if it is not clear what the image is.
      keys: the keys of records; empty for class folders.
      image_key: key of the image; None if it is not clear, and for class folders.
      label_key: key of the label; likewise.
      compression: of the record files: "", GZIP or ZLIB.
      findings: what the checks have found, faults first.
      decoded: whether every image was decoded in full.
      samples: the first images of each class, in the order of the labels.
      duplicates: images that are in the data set more than once; None if they were not looked for.
      by_features: what the features of the images tell; None if there was no net.
      seconds: duration of the inspection.
      written: files that were written: info.json and labels.txt.
    """

    dataset_dir: str
    kind: str
    name: str
    labels: tuple[str, ...]
    splits: Mapping[str, SplitFacts]
    images: ImageStats | None
    keys: Mapping[str, KeyFacts] = field(default_factory=dict)
    image_key: str | None = None
    label_key: str | None = None
    compression: str = ""
    findings: tuple[Finding, ...] = ()
    decoded: bool = False
    samples: tuple[Sample, ...] = field(default=(), repr=False)
    duplicates: Duplicates | None = None
    by_features: FeatureFindings | None = None
    seconds: float = 0.0
    written: tuple[str, ...] = ()

    @property
    def num_images(self) -> int:
        """Images, or records, in all splits."""
        return sum(split.num_samples for split in self.splits.values())

    @property
    def num_bytes(self) -> int:
        """Size of all files."""
        return sum(split.num_bytes for split in self.splits.values())

    @property
    def class_counts(self) -> tuple[int, ...] | None:
        """Images by label in all splits together; None if the labels are not known."""
        counts = [split.class_counts for split in self.splits.values() if split.class_counts is not None]
        return tuple(map(sum, zip(*counts, strict=True))) if counts else None

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that training stops at, or conversion rejects."""
        return tuple(finding for finding in self.findings if finding.is_fault)


def faults_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings in their order, but for the faults, which come first."""
    return tuple(sorted(findings, key=lambda finding: not finding.is_fault))


def extremes_of(counts: Mapping[int, int], most: int) -> tuple[list[int], list[int]]:
    """Return the labels to show first, and those to show last where the ones between are left out.

    Up to ``most`` labels are all shown, in their order. Of more, half are those with the most images and half those
    with the fewest, ordered by their images.
    """
    if len(counts) <= most:
        return sorted(counts), []
    ordered = sorted(counts, key=lambda label: (-counts[label], label))
    first = (most + 1) // 2
    return ordered[:first], ordered[len(ordered) - (most - first) :]
