"""The output folder of a bulk job at a URL, on the file system in memory that TensorFlow has built in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datasets import changed_files
from datasets.storage import path_of
from slim_train.bulk.output_folder import worked_on_here
from slim_train.errors import RunError, UsageError


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


@pytest.fixture
def _store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(source: Path, target: Path) -> None:
        raise OSError(5, "away", str(target))

    monkeypatch.setattr(changed_files, "copy_file", fails)


@pytest.mark.parametrize("kind", [RunError, UsageError])
def test_what_a_job_that_failed_has_finished_is_uploaded_and_the_error_names_the_url(kind: type[Exception]) -> None:
    folder = path_of(f"ram://bulk/failed-{kind.__name__}")
    job = worked_on_here(str(folder), "output_dir")
    with pytest.raises(kind, match=f"--output_dir=ram://bulk/failed-{kind.__name__} holds"), job as here:
        (here / "part").write_text("finished")
        raise kind(f"--output_dir={here} holds other files")
    assert (folder / "part").read_text() == "finished"
    assert not here.parent.exists()


def test_a_whole_bucket_is_a_folder_too() -> None:
    with worked_on_here("ram://bulk-bucket", "output_dir") as here:
        (here / "part").write_text("finished")
    assert (path_of("ram://bulk-bucket") / "part").read_text() == "finished"


@pytest.mark.usefixtures("_store_is_away")
def test_results_that_cannot_be_uploaded_are_kept_and_named() -> None:
    job = worked_on_here("ram://bulk/away", "output_dir")
    with pytest.raises(UsageError, match="cannot write to ram://bulk/away: away") as raised, job as here:
        (here / "part").write_text("finished")
    assert f"kept in {here}:" in str(raised.value)
    assert (here / "part").read_text() == "finished"
    shutil.rmtree(here.parent)


@pytest.mark.usefixtures("_store_is_away")
@pytest.mark.parametrize("error", [RunError("none of them"), KeyboardInterrupt("stop")])
def test_an_upload_that_fails_does_not_hide_why_the_job_failed(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    job = worked_on_here("ram://bulk/both", "output_dir")
    with pytest.raises(type(error), match=str(error)), job as here:
        (here / "part").write_text("finished")
        raise error
    assert f"The results are kept in {here}" in caplog.text
    shutil.rmtree(here.parent)
