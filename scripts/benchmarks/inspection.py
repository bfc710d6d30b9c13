"""Inspection of record files, without and with --decode, against the scan that training makes.

All run in this process, over the same files, in turn.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--dataset_dir", type=Path, required=True, help="folder with record files")
    parser.add_argument("--repeats", type=int, default=3, help="how many times each is run, in turn")


def run(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Time them, in turn; ``ratio`` is the inspection's CPU time over the scan's."""
    from datasets.inspection.record_facts import RecordChunk, read_chunk
    from datasets.record_files import find_any_record_files
    from datasets.scan import scan_file

    files = [path for paths in find_any_record_files(args.dataset_dir).values() for path in paths]
    for _ in range(args.repeats):
        began = time.process_time()
        records = sum(scan_file(path).records for path in files)
        scan = time.process_time() - began
        measured: dict[str, Any] = {"records": records, "scan_us_per_record": round(scan / records * 1e6, 1)}
        for what, decode in (("inspect", False), ("decode", True)):
            began = time.process_time()
            for path in files:
                read_chunk(RecordChunk(str(path), decode=decode, per_value=5))
            seconds = time.process_time() - began
            measured[f"{what}_us_per_record"] = round(seconds / records * 1e6, 1)
            measured["ratio" if not decode else "ratio_decode"] = round(seconds / scan, 2)
        yield measured
