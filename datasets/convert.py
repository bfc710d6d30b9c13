"""Images -> a data set folder: verified, split, encoded and written in parallel; finished or not there at all."""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.class_folders import FolderReader
from datasets.distributed.course import Cluster, images_on
from datasets.distributed.job import Settings
from datasets.duplicates.fingerprints import check_imagehash
from datasets.duplicates.of_source import duplicates_of
from datasets.errors import DataError, unknown_name
from datasets.exclusions import ExcludedNames, read_exclusions, without_excluded
from datasets.factory import get_dataset
from datasets.grouped_split import grouped_split
from datasets.grouping import groups_by_name, merged
from datasets.image_list import Division, ImageList
from datasets.local_images import GroupedImages, LocalImages, NewList, list_folders, list_source
from datasets.manifests import sweep
from datasets.output import REJECTED_FILE, publish, staging
from datasets.record_files import file_names
from datasets.registry import KNOWN
from datasets.shrinking import Shrinking
from datasets.sources import ImageSource, KnownDataset, OnProgress, Request
from datasets.spec import INFO_FILE, DatasetInfo, SplitInfo, read_info, write_info
from datasets.splits import SPLIT_METHODS, ImagesByClass
from datasets.storage import is_url, path_of
from datasets.tally import Tally
from datasets.workers import Rejection
from datasets.writing import Images, RecordWriter, write_rejected

log = logging.getLogger(__name__)

