"""Which split an image belongs to, and in which order a split is written.

Everything depends on names alone, by hashing: the same images give the same splits on every machine and Python version.
Names are compared in Unicode form NFC, since file systems differ in the form they give back.
"""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
from collections.abc import Sequence

SPLIT_METHODS = ("random", "filename_hash")
TRAIN_AND_TEST = ("train", "test")

# Images per class, class by class in label order.
ImagesByClass = Sequence[Sequence[str]]

# As in TF-Hub's retrain script: images whose names differ only after _nohash_ (crops or copies of one image) stay in
# the same split.
_NOHASH = re.compile(r"_nohash_.*$", re.DOTALL)
_HASH_BUCKETS = 2**27


def nfc(name: str) -> str:
    """``name`` in Unicode form NFC."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def train_test_split(images: ImagesByClass, test_fraction: float, seed: int, method: str) -> dict[str, list[list[str]]]:
    """Divide each class into ``train`` and ``test``; no ``test`` when ``test_fraction`` is 0.

    ``random`` takes ``test_fraction`` of each class, rounded, by a seeded hash of the name. ``filename_hash`` is the
    rule of TF-Hub's retrain script: an image goes where the hash of its name alone sends it, whatever other images
    there are. Either way each class of at least two images has one or more in both splits; a class that the hash leaves
    without one lends the image that is nearest to the border.
    """
    if test_fraction == 0:
        return {"train": [list(names) for names in images]}
    train, test = [], []
    for names in images:
        ordered = sorted(names, key=lambda name: split_key(name, seed, method))
        below = sum(is_below(name, test_fraction, method) for name in names)
        count = num_test(len(names), below, test_fraction, method)
        train.append(ordered[count:])
        test.append(ordered[:count])
    return {"train": train, "test": test}


def split_key(name: str, seed: int, method: str) -> bytes:
    """Return the bytes by which the images of a class are sorted; the first of them are its test split."""
    return _seeded_hash(seed, "split", name) if method == "random" else _hash_bucket(name).to_bytes(4, "big")


def is_below(name: str, test_fraction: float, method: str) -> bool:
    """Return whether the hash of ``name`` alone sends it to the test split; False for ``random``."""
    return method != "random" and name_fraction(name) < test_fraction


def num_test(num_images: int, num_below: int, test_fraction: float, method: str) -> int:
    """Return the number of test images of a class, of which :func:`is_below` holds for ``num_below``."""
    count = int(num_images * test_fraction + 0.5) if method == "random" else num_below
    return min(max(count, 1), num_images - 1)


def name_fraction(name: str) -> float:
    """Return a number from 0 to 1 that depends on ``name`` only (ignoring anything after ``_nohash_``)."""
    return _hash_bucket(name) / (_HASH_BUCKETS - 1)


def order_key(name: str, seed: int) -> bytes:
    """Return the 8 bytes by which the images of a split are sorted."""
    return _seeded_hash(seed, "order", name)


def _hash_bucket(name: str) -> int:
    digest = hashlib.sha1(_NOHASH.sub("", nfc(name)).encode("utf-8", "surrogateescape")).hexdigest()
    return int(digest, 16) % _HASH_BUCKETS


def _seeded_hash(seed: int, purpose: str, name: str) -> bytes:
    digest = _hash_begun(seed, purpose).copy()
    digest.update(nfc(name).encode("utf-8", "surrogateescape"))
    return digest.digest()


@functools.cache
def _hash_begun(seed: int, purpose: str) -> hashlib.blake2b:
    return hashlib.blake2b(f"{seed}/{purpose}/".encode(), digest_size=8)
