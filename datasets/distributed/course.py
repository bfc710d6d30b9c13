"""The course of a distributed conversion, on the machine that starts it: list, order, write. No TensorFlow.

This machine holds class folders and counts, and no list of the images.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from datasets.class_folders import find_class_folders, log_passed_over, no_images
from datasets.distributed.engine import Engine
from datasets.distributed.job import Settings, write_folders, write_settings
from datasets.distributed.listing import list_folders, names_of, num_listings, write_excluded
from datasets.distributed.ordering import Labels, Order, num_buckets, write_labels, write_order
from datasets.distributed.shards import new_job, write_shard
from datasets.errors import DataError
from datasets.manifests import tally_of
from datasets.record_files import file_names
from datasets.sources import OnProgress
from datasets.splits import TRAIN_AND_TEST, is_below, num_test
from datasets.tally import Tally
from datasets.writing import single_image, too_many_shards

log = logging.getLogger(__name__)

# Opens an engine, which ends with the block.
Cluster = Callable[[], AbstractContextManager[Engine]]


@contextlib.contextmanager
def images_on(cluster: Cluster, settings: Settings, staged: Path, on_progress: OnProgress) -> Iterator[ImagesOn]:
    """Yield the images of class folders, to be written by a cluster.

    Args:
      cluster: opens the engine.
      settings: of the conversion; ``is_split`` is found out.
      staged: the folder in which files are written; all machines see it.
      on_progress: told how many images are done.

    Raises:
      DataError: the images or the folders are wrong.
    """
    root, exclude = Path(settings.root), Path(settings.exclude)
    found = find_class_folders(root, exclude)
    settings = dataclasses.replace(settings, is_split=found.is_split)
    if not found.folders:
        raise no_images(root)
    job = new_job(staged)
    write_settings(job, settings)
    write_folders(job, found.folders)
    try:
        with cluster() as engine:
            log.info("Listing %s class folders on the cluster.", f"{len(found.folders):,}")
            counts, passed_over = _listed(engine, job, len(found.folders))
            log_passed_over(root, found.passed_over + passed_over)
            if not any(count.images for count in counts):
                raise no_images(root)
            splits = [folder.split_name for folder in found.folders]
            yield ImagesOn(engine, job, settings, splits, counts, on_progress)
    finally:
        shutil.rmtree(job, ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class FolderCount:
    """What a class folder holds.

    Attributes:
      class_name: name of the class; "" if it holds no image.
      images: number of files.
      below: how many of these their name alone sends to the test split.
    """

    class_name: str
    images: int
    below: int


class ImagesOn:
    """Images that a cluster lists, orders and writes.

    Attributes:
      classes: class names, sorted.
      is_split: whether the folders above the class folders are splits.
    """

    def __init__(
        self,
        engine: Engine,
        job: Path,
        settings: Settings,
        split_names: list[str],
        counts: list[FolderCount],
        on_progress: OnProgress,
    ) -> None:
        self.classes = tuple(sorted({count.class_name for count in counts if count.images}))
        self.is_split = settings.is_split
        self._engine, self._job, self._settings, self._on_progress = engine, job, settings, on_progress
        self._counts = counts
        label = {name: number for number, name in enumerate(self.classes)}
        self._labels = [label[count.class_name] if count.images else -1 for count in counts]
        if self.is_split:
            used = [name for name, count in zip(split_names, counts, strict=True) if count.images]
            self._splits = list(dict.fromkeys(used))
        else:
            self._splits = list(TRAIN_AND_TEST if settings.is_divided else TRAIN_AND_TEST[:1])
        number = {name: index for index, name in enumerate(self._splits)}
        self._split_of = [number.get(name, 0) if self.is_split else 0 for name in split_names]

    def write(self, without: Mapping[str, int]) -> Tally:
        """Write the record files of all images but some. Errors: see :class:`datasets.writing.Images`."""
        return self._write(self._order(without))

    def _order(self, without: Mapping[str, int]) -> Order:
        settings = self._settings
        fraction, method = settings.test_fraction, settings.split_by
        images, below = [0] * len(self.classes), [0] * len(self.classes)
        for label, count in zip(self._labels, self._counts, strict=True):
            if label >= 0:
                images[label] += count.images
                below[label] += count.below
        for name, label in without.items():
            images[label] -= 1
            below[label] -= is_below(name, fraction, method)
        write_excluded(self._job, without)
        if settings.is_divided and 1 in images:
            label = images.index(1)
            raise single_image(self.classes[label], self._only_image(label, without), settings.reader())
        tests = [num_test(*counts, fraction, method) for counts in zip(images, below, strict=True)]
        total = sum(images)
        buckets = num_buckets(total)
        write_labels(self._job, Labels(self.classes, self._labels, self._splits, self._split_of, tests, buckets))
        log.info("Ordering %s images of %s classes on the cluster.", f"{total:,}", f"{len(self.classes):,}")
        counted = self._engine.order(self._job, num_listings(len(self._counts)), buckets, settings.is_divided)
        order = Order.of(counted, len(self._splits), buckets)
        ordered = sum(order.images(split) for split in range(len(self._splits)))
        if ordered != total:
            raise DataError(f"{total:,} images were listed, and {ordered:,} of them were ordered: convert again.")
        write_order(self._job, order)
        return order

    def _only_image(self, label: int, without: Mapping[str, int]) -> str:
        folders = [folder for folder, its_label in enumerate(self._labels) if its_label == label]
        (name,) = set(names_of(self._job, num_listings(len(self._counts)), folders)) - without.keys()
        return name

    def _write(self, order: Order) -> Tally:
        num_shards = self._settings.num_shards
        files: dict[str, list[str]] = {}
        sizes: dict[str, int] = {}
        for split, split_name in enumerate(self._splits):
            if order.images(split) < num_shards:
                raise too_many_shards(num_shards, split_name, order.images(split))
            files[split_name] = file_names(self._settings.name, split_name, num_shards)
            for shard, file in enumerate(files[split_name]):
                start, end = order.edges(split, shard, num_shards)
                sizes[file] = end - start
        if num_shards == 1:
            log.info("Each record file is a task: with --num_shards=1 there are only %d.", len(sizes))
        staged, total = self._job.parent, sum(sizes.values())

        def watch() -> None:
            done = sum(sizes.get(path.name, 0) for path in staged.iterdir())
            self._on_progress("converting on the cluster", done, total, "images")

        written = [json.loads(answer) for answer in self._engine.run(write_shard, self._job, len(sizes), watch)]
        if kept := len(written) - sum(written):
            log.info("%d of %d record files were there from an earlier run.", kept, len(written))
        return tally_of(staged, files, len(self.classes))


def _listed(engine: Engine, job: Path, num_folders: int) -> tuple[list[FolderCount], collections.Counter[str]]:
    """List the class folders; return what each holds, and what was ignored."""
    counts: list[FolderCount] = []
    passed_over: collections.Counter[str] = collections.Counter()
    for answer in engine.run(list_folders, job, num_listings(num_folders)):
        for class_name, images, below, ignored, warning in json.loads(answer):
            counts.append(FolderCount(class_name, images, below))
            passed_over.update(ignored)
            if warning:
                log.warning("%s", warning)
    return counts, passed_over
