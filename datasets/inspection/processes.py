"""Chunks of records and files are read by several processes. No TensorFlow.

``python -m datasets.inspection.processes`` is one of them: a chunk as JSON is a line of its input, its facts are the
line that answers. It ends with its input, so that it never outlives the inspection. This is not ``multiprocessing``,
which would run the user's script again where it is started without fork.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from datasets.errors import DataError
from datasets.inspection.file_facts import FileChunk, FileFacts, read_files
from datasets.inspection.record_facts import RecordChunk, RecordFacts, read_chunk

Chunk = RecordChunk | FileChunk


def read_all(chunks: Sequence[Chunk], num_workers: int) -> Iterator[tuple[int, Any]]:
    """Yield the index of each chunk and its facts, as they are found; 1 worker is this process.

    Raises:
      DataError: a process died, as when the machine is out of memory.
    """
    if min(num_workers, len(chunks)) <= 1:
        yield from ((index, _read(chunk)) for index, chunk in enumerate(chunks))
        return
    with contextlib.ExitStack() as stack:
        idle: SimpleQueue[_Worker] = SimpleQueue()
        workers = [stack.enter_context(_Worker()) for _ in range(min(num_workers, len(chunks)))]
        for worker in workers:
            idle.put(worker)

        def read(chunk: Chunk) -> Any:
            worker = idle.get()
            try:
                return worker.read(chunk)
            finally:
                idle.put(worker)

        pool = stack.enter_context(ThreadPoolExecutor(len(workers)))
        waiting = {pool.submit(read, chunk): index for index, chunk in enumerate(chunks)}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        finally:
            for future in waiting:
                future.cancel()
            for worker in workers:
                worker.kill()


class _Worker:
    """One of the processes."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        command = [sys.executable, "-m", "datasets.inspection.processes"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)

    def __enter__(self) -> _Worker:
        return self

    def read(self, chunk: Chunk) -> Any:
        """Return the facts of a chunk."""
        assert self._process.stdin and self._process.stdout
        kind = type(chunk).__name__
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps([kind, asdict(chunk)]) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        if not answer.endswith("\n"):
            what = chunk.path if isinstance(chunk, RecordChunk) else f"{chunk.root}, from {chunk.names[0]} on"
            raise DataError(f"A process that read {what} died, probably out of memory. Try --num_workers=1.")
        content = json.loads(answer)
        if _ERROR in content:
            raise DataError(content[_ERROR])
        return _KINDS[kind][2](content)

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


# Key of an answer that is an error.
_ERROR = "error"

# Name of a chunk's class -> how it is made, read, and its facts made from JSON.
_KINDS: dict[str, tuple[Callable[..., Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "RecordChunk": (RecordChunk, read_chunk, RecordFacts.from_json),
    "FileChunk": (FileChunk, read_files, FileFacts.from_json),
}


def _read(chunk: Chunk) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about odd metadata
        try:
            return _KINDS[type(chunk).__name__][1](chunk)
        except OSError as error:  # the file was there when it was listed
            raise DataError(f"Cannot read {error.filename}: {error.strerror}.") from error


def _answer(chunk: Chunk) -> Any:
    try:
        return _read(chunk).as_json()
    except DataError as error:
        return {_ERROR: str(error)}


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends its workers
    for line in sys.stdin:
        kind, values = json.loads(line)
        sys.stdout.write(json.dumps(_answer(_KINDS[kind][0](**values))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
