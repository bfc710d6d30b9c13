"""Images that this process lists, orders and writes as record files. No TensorFlow."""

from __future__ import annotations

import collections
import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from datasets.class_folders import find_class_folders, list_class_folder, log_passed_over, no_images
from datasets.exclusions import ExcludedNames, Excluding
from datasets.image_list import Group, ImageList
from datasets.sources import TRAIN, ImageSource, Reader
from datasets.splits import ImagesByClass
from datasets.tally import Tally
from datasets.writing import RecordWriter, single_image

log = logging.getLogger(__name__)

# Makes an empty list; the argument is whether the images come with splits.
NewList = Callable[[bool], ImageList]


class LocalImages:
    """Listed images, for :func:`datasets.convert.convert_dataset`.

    Attributes:
      classes: class names, sorted.
      is_split: whether the images come with splits.
    """

    def __init__(
        self,
        listed: ImageList,
        classes: tuple[str, ...],
        is_split: bool,
        reader: Reader,
        writer: RecordWriter,
    ) -> None:
        self.classes, self.is_split = classes, is_split
        self._list, self._reader, self._writer = listed, reader, writer

    def write(self, without: Mapping[str, int]) -> Tally:
        """Write the record files of all images but some. Errors: see :class:`datasets.writing.Images`."""
        if self._list.division:
            for label, count in enumerate(self._list.class_counts(self.classes, without)):
                if count == 1:
                    name = self._list.first_of(self.classes, label, without)
                    raise single_image(self.classes[label], name, self._reader)
        splits = self._list.order(self.classes, self._writer.num_shards, without)
        return self._writer.write(self._reader, self.classes, splits)


class GroupedImages:
    """Images of which some stay together, with all names in memory.

    Attributes:
      classes: class names, sorted.
      is_split: False.
    """

    is_split = False

    def __init__(
        self,
        source: ImageSource,
        split: Callable[[ImagesByClass], dict[str, list[list[str]]]],
        is_divided: bool,
        new_list: NewList,
        writer: RecordWriter,
    ) -> None:
        """Take the images.

        Args:
          source: the images, without splits.
          split: divides the images of each class.
          is_divided: whether train and test need an image of each class.
          new_list: makes an empty list.
          writer: writes the record files.
        """
        self.classes = source.classes
        self._source, self._split, self._is_divided = source, split, is_divided
        self._new_list, self._writer = new_list, writer

    def write(self, without: Mapping[str, int]) -> Tally:
        """Write the record files of all images but some. Errors: see :class:`datasets.writing.Images`."""
        source = self._source
        images = [[name for name in names if name not in without] for names in source.splits[TRAIN]]
        for class_name, names in zip(self.classes, images, strict=True):
            if len(names) == 1 and self._is_divided:
                raise single_image(class_name, names[0], source.reader)
        divided = dataclasses.replace(source, splits=self._split(images), is_split=True)
        splits = list_source(divided, self._new_list).order(self.classes, self._writer.num_shards, {})
        return self._writer.write(source.reader, self.classes, splits)


def list_folders(
    root: Path, exclude: Path, new_list: NewList, excluded: ExcludedNames | None = None
) -> tuple[ImageList, tuple[str, ...], bool]:
    """List the images in class folders; return the list, the class names, and whether the images come with splits.

    Args:
      root: the folder given by the user.
      exclude: a folder not to enter: the output.
      new_list: makes the list.
      excluded: images to leave out.

    Raises:
      DataError: as :func:`datasets.class_folders.scan` and :meth:`datasets.exclusions.Excluding.check` do.
    """
    log.info("Listing the images in %s.", root)
    found = find_class_folders(root, exclude)
    images, passed_over = new_list(found.is_split), collections.Counter(found.passed_over)
    excluding = Excluding(excluded) if excluded else None
    for folder in found.folders:
        group = images.group(folder.split_name)
        keep = group.add if excluding is None else _others(excluding, group)
        listed = list_class_folder(root, folder.path, keep, exclude)
        group.class_name = listed.class_name
        if excluding:
            excluding.end_folder(bool(listed.class_name))
        passed_over.update(listed.passed_over)
        if listed.warning:
            log.warning("%s", listed.warning)
    log_passed_over(root, passed_over)
    classes = tuple(sorted({group.class_name for group in images.groups if group.class_name}))
    if not classes:
        raise no_images(root)
    if excluding:
        excluding.check(dict(zip(classes, images.class_counts(classes, {}), strict=True)))
    return images, classes, found.is_split


def _others(excluding: Excluding, group: Group) -> Callable[[str], None]:
    """Return what lists the images of a group that are not left out."""

    def keep(name: str) -> None:
        if excluding.stays(name):
            group.add(name)

    return keep


def list_source(source: ImageSource, new_list: NewList) -> ImageList:
    """Return the list of the images of a source that holds their names."""
    images = new_list(source.is_split)
    for split_name, of_split in source.splits.items():
        for class_name, names in zip(source.classes, of_split, strict=True):
            group = images.group(split_name)
            group.class_name = class_name
            for name in names:
                group.add(name)
    return images
