"""Tasks that write record files, each with a manifest, by which a later run knows that it is whole. No TensorFlow.

A file is written under a temporary name, synced and renamed; then its manifest. Both depend on the images only, so a
file that is written twice replaces itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from datasets.distributed.job import Settings, is_stopped, read_json, read_settings, write_json
from datasets.distributed.ordering import Order, bucket_file, read_labels, read_order
from datasets.files import replacing_synced
from datasets.record_files import file_names
from datasets.workers import Chunk, ChunkConverter, Rejection, cut_into_chunks
from datasets.writing import Tally, bad_image

MANIFESTS = "manifests"
_JOB = "job-"
# Of the records: a file of an older version is written again.
_VERSION = 1
_CHECKSUM_BYTES = 1 << 22
_Piece = tuple[list[bytes], list[int]]  # names and labels


@dataclass(frozen=True)
class Manifest:
    """What is known of a finished record file.

    Attributes:
      source: digest of the images in it, by name, label, size and time of change, in their order.
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
    class_counts: dict[str, int]
    heights: Sequence[int]
    widths: Sequence[int]
    rejections: Sequence[tuple[str, int, str, str]]

    def tally(self, split_name: str, num_classes: int) -> Tally:
        """Return the counts of the file."""
        counts = [0] * num_classes
        for label, count in self.class_counts.items():
            counts[int(label)] = count
        rejections = [
            Rejection(name, split_name, label, reason, detail) for name, label, reason, detail in self.rejections
        ]
        return Tally({split_name: counts}, rejections, tuple(self.heights), tuple(self.widths), self.size)


def write_shard(job: Path, number: int) -> str:
    """Write a record file and its manifest, unless they are there.

    Returns:
      JSON: whether the file was written now.

    Raises:
      DataError: an image is bad and the conversion is to stop there; or this machine does not see the folders.
    """
    if is_stopped(job):
        return json.dumps(False)
    settings, labels, order = read_settings(job), read_labels(job), read_order(job)
    split, shard = divmod(number, settings.num_shards)
    split_name = labels.splits[split]
    path = job.parent / file_names(settings.name, split_name, settings.num_shards)[shard]
    edges = order.edges(split, shard, settings.num_shards)

    def pieces() -> Iterator[_Piece]:
        return _pieces(job, order, split, edges)

    source = _digest(settings, labels.classes, pieces)
    if (manifest := read_manifest(job.parent, path.name)) and manifest.source == source and _is_whole(path, manifest):
        if settings.stop_at_bad_image and manifest.rejections:
            raise bad_image(manifest.tally(split_name, len(labels.classes)).rejections[0])
        return json.dumps(False)
    manifest = _write(path, split_name, settings, labels.classes, pieces, source)
    write_json(_manifest_file(job.parent, path.name), vars(manifest))
    return json.dumps(True)


def read_manifest(staged: Path, file_name: str) -> Manifest | None:
    """Return the manifest of a record file, or None if there is none that is whole."""
    try:
        return Manifest(**read_json(_manifest_file(staged, file_name)))
    except (OSError, ValueError, TypeError):
        return None


def prepare(staged: Path, dataset_dir: Path, is_finished: bool) -> Path:
    """Return a new folder for the job; of an earlier run, record files and manifests stay.

    Args:
      staged: the folder in which files are written.
      dataset_dir: the output folder. Files that an earlier run was about to move there are taken back.
      is_finished: the output folder holds a finished data set.
    """
    manifests = staged / MANIFESTS
    manifests.mkdir(exist_ok=True)
    for path in [] if is_finished else manifests.glob("[!.]*.json"):
        published = dataset_dir / path.stem
        if published.is_file() and not (staged / path.stem).exists():
            published.replace(staged / path.stem)
    sweep(staged, [path.stem for path in manifests.glob("[!.]*.json")])
    # A new name: tasks of a killed run may still be there.
    job = staged / f"{_JOB}{secrets.token_hex(4)}"
    job.mkdir()
    return job


def sweep(staged: Path, files: Sequence[str]) -> None:
    """Delete what tasks left that were killed or tried twice, and all files but ``files``."""
    keep = set(files)
    for job in staged.glob(f"{_JOB}*"):
        shutil.rmtree(job, ignore_errors=True)
    for path in (*staged.iterdir(), *(staged / MANIFESTS).iterdir()):
        name = path.stem if path.parent.name == MANIFESTS else path.name
        if path.is_file() and (path.name.startswith(".") or name not in keep):
            path.unlink(missing_ok=True)


def _pieces(job: Path, order: Order, split: int, edges: tuple[int, int]) -> Iterator[_Piece]:
    """Yield names and labels of a shard, in pieces of a bucket at most."""
    import pyarrow.parquet

    for bucket, first, end in order.slices(split, *edges):
        table = pyarrow.parquet.read_table(bucket_file(job, split, bucket)).slice(first, end - first)
        yield table["name"].to_pylist(), table["label"].to_pylist()


def _digest(settings: Settings, classes: Sequence[str], pieces: Callable[[], Iterator[_Piece]]) -> str:
    digest = hashlib.blake2b(f"{_VERSION} {settings.shrinking}".encode(), digest_size=20)
    root = os.fsencode(settings.root) + b"/"
    for names, labels in pieces():
        for name, label in zip(names, labels, strict=True):
            try:
                status = os.stat(root + name)  # noqa: PTH116 -- called per image
                stamp = f"{status.st_size} {status.st_mtime_ns}"
            except OSError:
                stamp = "missing"
            digest.update(name + f"\0{label} {classes[label]}\0{stamp}\0".encode())
    return digest.hexdigest()


def _write(
    path: Path,
    split_name: str,
    settings: Settings,
    classes: Sequence[str],
    pieces: Callable[[], Iterator[_Piece]],
    source: str,
) -> Manifest:
    reader = settings.reader()
    converter = ChunkConverter(reader, classes)
    tally, checksum = Tally({split_name: [0] * len(classes)}), google_crc32c.Checksum()
    with replacing_synced(path) as file:
        for names, labels in pieces():
            for chunk in cut_into_chunks(reader, Chunk(split_name, path.name, list(map(os.fsdecode, names)), labels)):
                converted = converter(chunk)
                if settings.stop_at_bad_image and converted.rejections:
                    raise bad_image(converted.rejections[0])
                file.write(converted.records)
                checksum.update(converted.records)
                tally.add(chunk, converted)
    counts = {str(label): count for label, count in enumerate(tally.class_counts[split_name]) if count}
    rejections = [(bad.name, bad.label, bad.reason, bad.detail) for bad in tally.rejections]
    crc = int.from_bytes(checksum.digest(), "big")
    return Manifest(source, tally.num_bytes, crc, counts, tally.heights, tally.widths, rejections)


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
    return staged / MANIFESTS / f"{file_name}.json"
