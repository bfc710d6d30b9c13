"""The output folder of a bulk job at a URL, on the file system in memory that TensorFlow has built in."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.storage import path_of
from slim_train.bulk.output_folder import worked_on_here
from slim_train.errors import UsageError


def test_a_folder_of_this_machine_is_worked_on_itself(tmp_path: Path) -> None:
    with worked_on_here(str(tmp_path), "output_dir") as here:
        assert here == tmp_path


def test_what_is_new_changed_or_gone_is_so_at_the_url() -> None:
    folder = path_of("ram://bulk/out")
    for name in ("kept", "changed", "gone"):
        (folder / name).write_text("old")
    before = (folder / "kept").stat().st_mtime_ns
    with worked_on_here(str(folder), "output_dir") as here:
        assert sorted(path.name for path in here.iterdir()) == ["changed", "gone", "kept"]
        (here / "changed").write_text("changed")
        (here / "gone").unlink()
        (here / "part").mkdir()
        (here / "part" / "new").write_text("new")
    assert [path.name for path in folder.iterdir()] == ["changed", "kept", "part"]
    assert (folder / "changed").read_text() == "changed"
    assert (folder / "part" / "new").read_text() == "new"
    assert (folder / "kept").stat().st_mtime_ns == before
    assert not here.exists()


def test_what_a_job_that_failed_has_finished_is_uploaded_and_the_error_names_the_url() -> None:
    folder = path_of("ram://bulk/failed")
    job = worked_on_here(str(folder), "output_dir")
    with pytest.raises(UsageError, match="--output_dir=ram://bulk/failed holds"), job as here:
        (here / "part").write_text("finished")
        raise UsageError(f"--output_dir={here} holds other files")
    assert (folder / "part").read_text() == "finished"
