from __future__ import annotations

from pathlib import Path

from datasets.distributed.shards import new_job


def test_each_job_has_a_folder_of_its_own(tmp_path: Path) -> None:
    one, two = new_job(tmp_path), new_job(tmp_path)
    assert one != two
    assert one.is_dir()
