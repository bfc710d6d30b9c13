"""Record files with manifests, by which a later run of a conversion knows that they are whole. No TensorFlow.

A record file is written under a temporary name, synced and renamed; then its manifest. Both depend on the images and
the flags only, so a file that is written twice replaces itself.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from datasets.errors import DataError
from datasets.files import replacing_synced
from datasets.sources import Reader
from datasets.spec import INFO_FILE
from datasets.tally import Tally, bad_image
from datasets.workers import Chunk, ConvertedChunk, Rejection, extremes

FOLDER = "manifests"
# Of the records: a file of an older version is written again.
_VERSION = 2
_CHECKSUM_BYTES = 1 << 22


@dataclass(frozen=True)
class Manifest:
    """What is known of a finished record file.

    Attributes:
      source: digest of the images in it, see :class:`SourceDigest`.
      size: in bytes.
      checksum: CRC32C of the file.
      class_counts: label -> images in it.
      heights: smallest and largest, in pixels; empty if it holds no image.
      widths: smallest and largest, in pixels.
      rejections: (name, label, reason, detail) of the bad images.
    """

    source: str
    size: int
    checksum: int
    class_counts: Mapping[str, int]
    heights: Sequence[int]
    widths: Sequence[int]
    rejections: Sequence[tuple[str, int, str, str]]

    def rejections_in(self, split_name: str) -> list[Rejection]:
        """Return the bad images of the file, which belongs to a split."""
        return [Rejection(name, split_name, label, *why) for name, label, *why in self.rejections]


class SourceDigest:
    """The digest of the images of a record file: by name, label, size and time of change, in their order."""

    def __init__(self, flags: str, classes: Sequence[str], reader: Reader) -> None:
        """Start without images.

        Args:
          flags: what else the records depend on.
          classes: names of the classes.
          reader: of the images.
        """
        self._digest = hashlib.blake2b(f"{_VERSION} {flags}\0".encode(errors="surrogateescape"), digest_size=20)
        self._classes, self._reader = classes, reader

    def passing(self, images: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int, int]]:
        """Yield images, given by name and label, with about how many bytes reading them takes; add each."""
        classes, stamp_of, update = self._classes, self._reader.stamp, self._digest.update
        for name, label in images:
            stamp = stamp_of(name)
            update(os.fsencode(name) + f"\0{label} {classes[label]}\0{stamp.text}\0".encode())
            yield name, label, stamp.bytes_to_read

    def all_of(self, images: Iterable[tuple[str, int]]) -> str:
        """Add images; return the digest."""
        collections.deque(self.passing(images), maxlen=0)
        return self.hexdigest()

    def hexdigest(self) -> str:
        """Return the digest of the images added so far."""
        return self._digest.hexdigest()


@contextlib.contextmanager
def written(
    staged: Path, split_name: str, file_name: str, digest: SourceDigest, num_classes: int, stop_at_bad_image: bool
) -> Iterator[Callable[[Chunk, ConvertedChunk], None]]:
    """Yield a function that adds a chunk to a record file. The file and its manifest appear at the end of the block.

    Args:
      staged: the folder of unfinished conversions.
      split_name: the split.
      file_name: name of the file.
      digest: of its images; all of them are added in the block.
      num_classes: number of classes.
      stop_at_bad_image: raise DataError at the first instead of leaving it out.
    """
    tally, checksum = Tally({split_name: [0] * num_classes}), google_crc32c.Checksum()
    with replacing_synced(staged / file_name) as file:

        def add(chunk: Chunk, converted: ConvertedChunk) -> None:
            if stop_at_bad_image and converted.rejections:
                raise bad_image(converted.rejections[0])
            file.write(converted.records)
            checksum.update(converted.records)
            tally.add(chunk, converted)

        yield add
    (staged / FOLDER).mkdir(exist_ok=True)
    manifest = Manifest(
        digest.hexdigest(),
        tally.num_bytes,
        int.from_bytes(checksum.digest(), "big"),
        {str(label): count for label, count in enumerate(tally.class_counts[split_name]) if count},
        tally.heights,
        tally.widths,
        [(bad.name, bad.label, bad.reason, bad.detail) for bad in tally.rejections],
    )
    with replacing_synced(_manifest_file(staged, file_name)) as file:
        file.write(json.dumps(vars(manifest)).encode("ascii"))  # names that are not valid Unicode survive


def is_written(
    staged: Path, split_name: str, file_name: str, digest: Callable[[], str], stop_at_bad_image: bool
) -> bool:
    """Return whether a record file is there, whole and made of the same images.

    Args:
      staged: the folder of unfinished conversions.
      split_name: the split.
      file_name: name of the file.
      digest: returns the digest of the images that it must hold.
      stop_at_bad_image: raise DataError if the file was written without a bad image.
    """
    manifest = read_manifest(staged, file_name)
    if not manifest or manifest.source != digest() or not _is_whole(staged / file_name, manifest):
        return False
    if stop_at_bad_image and manifest.rejections:
        raise bad_image(manifest.rejections_in(split_name)[0])
    return True


def read_manifest(staged: Path, file_name: str) -> Manifest | None:
    """Return the manifest of a record file, or None if there is none that is whole."""
    try:
        return Manifest(**json.loads(_manifest_file(staged, file_name).read_text(encoding="ascii")))
    except (OSError, ValueError, TypeError):
        return None


def tally_of(staged: Path, files: Mapping[str, Sequence[str]], num_classes: int) -> Tally:
    """Return the counts of all record files of a conversion.

    Args:
      staged: the folder of unfinished conversions.
      files: names of the files of each split.
      num_classes: number of classes.

    Raises:
      DataError: a file is not what its manifest says.
    """
    total = Tally({split_name: [0] * num_classes for split_name in files})
    for split_name, of_split in files.items():
        counts = total.class_counts[split_name]
        for file_name in of_split:
            manifest = read_manifest(staged, file_name)
            if manifest is None or (staged / file_name).stat().st_size != manifest.size:
                raise DataError(f"{staged / file_name} is not what was written: convert again.")
            for label, count in manifest.class_counts.items():
                counts[int(label)] += count
            total.rejections += manifest.rejections_in(split_name)
            total.heights = extremes((*total.heights, *manifest.heights))
            total.widths = extremes((*total.widths, *manifest.widths))
            total.num_bytes += manifest.size
    return total


def take_over(staged: Path, dataset_dir: Path) -> list[str]:
    """Keep record files of an earlier run that have manifests, and delete all else in ``staged``; return the files.

    Files that the earlier run was about to move to ``dataset_dir`` are taken back, unless a finished data set is there.
    """
    staged.mkdir(exist_ok=True)
    if not (dataset_dir / INFO_FILE).exists():
        for file in finished_files(staged):
            if (dataset_dir / file).is_file() and not (staged / file).exists():
                (dataset_dir / file).replace(staged / file)
    for path in staged.iterdir():
        if path.is_dir() and path.name != FOLDER:
            shutil.rmtree(path, ignore_errors=True)
    kept = [file for file in finished_files(staged) if (staged / file).is_file()]
    sweep(staged, kept)
    return kept


def finished_files(staged: Path) -> list[str]:
    """Return the names of the record files that have manifests; some may have been moved to the output folder."""
    return [path.stem for path in (staged / FOLDER).glob("[!.]*.json")]


def sweep(staged: Path, files: Collection[str]) -> None:
    """Delete all files and manifests but those of ``files``: what was killed, tried twice, or is of another run."""
    keep = set(files)
    for path in (*staged.glob("*"), *staged.glob(f"{FOLDER}/*")):
        name = path.stem if path.parent.name == FOLDER else path.name
        if path.is_file() and (path.name.startswith(".") or name not in keep):
            path.unlink(missing_ok=True)


def _is_whole(path: Path, manifest: Manifest) -> bool:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != manifest.size:
                return False
            checksum = google_crc32c.Checksum()
            while data := file.read(_CHECKSUM_BYTES):
                checksum.update(data)
    except OSError:
        return False
    return int.from_bytes(checksum.digest(), "big") == manifest.checksum


def _manifest_file(staged: Path, file_name: str) -> Path:
    return staged / FOLDER / f"{file_name}.json"
