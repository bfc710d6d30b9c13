"""Features kept on disk, keyed by what they were computed from: a module and the bytes of an image. No TensorFlow.

One folder per module. In it are .npz files of digests and features: results are written now and then, each time to a
file of their own, and gathered into one when all are there. Every file is whole or absent, so a run that was killed
loses what it had not written and nothing else; two runs at the same time do no harm. An image that was moved, renamed
or copied keeps its features, and one that was changed has others.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.files import replacing
from slim_train.errors import UsageError

log = logging.getLogger(__name__)

Features = NDArray[np.float32]

_DIGEST_BYTES = 16
# Larger files are left as they are: gathering a large store again after each small addition would be slow.
_LARGE_BYTES = 64 * 2**20


def digest(image: bytes) -> bytes:
    """Return the key of an image: it depends on all bytes of the file."""
    return hashlib.blake2b(image, digest_size=_DIGEST_BYTES).digest()


class BottleneckStore:
    """Features of one module by the digests of images.

    Args:
      folder: of this module; made on the first write.
      num_features: length of a vector.

    Raises:
      UsageError: the folder cannot be read.
    """

    def __init__(self, folder: Path, num_features: int) -> None:
        self._folder, self._num_features = folder, num_features
        self._features: dict[bytes, Features] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--bottleneck_dir: cannot write to {folder}: {error.strerror}.") from error
        for path in self._files():
            self._features.update(self._read(path))

    def __contains__(self, key: bytes) -> bool:
        return key in self._features

    def __len__(self) -> int:
        return len(self._features)

    def gather(self, keys: Sequence[bytes | None]) -> Features:
        """Return the features of images, [images, num_features]; zeros if there is no key."""
        gathered = np.zeros((len(keys), self._num_features), np.float32)
        for row, key in zip(gathered, keys, strict=True):
            if key is not None:
                row[:] = self._features[key]
        return gathered

    def add(self, features: Mapping[bytes, Features]) -> None:
        """Keep more features, in a file of their own."""
        if features:
            self._features.update(features)
            self._write(features)

    def compact(self) -> None:
        """Gather the small files into one."""
        small = [path for path in self._files() if path.stat().st_size < _LARGE_BYTES]
        if len(small) > 1:
            gathered: dict[bytes, Features] = {}
            for path in small:
                gathered.update(self._read(path))
            self._write(gathered)
            for path in small:
                path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("*.npz") if not path.name.startswith("."))

    def _read(self, path: Path) -> dict[bytes, Features]:
        """Return what a file holds; nothing, with a message in the log, where it is damaged."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                keys, features = stored["keys"], stored["features"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            log.warning("Ignoring %s, which is damaged (%s): its features are computed again.", path, error)
            return {}
        if features.shape != (len(keys), self._num_features) or keys.shape[1:] != (_DIGEST_BYTES,):
            log.warning("Ignoring %s: it belongs to another module.", path)
            return {}
        return {key.tobytes(): row for key, row in zip(keys, features, strict=True)}

    def _write(self, features: Mapping[bytes, Features]) -> None:
        keys = np.frombuffer(b"".join(features), np.uint8).reshape(-1, _DIGEST_BYTES)
        with replacing(self._folder / f"{uuid.uuid4().hex}.npz") as temporary:
            np.savez(temporary, keys=keys, features=np.stack(list(features.values())))
