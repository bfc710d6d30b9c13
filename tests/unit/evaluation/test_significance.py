from __future__ import annotations

import math

import pytest

from slim_train.evaluation.significance import mcnemar_test


@pytest.mark.parametrize(("first", "second"), [(3, 7), (7, 3), (0, 1), (0, 12), (190, 476)])
def test_the_p_value_is_that_of_the_exact_binomial_test(first: int, second: int) -> None:
    total = first + second
    tail = sum(math.comb(total, k) for k in range(min(first, second) + 1))
    assert mcnemar_test(first, second) == pytest.approx(2 * tail / 2**total)


def test_equal_runs_do_not_differ_and_large_counts_do_not_overflow() -> None:
    assert mcnemar_test(0, 0) == 1
    assert mcnemar_test(5, 5) == 1
    assert mcnemar_test(500_000, 500_100) == pytest.approx(0.9212, abs=0.001)
