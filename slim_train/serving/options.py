"""The options of serve_image_classifier. No TensorFlow."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from slim_train.config import Options, option
from slim_train.errors import UsageError
from slim_train.training_options import SCALED_DECODING, TrustedCodeOptions


@dataclass(frozen=True)
class ServedOptions(Options):
    """What is served. At least one of --model_dir and --conf; several are separated by commas."""

    model_dir: str | None = option(
        None,
        "Export, training folder or retrain output to serve; of numbered versions, the highest. NAME=FOLDER "
        "sets the model's name in URLs. Default name: the folder's. The first model answers /service.",
        takes_urls=True,
    )
    conf: str | None = option(
        None,
        "conf.json of the UAI inference service. The Python file it names as main_file runs as part of the "
        "server: serve only files you trust.",
    )
    top_k: int = option(5, "Number of classes in an answer of /service, best first.", at_least=1)
    scaled_decoding: str | None = option(
        None,
        "auto: decode large JPEGs smaller than they are. never: decode all pixels. Default: as in training or export.",
        choices=SCALED_DECODING,
    )
    poll_secs: float = option(2.0, "Seconds between checks for a new version of a model. 0: never check.", at_least=0)


@dataclass(frozen=True)
class BatchOptions(Options):
    """Batching."""

    max_batch_size: int = option(
        8, "Images per run of the net. CPUs gain little beyond 8; GPUs want 32 or more.", at_least=1
    )
    batch_timeout_ms: float = option(
        5.0,
        "Milliseconds that a batch with free slots waits for images that are being decoded. A single request "
        "does not wait.",
        at_least=0,
    )
    max_queue: int = option(
        128, "Images of a model that may wait. Requests beyond that get 503 with Retry-After.", at_least=1
    )
    decode_threads: int | None = option(
        None, "Threads that decode images. Default: one per CPU available to this process.", at_least=1
    )


@dataclass(frozen=True)
class ServerOptions(Options):
    """Server."""

    host: str = option("127.0.0.1", "Address to listen on. 0.0.0.0: all addresses of this machine.")
    port: int = option(8080, "Port to listen on. 0: a free port, named in the log.", at_least=0, at_most=65535)
    grpc_port: int | None = option(
        None,
        "Port for the gRPC interface of TensorFlow Serving, beside HTTP. 0: a free port, named in the log. Requires "
        "the extra [grpc]. Default: HTTP only.",
        at_least=0,
        at_most=65535,
    )
    api_key_file: str | None = option(
        None, "File of API keys, one per line. Requests must send one. Default: no key required."
    )
    max_body_mb: float = option(16.0, "Largest request in MB (10^6 bytes). Larger requests get 413.", above=0)
    max_megapixels: float = option(
        50.0,
        "Largest image in megapixels, whatever its file size. Larger images are refused without decoding.",
        above=0,
        at_most=178,  # No decoder here takes more.
    )
    stop_secs: int = option(30, "Seconds that requests in flight have to finish when the server stops.", at_least=0)


@dataclass(frozen=True)
class ServeOptions(Options):
    """Everything that serve_image_classifier can be told."""

    served: ServedOptions = field(default_factory=ServedOptions)
    batching: BatchOptions = field(default_factory=BatchOptions)
    server: ServerOptions = field(default_factory=ServerOptions)
    code: TrustedCodeOptions = field(default_factory=TrustedCodeOptions)


def named_paths(flag: str, value: str | None) -> list[tuple[str | None, Path]]:
    """Return the entries of ``--flag=a,NAME=b``: a name, or None if there is none, and a path that is there.

    Raises:
      UsageError: an empty name, or a path that is not there.
    """
    from datasets.storage import (
        fault_of,
        path_of,
        shown,
    )  # not at the top: commands check first that this package is ours

    entries: list[tuple[str | None, Path]] = []
    for entry in (part.strip() for part in (value or "").split(",")):
        if not entry:
            continue
        # A path that is there is one, whatever = it has in it.
        name, separator, path = ("", "", entry) if path_of(entry).exists() else entry.partition("=")
        path = path or name
        if fault := fault_of(path, takes_urls=True):
            raise UsageError(f"--{flag}={shown(entry)}: {shown(path)} {fault}")
        if not path_of(path).exists():
            raise UsageError(f"--{flag}={entry}: {path} does not exist.")
        if separator and not name:
            raise UsageError(f"--{flag}={entry}: there is no name in front of the =.")
        entries.append((name if separator else None, path_of(path)))
    return entries


def read_api_keys(path: str | os.PathLike[str] | None) -> tuple[str, ...]:
    """Return the keys of ``--api_key_file``, one a line; blank lines and those that start with # are ignored.

    Raises:
      UsageError: the file cannot be read or holds no key: a server asked to be closed must not come up open.
    """
    from datasets.storage import path_of

    if path is None:
        return ()
    try:
        lines = path_of(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--api_key_file={path} cannot be read: {error}.") from error
    keys = tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
    if not keys:
        raise UsageError(f"--api_key_file={path} holds no key; write one per line.")
    return keys
