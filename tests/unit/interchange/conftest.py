from __future__ import annotations

from collections.abc import Iterator

import pytest
import tensorflow as tf


@pytest.fixture(autouse=True)
def no_seed_stays() -> Iterator[None]:
    """Take back the seed of the process that keras.utils.set_random_seed sets."""
    yield
    tf.random.set_seed(None)
