"""The order of the records of a conversion, in buckets: an image's place in its split, without a list of all images.

A record's place is that of the hash of its name (:func:`datasets.splits.order_key`) among all of its split. The first
bits of the hash are the bucket. The engine sorts the images bucket by bucket; each bucket becomes a file per split, and
the sizes of the buckets say at which place each begins. No TensorFlow.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.distributed.engine import BucketCount
from datasets.distributed.job import read_json, read_settings, write_json
from datasets.distributed.listing import listing_file, read_excluded
from datasets.files import replacing_synced

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_IMAGES_PER_BUCKET = 50_000
_MOST_BUCKETS = 1 << 16
_ROWS = 65_536


@dataclass(frozen=True)
class Labels:
    """What is known after the class folders are listed.

    Attributes:
      classes: names of the classes.
      labels: the label of each class folder; -1 if it holds no image.
      splits: names of the splits.
      split_of: the split of each class folder; the index into ``splits``.
      num_test: number of test images of each class, if classes are divided.
      num_buckets: number of buckets of the order.
    """

    classes: Sequence[str]
    labels: Sequence[int]
    splits: Sequence[str]
    split_of: Sequence[int]
    num_test: Sequence[int]
    num_buckets: int


def write_labels(job: Path, labels: Labels) -> None:
    """Write the labels of a job."""
    write_json(job / "labels.json", vars(labels))


def read_labels(job: Path) -> Labels:
    """Return the labels of a job."""
    return Labels(**read_json(job / "labels.json"))


def num_buckets(num_images: int) -> int:
    """Return the number of buckets for the images of a job."""
    return min(max(num_images // _IMAGES_PER_BUCKET, 1), _MOST_BUCKETS)


def row_schema() -> Any:
    """Return the columns that are sorted: a schema of pyarrow."""
    import pyarrow

    key, number = pyarrow.binary(), pyarrow.int32()
    types = {"bucket": number, "split": number, "label": number, "name": key, "nfc": key}
    return pyarrow.schema(list((types | {"split_key": key, "order_key": key}).items()))


def read_rows(job: Path, number: int) -> Iterator[Any]:
    """Yield the rows of a listing to sort, as batches of pyarrow with :func:`row_schema`.

    Raises:
      DataError: this machine does not see the folders of the job.
    """
    import numpy as np
    import pyarrow
    import pyarrow.compute
    import pyarrow.parquet

    read_settings(job)
    labels, excluded = read_labels(job), read_excluded(job)
    label_of, split_of = (np.array(values, np.int32) for values in (labels.labels, labels.split_of))
    bad = pyarrow.array(sorted(excluded), pyarrow.binary())
    for listed in pyarrow.parquet.ParquetFile(listing_file(job, number)).iter_batches(_ROWS):
        if excluded:
            listed = listed.filter(pyarrow.compute.invert(pyarrow.compute.is_in(listed["name"], value_set=bad)))
        folders = listed["folder"].to_numpy()
        columns = {"split": split_of[folders], "label": label_of[folders]}
        columns["bucket"] = _buckets(listed["order_key"].to_pylist(), labels.num_buckets)
        arrays = [columns.get(name, listed[name] if name not in columns else None) for name in row_schema().names]
        yield pyarrow.RecordBatch.from_arrays(list(map(_array, arrays)), schema=row_schema())


def write_buckets(job: Path, batches: Iterable[Any]) -> Iterator[BucketCount]:
    """Write sorted rows with the columns bucket, split, label, rank and name as one file per bucket and split.

    Args:
      job: folder of the job.
      batches: of pyarrow; the rows of a bucket are one after the other.
    """
    import numpy as np
    import pyarrow
    import pyarrow.parquet

    settings, labels = read_settings(job), read_labels(job)
    num_test = np.array(labels.num_test, np.int64)
    for bucket, table in _by_bucket(batches):
        splits = table["split"].to_numpy()
        if settings.is_divided:
            splits = (table["rank"].to_numpy() <= num_test[table["label"].to_numpy()]).astype(np.int32)
        for split in range(len(labels.splits)):
            rows = table.select(["name", "label"]).filter(pyarrow.array(splits == split))
            path = bucket_file(job, split, bucket)
            path.parent.mkdir(exist_ok=True)
            with replacing_synced(path) as file:
                pyarrow.parquet.write_table(rows, file)
            yield BucketCount(bucket, split, rows.num_rows)


def bucket_file(job: Path, split: int, bucket: int) -> Path:
    """Return the file with the images of a split in a bucket, in their order."""
    return job / "order" / f"{split}-{bucket:05d}.parquet"


@dataclass(frozen=True)
class Order:
    """The places of all images.

    Attributes:
      counts: number of images of each split in each bucket.
    """

    counts: Sequence[Sequence[int]]

    @classmethod
    def of(cls, counted: Iterable[BucketCount], num_splits: int, num_buckets: int) -> Order:
        """Return the order that the buckets make."""
        counts = [[0] * num_buckets for _ in range(num_splits)]
        for bucket, split, images in counted:
            counts[split][bucket] = images
        return cls(counts)

    def images(self, split: int) -> int:
        """Return the number of images of a split."""
        return sum(self.counts[split])

    def edges(self, split: int, shard: int, num_shards: int) -> tuple[int, int]:
        """Return the place of the first image of a shard, and of the first after it."""
        start, end = (self.images(split) * edge // num_shards for edge in (shard, shard + 1))
        return start, end

    def slices(self, split: int, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield (bucket, first row, end) of the buckets that hold the places from ``start`` to ``end``."""
        place = 0
        for bucket, count in enumerate(self.counts[split]):
            first, last = max(start - place, 0), min(end - place, count)
            if first < last:
                yield bucket, first, last
            place += count


def write_order(job: Path, order: Order) -> None:
    """Write the order of a job."""
    write_json(job / "order.json", order.counts)


def read_order(job: Path) -> Order:
    """Return the order of a job."""
    return Order(read_json(job / "order.json"))


def _buckets(keys: Sequence[bytes], count: int) -> NDArray[np.int32]:
    import numpy as np

    first_bits = np.frombuffer(b"".join(keys), ">u8") >> np.uint64(32)
    return (first_bits * np.uint64(count) >> np.uint64(32)).astype(np.int32)


def _array(values: Any) -> Any:
    import numpy as np
    import pyarrow

    return pyarrow.array(values) if isinstance(values, np.ndarray) else values


def _by_bucket(batches: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Yield the rows of each bucket as a table."""
    import numpy as np
    import pyarrow

    current, held = -1, list[Any]()
    for batch in batches:
        buckets = batch.column("bucket").to_numpy()
        edges = [0, *(np.flatnonzero(np.diff(buckets)) + 1).tolist(), len(buckets)]
        for start, end in itertools.pairwise(edges):
            if start == end:
                continue
            if buckets[start] != current and held:
                yield current, pyarrow.Table.from_batches(held)
                held = []
            current = int(buckets[start])
            held.append(batch.slice(start, end - start))
    if held:
        yield current, pyarrow.Table.from_batches(held)
