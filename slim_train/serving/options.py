"""The options of serve_image_classifier. No TensorFlow."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from slim_train.config import Options, option
from slim_train.errors import UsageError


@dataclass(frozen=True)
class ServedOptions(Options):
    """What is served. At least one of --model_dir and --conf; several are separated by commas."""

    model_dir: str | None = option(
        None,
        "An export, a training folder or what retrain leaves; of numbered versions, the highest is served. "
        "NAME=FOLDER gives it a name in the URLs, else the folder does. The first model answers /service.",
    )
    conf: str | None = option(
        None,
        "A conf.json of the UAI inference service. The Python file that it names as main_file is run as a part of the "
        "server: serve only files that you trust.",
    )
    top_k: int = option(5, "Classes in an answer of /service, best first.", at_least=1)
    poll_secs: float = option(2.0, "Seconds between looks for a new version of a model; 0: never.", at_least=0)


@dataclass(frozen=True)
class BatchOptions(Options):
    """Batching."""

    max_batch_size: int = option(
        8, "Images in one run of the net. CPUs gain little beyond 8, GPUs want 32 and more.", at_least=1
    )
    batch_timeout_ms: float = option(
        5.0,
        "How long a batch with room left waits for images that are being decoded. A request that is alone does not "
        "wait.",
        at_least=0,
    )
    max_queue: int = option(
        128, "Images of a model that may be waiting; beyond them requests get 503 and Retry-After.", at_least=1
    )
    decode_threads: int | None = option(
        None, "Threads that decode pictures. Default: one for each processor that this process may run on.", at_least=1
    )


@dataclass(frozen=True)
class ServerOptions(Options):
    """Server."""

    host: str = option("127.0.0.1", "Address to listen on; 0.0.0.0 for all of this machine's.")
    port: int = option(
        8080, "Port to listen on; 0 takes a free one, and the log says which.", at_least=0, at_most=65535
    )
    api_key_file: str | None = option(
        None, "File with one key a line; requests must bring one. Default: whoever reaches the port may ask."
    )
    max_body_mb: float = option(16.0, "Largest request, in MB of 10^6 bytes; larger ones get 413.", above=0)
    max_megapixels: float = option(
        50.0,
        "Largest picture, whatever the size of its file; larger ones are refused undecoded.",
        above=0,
        at_most=178,  # No decoder here takes more.
    )
    stop_secs: int = option(
        30, "Seconds that requests in flight have to finish when the server is stopped.", at_least=0
    )


@dataclass(frozen=True)
class ServeOptions(Options):
    """Everything that serve_image_classifier can be told."""

    served: ServedOptions = field(default_factory=ServedOptions)
    batching: BatchOptions = field(default_factory=BatchOptions)
    server: ServerOptions = field(default_factory=ServerOptions)


def named_paths(flag: str, value: str | None) -> list[tuple[str | None, Path]]:
    """The entries of ``--flag=a,NAME=b``: a name, or None where there is none, and a path that is there.

    Raises:
      UsageError: an empty name, or a path that is not there.
    """
    entries: list[tuple[str | None, Path]] = []
    for entry in (part.strip() for part in (value or "").split(",")):
        if not entry:
            continue
        # A path that is there is one, whatever = it has in it.
        name, separator, path = ("", "", entry) if Path(entry).exists() else entry.partition("=")
        path = path or name
        if not Path(path).exists():
            raise UsageError(f"--{flag}={entry}: {path} does not exist.")
        if separator and not name:
            raise UsageError(f"--{flag}={entry}: there is no name in front of the =.")
        entries.append((name if separator else None, Path(path)))
    return entries


def read_api_keys(path: str | os.PathLike[str] | None) -> tuple[str, ...]:
    """The keys of ``--api_key_file``, one a line; blank lines and those that start with # are passed over.

    Raises:
      UsageError: the file cannot be read or holds no key: a server asked to be closed must not come up open.
    """
    if path is None:
        return ()
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--api_key_file={path} cannot be read: {error}.") from error
    keys = tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
    if not keys:
        raise UsageError(f"--api_key_file={path} holds no key; write one a line.")
    return keys