_MOST_NAMED = 20
# Settings that info.json does not have if nothing of the kind was asked for.
_NOT_SAID = ("max_image_side", "exclude_digest", "group_by", "group_duplicates")


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did.

    Attributes:
      dataset_dir: the output folder.
      info: what its info.json and labels.txt say.
      rejected: reason -> how many images this conversion rejected for it.
      num_bytes: size of the record files.
      seconds: time taken, downloads included.
      already_finished: the folder held this data set before, and nothing was done.
    """

    dataset_dir: str
    info: DatasetInfo
    rejected: Mapping[str, int]
    num_bytes: int
    seconds: float
    already_finished: bool = False

    @property
    def num_images(self) -> int:
        """Images in all splits."""
        return sum(split.num_samples for split in self.info.splits.values())

    @property
    def num_rejected(self) -> int:
        """Images that were rejected, now or when the folder was made."""
        return self.info.settings.get("num_rejected", 0)


class NoUsableImage(DataError):
    """All images of a class are bad."""


class NotForClusters(DataError):
    """A cluster was to convert images that only one machine can: not in class folders, or at a URL."""


@dataclass(frozen=True)
class _Options:
    name: str
    test_fraction: float
    seed: int
    num_shards: int
    num_workers: int
    on_error: str
    split_by: str
    shrinking: Shrinking | None = None
    excluded: ExcludedNames | None = None
    group_by: str | None = None
    group_duplicates: bool = False
    is_on_cluster: bool = False

    def __post_init__(self) -> None:
        if self.name not in KNOWN:
            raise DataError(unknown_name("data set", self.name, KNOWN))
        if self.split_by not in SPLIT_METHODS:
            raise DataError(unknown_name("split_by", self.split_by, SPLIT_METHODS))
        if self.on_error not in ("skip", "fail"):
            raise DataError(unknown_name("on_error", self.on_error, ("skip", "fail")))
        if not 0 <= self.test_fraction < 1:
            raise DataError(f"test_fraction={self.test_fraction} must be at least 0 and below 1.")
        for what, value in (("num_shards", self.num_shards), ("num_workers", self.num_workers)):
            if value < 1:
                raise DataError(f"{what}={value} must be at least 1.")
        if self.is_on_cluster and (self.excluded or self.is_grouped):
            raise DataError("exclude, group_by and group_duplicates are for conversion in this process.")
        if self.group_duplicates:
            check_imagehash("--group_duplicates")

    @property
    def is_grouped(self) -> bool:
        """Whether groups of images stay in one split."""
        return self.group_by is not None or self.group_duplicates

    def flags(self, request: Request) -> str:
        """Return what record files depend on beside the images in them and their order."""
        return f"{request.pic_path and request.pic_path.absolute()} {self.shrinking}"

    def settings(self, is_split: bool) -> dict[str, Any]:
        """What the content of the data set depends on, for info.json; ``is_split``: the source has its own splits."""
        settings: dict[str, Any] = {"seed": self.seed, "num_shards": self.num_shards}
        if self.shrinking:
            settings |= {"max_image_side": self.shrinking.max_side, "jpeg_quality": self.shrinking.jpeg_quality}
        if self.excluded:
            settings |= self.excluded.settings()
        if is_split:
            return settings
        settings |= {"test_fraction": self.test_fraction, "split_by": self.split_by}
        settings |= {"group_by": self.group_by} if self.group_by is not None else {}
        return settings | ({"group_duplicates": True} if self.group_duplicates else {})


def convert_dataset(
    name: str,
    dataset_dir: str | os.PathLike[str],
    pic_path: str | os.PathLike[str] | None = None,
    *,
    test_fraction: float = 0.3,
    seed: int = 0,
    num_shards: int = 1,
    num_workers: int = 1,
    on_error: str = "skip",
    split_by: str = "random",
    overwrite: bool = False,
    shrinking: Shrinking | None = None,
    on_progress: OnProgress | None = None,
    cluster: Cluster | None = None,
    exclude: str | os.PathLike[str] | None = None,
    group_by: str | None = None,
    group_duplicates: bool = False,
    skip_folder: Path | None = None,
) -> ConversionReport:
    """Convert a data set to TFRecords: ``<name>_<split>.tfrecord``, labels.txt, info.json and rejected.csv.

    Every image is decoded in full once. The same images, seed and options give the same bytes, whatever the number of
    workers. After a failure, finished record files are kept for the next call. As always with ``multiprocessing``, a
    script that calls this with more than one worker does so under ``if __name__ == "__main__"``.

    Args:
      name: fer, flowers, cifar10, mnist, digits or image_folder.
      dataset_dir: output folder or URL; a folder is made if it is missing.
      pic_path: the user's images, at a path or URL; None downloads those that have a public address.
      test_fraction: share of each class that goes to ``test``, in [0, 1), where the images come without splits.
      seed: of the split and of the order of the records.
      num_shards: files per split.
      num_workers: processes that decode images; 1 uses this process.
      on_error: ``skip`` lists a bad image in rejected.csv; ``fail`` stops at it.
      split_by: ``random``, or ``filename_hash`` for a split in which an image stays when others are added.
      overwrite: convert again although the folder holds a finished data set.
      shrinking: how large images are made smaller; None stores images as they are.
      on_progress: called as ``on_progress(what, done, total, unit)``.
      cluster: converts class folders on many machines, to the same bytes; ``num_workers`` has no effect then, and
        ``exclude`` and groups are refused.
      exclude: file that lists images to leave out, see :mod:`datasets.exclusions`.
      group_by: regular expression whose groups are the part that file names of one group share, such as a patient:
        all images of a group are in one split.
      group_duplicates: whether images that are the same, or near-duplicates, are in one split.
      skip_folder: a folder below ``pic_path`` that is not entered. Default: the output.

    Raises:
      DataError: something about the images or the folders is wrong; the message says what to do.
    """
    began = time.monotonic()
    excluded = None if exclude is None else read_exclusions(path_of(exclude))
    options = _Options(
        name, test_fraction, seed, num_shards, num_workers, on_error, split_by, shrinking, excluded, group_by,
        group_duplicates, cluster is not None,
    )  # fmt: skip
    folder = path_of(dataset_dir)
    pic_folder = None if pic_path is None else path_of(pic_path)
    if cluster is not None and (url := next(filter(is_url, filter(None, (folder, pic_folder))), None)):
        raise NotForClusters(
            f"--spark_master requires folders that all workers see as files, and {url} is a URL: mount the store on "
            "each of them, or convert without Spark."
        )
    on_progress = on_progress or _no_progress
    try:
        if not overwrite and (folder / INFO_FILE).exists():
            return _finished_before(folder, options)
        with staging(folder) as staged, tempfile.TemporaryDirectory(dir=staged) as work_dir:
            request = Request(pic_folder, folder, path_of(work_dir), on_progress)
            with _opened(request, options, staged, cluster, skip_folder or folder) as images:
                try:
                    tally, rejections = _convert(images)
                except NoUsableImage:
                    sweep(staged, [])  # whatever the user changes, other files come of it
                    raise
            # Only now are a cluster's tasks gone that were tried twice, or killed.
            sweep(staged, [file for split in tally.class_counts for file in file_names(name, split, num_shards)])
            write_rejected(staged / REJECTED_FILE, rejections, images.classes)
            info = _info(images, options, tally, len(rejections))
            write_info(staged, info)
            publish(staged, folder, name)
    except OSError as error:  # a full disk, above all
        file = f" ({error.filename})" if error.filename else ""
        raise DataError(f"The conversion into {folder} stopped: {error.strerror or error}{file}.") from error
    rejected = collections.Counter(rejection.reason for rejection in rejections)
    return ConversionReport(str(folder), info, rejected, tally.num_bytes, time.monotonic() - began)


@contextlib.contextmanager
def _opened(
    request: Request, options: _Options, staged: Path, cluster: Cluster | None, skip_folder: Path
) -> Iterator[Images]:
    """Yield the images, to be written here or by a cluster."""
    known = KNOWN[options.name]
    if cluster is None:
        with contextlib.ExitStack() as lists:
            yield _images_here(known, request, options, staged, skip_folder, lists)
        return
    root = known.folders(request) if known.folders else None
    if root is None:
        raise NotForClusters(
            f"--spark_master requires class folders, and the images of --dataset_name={options.name} are in other "
            "files: convert them without Spark."
        )
    settings = Settings(
        root=str(root.absolute()),
        exclude=str(skip_folder.absolute()),
        name=options.name,
        is_split=False,
        test_fraction=options.test_fraction,
        split_by=options.split_by,
        seed=options.seed,
        num_shards=options.num_shards,
        stop_at_bad_image=options.on_error == "fail",
        shrinking=options.shrinking,
        flags=options.flags(request),
    )
    with images_on(cluster, settings, staged.absolute(), request.on_progress) as images:
        yield images


def _images_here(
    known: KnownDataset,
    request: Request,
    options: _Options,
    staged: Path,
    skip_folder: Path,
    lists: contextlib.ExitStack,
) -> Images:
    """List the images, to be written by this process. Lists are open until ``lists`` is left."""

    def new_list(is_split: bool) -> ImageList:
        is_divided = not is_split and options.test_fraction > 0
        division = Division(options.test_fraction, options.split_by) if is_divided else None
        folder = path_of(tempfile.mkdtemp(dir=request.work_dir))
        return lists.enter_context(contextlib.closing(ImageList(folder, options.seed, division)))

    writer = RecordWriter(
        staged,
        options.name,
        options.num_shards,
        options.num_workers,
        options.flags(request),
        options.on_error == "fail",
        request.on_progress,
    )
    # What compares images with each other holds all names in memory.
    root = known.folders(request) if known.folders and not options.is_grouped else None
    if root is not None:
        listed, classes, is_split = list_folders(root, skip_folder, new_list, options.excluded)
        reader = FolderReader.of(root, options.shrinking)
        return LocalImages(listed, classes, is_split, reader, writer)
    source = known.open(request)
    if options.excluded:
        source = without_excluded(source, options.excluded)
    if options.is_grouped:
        return _grouped_images(source, options, new_list, writer)
    source = source.with_shrinking(options.shrinking)
    return LocalImages(list_source(source, new_list), source.classes, source.is_split, source.reader, writer)


def _grouped_images(source: ImageSource, options: _Options, new_list: NewList, writer: RecordWriter) -> GroupedImages:
    if source.is_split:
        raise DataError(
            "--group_by and --group_duplicates divide images that come without splits, and these come with "
            f"{', '.join(source.splits)}. inspect_dataset --write_exclusions lists images that are in several "
            "splits, and --exclude leaves them out."
        )
    groups = _groups(source, options, writer.on_progress)

    def split(images: ImagesByClass) -> dict[str, list[list[str]]]:
        how = options.test_fraction, options.seed, options.split_by
        return grouped_split(source.classes, images, groups, *how)

    is_divided = options.test_fraction > 0
    return GroupedImages(source.with_shrinking(options.shrinking), split, is_divided, new_list, writer)


def _finished_before(folder: Path, options: _Options) -> ConversionReport:
    info = read_info(folder)
    for split_name in info.splits:
        get_dataset(options.name, split_name, folder)  # raises where files are missing or are another data set's
    asked = options.settings(is_split=False)
    unknown = {**asked, **dict.fromkeys(_NOT_SAID)}  # of folders that do not say: what is asked, or not done
    differences = [
        f"{key}={info.settings.get(key)}"
        for key in dict.fromkeys((*asked, *_NOT_SAID))
        if info.settings.get(key, unknown[key]) != asked.get(key)
    ]
    if differences:
        log.warning("%s was converted with %s; --overwrite converts it again.", folder, ", ".join(differences))
    return ConversionReport(str(folder), info, {}, 0, 0.0, already_finished=True)


def _convert(images: Images) -> tuple[Tally, list[Rejection]]:
    """Write all images; once more without the bad ones where those were all that a class had in a split.

    That is rare, and happens to tiny classes only. Looking at every image before the split is made would avoid it and
    read everybody's images twice.
    """
    rejections: list[Rejection] = []
    bad: dict[str, int] = {}
    while True:
        tally = images.write(without=bad)
        rejections += tally.rejections
        _check_every_class_has_an_image(images.classes, tally, rejections)
        if images.is_split or all(map(all, tally.class_counts.values())):
            _warn_of_missing_classes(images.classes, tally)
            return tally, rejections
        log.info("Splitting again without the bad images, which left a class with none in a split.")
        bad |= {rejection.name: rejection.label for rejection in tally.rejections}


def _groups(source: ImageSource, options: _Options, on_progress: OnProgress) -> dict[str, str]:
    """Return the group of each image that belongs to one."""
    names = [name for by_class in source.splits.values() for of in by_class for name in of]
    groups = groups_by_name(names, options.group_by) if options.group_by is not None else {}
    if options.group_duplicates:
        groups = merged(groups, duplicates_of(source, options.num_workers, on_progress))
    log.info(
        "%s of %s images are in %s groups, which stay in one split each.",
        f"{len(groups):,}", f"{len(names):,}", f"{len(set(groups.values())):,}",
    )  # fmt: skip
    return groups


def _check_every_class_has_an_image(classes: Sequence[str], tally: Tally, rejections: Sequence[Rejection]) -> None:
    for label, (class_name, *counts) in enumerate(zip(classes, *tally.class_counts.values(), strict=True)):
        if not any(counts):
            bad = [rejection for rejection in rejections if rejection.label == label]
            raise NoUsableImage(
                f"Class {class_name!r} has no usable image: all {len(bad)} were rejected, first {bad[0].name}: "
                f"{bad[0].reason}. Fix them or remove the class."
            )


def _warn_of_missing_classes(classes: Sequence[str], tally: Tally) -> None:
    for split_name, counts in tally.class_counts.items():
        missing = [class_name for class_name, count in zip(classes, counts, strict=True) if not count]
        if missing:
            more = f" and {len(missing) - _MOST_NAMED:,} more classes" if len(missing) > _MOST_NAMED else ""
            log.warning("Split %s has no image of: %s%s.", split_name, ", ".join(missing[:_MOST_NAMED]), more)


def _info(images: Images, options: _Options, tally: Tally, num_rejected: int) -> DatasetInfo:
    splits = {name: SplitInfo(sum(counts), tuple(counts)) for name, counts in tally.class_counts.items()}
    (min_height, max_height), (min_width, max_width) = tally.heights, tally.widths
    sizes = ((min_height, min_width), (max_height, max_width))
    settings = {**options.settings(images.is_split), "num_rejected": num_rejected}
    return DatasetInfo(options.name, images.classes, splits, sizes, settings)


def _no_progress(what: str, done: int, total: int | None, unit: str) -> None:
    """For callers who asked for none."""
