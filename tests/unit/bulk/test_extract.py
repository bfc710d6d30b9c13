from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets.storage import copy_folder, path_of
from slim_train import config
from slim_train.bulk.extract import extract
from slim_train.bulk.options import ExtractOptions
from slim_train.bulk.parquet import part_files, read_model
from slim_train.cli.extract_features import COMMAND
from slim_train.errors import RunError, UsageError

pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra [parquet])")


@pytest.fixture
def options(mobilenet_folder: Path, image_dir: Path, tmp_path: Path) -> ExtractOptions:
    return config.with_values(
        ExtractOptions(),
        {
            "checkpoint_path": str(mobilenet_folder),
            "image_dir": str(image_dir),
            "output_dir": str(tmp_path / "features"),
            "images_per_file": 4,
            "precision": "fp32",
        },
    )


def with_flags(options: ExtractOptions, **flags: Any) -> ExtractOptions:
    return config.with_values(options, flags)


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    found = pq.read_table(folder).to_pylist()
    by_path = {row["path"]: row for row in found}
    assert len(by_path) == len(found), "an image is there twice"
    return by_path


def test_every_image_has_a_row_and_the_model_is_described(options: ExtractOptions, tmp_path: Path) -> None:
    report = extract(options)
    assert (report.images, report.computed, report.rejected) == (11, 11, 1)
    found = rows(tmp_path / "features")
    assert len(found["cat/0.jpg"]["features"]) == 256
    assert found["dog/broken.jpg"]["features"] is None
    assert "truncated" in found["dog/broken.jpg"]["error"]
    model = read_model(tmp_path / "features")
    assert model["classes"] == ["cat", "dog"]
    assert model["end_points"] == {"features": {"shape": [1, 1, 256], "length": 256}}
    assert len(part_files(tmp_path / "features")) == 3


@pytest.mark.slow
def test_a_second_run_computes_what_is_missing(options: ExtractOptions, image_dir: Path, tmp_path: Path) -> None:
    extract(options)
    before = rows(tmp_path / "features")
    part_files(tmp_path / "features")[0].unlink()
    (tmp_path / "features" / ".part-1.abcd.parquet").write_bytes(b"PAR1 half")
    (image_dir / "cat" / "new.jpg").write_bytes((image_dir / "cat" / "0.jpg").read_bytes())
    report = extract(options)
    assert report.images == 12
    assert 2 <= report.computed <= 5
    after = rows(tmp_path / "features")
    assert after.pop("cat/new.jpg")["features"] == pytest.approx(before["cat/0.jpg"]["features"])
    assert after.keys() == before.keys()
    assert extract(options).computed == 0
    assert not [path for path in (tmp_path / "features").iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_images_at_a_url_have_the_features_that_they_have_here(
    options: ExtractOptions, image_dir: Path, tmp_path: Path
) -> None:
    url = path_of("memory://extract/images")
    copy_folder(image_dir, url)
    extract(options)
    extract(with_flags(options, image_dir=str(url), output_dir=str(tmp_path / "of_url")))
    assert rows(tmp_path / "of_url") == rows(tmp_path / "features")


@pytest.mark.slow
def test_another_end_point_is_refused_in_the_same_folder(options: ExtractOptions) -> None:
    extract(options)
    with pytest.raises(UsageError, match="results with another end points"):
        extract(with_flags(options, end_points="Conv2d_13_pointwise"))


def test_images_of_which_none_can_be_read_fail(options: ExtractOptions, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("gone.jpg\n")
    with pytest.raises(RunError, match="None of the 1 images can be used"):
        extract(with_flags(options, image_dir=None, image_list=str(tmp_path / "list.txt")))


def test_the_command_lists_end_points(mobilenet_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert COMMAND.main([f"--checkpoint_path={mobilenet_folder}", "--end_points=?"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["features", "1x1x256"]


def test_the_command_names_a_flag_that_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert COMMAND.main(["--image_dir=images", "--output_dir=out"]) == 2
    assert "Name the net with --checkpoint_path" in capsys.readouterr().err
