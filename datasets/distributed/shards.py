"""Tasks that write record files, each with a manifest. No TensorFlow."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from datasets import manifests
from datasets.distributed.job import is_stopped, read_settings
from datasets.distributed.ordering import Order, bucket_file, read_labels, read_order
from datasets.manifests import SourceDigest
from datasets.record_files import file_names
from datasets.workers import ChunkConverter, cut_into_chunks

_JOB = "job-"


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
    split_name, staged, stop = labels.splits[split], job.parent, settings.stop_at_bad_image
    file_name = file_names(settings.name, split_name, settings.num_shards)[shard]
    edges, reader = order.edges(split, shard, settings.num_shards), settings.reader()

    def new_digest() -> SourceDigest:
        return SourceDigest(settings.flags, labels.classes, reader)

    def digest_now() -> str:
        return new_digest().all_of(_images(job, order, split, edges))

    if manifests.is_written(staged, split_name, file_name, digest_now, stop):
        return json.dumps(False)
    converter, digest = ChunkConverter(reader, labels.classes), new_digest()
    with manifests.written(staged, split_name, file_name, digest, len(labels.classes), stop) as add:
        images = digest.passing(_images(job, order, split, edges))
        for chunk in cut_into_chunks(split_name, file_name, images):
            add(chunk, converter(chunk))
    return json.dumps(True)


def new_job(staged: Path) -> Path:
    """Return a new folder for a job. Its name is new: tasks of a killed run may still be there."""
    job = staged / f"{_JOB}{secrets.token_hex(4)}"
    job.mkdir()
    return job


def _images(job: Path, order: Order, split: int, edges: tuple[int, int]) -> Iterator[tuple[str, int]]:
    """Yield name and label of the images of a shard."""
    import pyarrow.parquet

    for bucket, first, end in order.slices(split, *edges):
        table = pyarrow.parquet.read_table(bucket_file(job, split, bucket)).slice(first, end - first)
        names = map(os.fsdecode, table["name"].to_pylist())
        yield from zip(names, table["label"].to_pylist(), strict=True)
