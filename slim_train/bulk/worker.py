"""The process of a worker: it reads the job, keeps the net, and writes parts. No TensorFlow before the first part.

It knows nothing of the engine that calls :func:`run_part`. Whatever can call a function in many processes, each with
the number of a part, can run a job.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deployment.threads import thread_environment
from slim_train.bulk.image_rows import ImageOpener, ImageRow
from slim_train.bulk.parts import FEATURES, Part, PartDone, WritePart
from slim_train.errors import RunError

_PARTS, _JOB = "parts.parquet", "job.json"
# The job and its function: a process works for one job at a time, and loads the net once.
_current: dict[str, WritePart] = {}


def write_job(job: Path, kind: str, opener: ImageOpener, parts: Sequence[Part]) -> None:
    """Write what workers need to know, apart from the net.

    Args:
      job: folder that all workers see.
      kind: of the work.
      opener: reads the images.
      parts: the parts; workers know them by number.
    """
    import pyarrow
    import pyarrow.parquet

    fields = [("path", pyarrow.string()), ("label", pyarrow.int32()), ("class", pyarrow.string())]
    schema = pyarrow.schema([*fields, ("split", pyarrow.string())])
    with pyarrow.parquet.ParquetWriter(job / _PARTS, schema) as writer:
        for part in parts:
            columns = zip(*part.rows, strict=True)
            arrays = [pyarrow.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pyarrow.table(arrays, schema=schema), row_group_size=len(part.rows))
    facts = {"kind": kind, "files": [part.file for part in parts], "opener": dataclasses.asdict(opener)}
    (job / _JOB).write_text(json.dumps(facts), encoding="utf-8")


def run_part(job: str, number: int, threads: int, devices: Sequence[str] | None = None) -> PartDone:
    """Write part ``number`` of a job.

    Args:
      job: its folder.
      number: of the part.
      threads: CPU threads to use.
      devices: GPUs to use; None takes what the process sees.

    Raises:
      RunError: this machine does not see the folders of the job.
    """
    folder = Path(job)
    facts = _facts(folder)
    if job not in _current:
        if _current:
            _current.clear()
            gc.unfreeze()
        _current[job] = _start(folder, facts, threads, devices)
        # Spark collects garbage after every task, which takes 0.3 s to look at all of TensorFlow: keep that out of it.
        gc.collect()
        gc.freeze()
    return _current[job](Part(facts["files"][number], _rows(folder, number)))


def _facts(job: Path) -> dict[str, Any]:
    host = socket.gethostname()
    try:
        facts = json.loads((job / _JOB).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(
            f"Worker {host} does not see the output folder {job.parent}: the folder must be shared by all workers."
        ) from None
    root = facts["opener"]["root"]
    if root and not Path(root).is_dir():
        raise RunError(f"Worker {host} does not see the images in {root}: the folder must be shared by all workers.")
    return facts


def _rows(job: Path, number: int) -> list[ImageRow]:
    import pyarrow.parquet

    table = pyarrow.parquet.ParquetFile(job / _PARTS).read_row_group(number)
    return [ImageRow(*row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)]


def _start(job: Path, facts: dict[str, Any], threads: int, devices: Sequence[str] | None) -> WritePart:
    os.environ.update(thread_environment(threads))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if facts["kind"] == FEATURES:
        # The graph is frozen, so Keras 3, a quarter of the import, is not needed. Nets in users' files may need it.
        os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    if devices is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
    from slim_train import tf_compat
    from slim_train.bulk import kinds

    tf_compat.silence_deprecation_noise()
    return kinds.writer(facts["kind"], job, ImageOpener(**facts["opener"]), threads)
