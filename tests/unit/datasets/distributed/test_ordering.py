from __future__ import annotations

import pytest

from datasets.distributed.engine import BucketCount
from datasets.distributed.ordering import Order, num_buckets

# Split 0 has 3 + 0 + 4 images in its buckets, split 1 has 1 + 2 + 0.
COUNTED = [BucketCount(2, 0, 4), BucketCount(0, 0, 3), BucketCount(0, 1, 1), BucketCount(1, 1, 2)]


@pytest.fixture
def order() -> Order:
    return Order.of(COUNTED, num_splits=2, num_buckets=3)


def test_buckets_may_come_in_any_order(order: Order) -> None:
    assert order.counts == [[3, 0, 4], [1, 2, 0]]
    assert [order.images(split) for split in (0, 1)] == [7, 3]


def test_shards_share_the_places_of_a_split(order: Order) -> None:
    assert [order.edges(0, shard, 3) for shard in range(3)] == [(0, 2), (2, 4), (4, 7)]


def test_a_shard_takes_rows_from_each_bucket_that_it_touches(order: Order) -> None:
    assert list(order.slices(0, 2, 4)) == [(0, 2, 3), (2, 0, 1)]
    assert list(order.slices(1, 0, 3)) == [(0, 0, 1), (1, 0, 2)]


def test_a_bucket_is_small_enough_for_a_task() -> None:
    assert [num_buckets(count) for count in (10, 1_000_000, 10**8, 10**11)] == [1, 20, 2_000, 65_536]
