from __future__ import annotations

from pathlib import Path

import pytest

from datasets.distributed.engine import answers, attempt
from datasets.distributed.job import is_stopped
from datasets.errors import DataError


def double(job: Path, number: int) -> str:
    if number == 2:
        raise DataError("two is refused")
    return str(2 * number)


def test_answers_come_back_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    assert answers([attempt(double, tmp_path, number) for number in (0, 1, 3)]) == ["0", "2", "6"]
    assert not is_stopped(tmp_path)


def test_an_error_of_the_data_stops_the_other_tasks_and_is_raised_where_the_job_started(tmp_path: Path) -> None:
    attempts = [attempt(double, tmp_path, number) for number in (1, 2)]
    assert is_stopped(tmp_path)
    with pytest.raises(DataError, match="two is refused"):
        answers(attempts)


def test_a_failure_of_the_machine_is_left_to_the_engine(tmp_path: Path) -> None:
    def fail(job: Path, number: int) -> str:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        attempt(fail, tmp_path, 0)
