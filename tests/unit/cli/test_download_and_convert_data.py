from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from datasets.convert import ConversionReport
from datasets.factory import get_dataset
from datasets.spec import DatasetInfo, SplitInfo
from slim_train.cli.download_and_convert_data import COMMAND, summary

_ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Ten cats, of which one is a text file, and six dogs."""
    for name, count in (("cat", 10), ("dog", 6)):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (12, 8), (20 * number, 0, 0)).save(folder / f"{number}.jpg")
    (tmp_path / "pictures" / "cat" / "0.jpg").write_text("I am a text")
    return tmp_path / "pictures"


@pytest.fixture
def convert(pictures: Path, tmp_path: Path) -> Callable[..., int]:
    """``convert(*flags)``: the exit code."""
    usual = [
        "--dataset_name=image_folder",
        f"--pic_path={pictures}",
        f"--dataset_dir={tmp_path}/out",
        "--num_workers=1",
    ]
    return lambda *flags: COMMAND.main([*usual, *flags])


def test_the_last_lines_propose_to_make_large_photographs_smaller(
    convert: Callable[..., int], pictures: Path, photo: Callable[..., bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (*pictures.glob("cat/*"), *pictures.glob("dog/*")):
        file.write_bytes(photo(size=(1200, 900)))
    assert convert("--max_image_side=200") == 0
    first = capsys.readouterr()
    assert "The median image" not in first.out
    assert "--max_image_side=200 is below the 224 pixels that most nets take" in first.err
    assert convert("--overwrite") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("The median image has 1,200 pixels on its long side, and most nets take 224. ")


@pytest.mark.parametrize("flag", ["--max_image_side=0", "--jpeg_quality=0", "--jpeg_quality=101"])
def test_sizes_and_qualities_that_make_no_sense_are_refused_in_one_line(
    convert: Callable[..., int], capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    assert convert(flag) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].count(flag) == 1


def test_the_summary_counts_images_by_split_and_class_and_says_what_was_left_out(
    convert: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"image_folder: 15 images of 2 classes in {tmp_path}/out; ")
    assert "images/s" in lines[0]
    train, test = (get_dataset(None, split_name, tmp_path / "out").class_counts for split_name in ("train", "test"))
    assert [line.split() for line in lines[2:6]] == [
        ["class", "train", "test"],
        ["cat", f"{train[0]}", f"{test[0]}"],
        ["dog", f"{train[1]}", f"{test[1]}"],
        ["all", f"{sum(train)}", f"{sum(test)}"],
    ]
    assert lines[-1] == f"Rejected: 1 (not an image 1). {tmp_path}/out/rejected.csv lists them with the reasons."


def test_a_second_run_says_that_the_data_set_is_there(
    convert: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    convert()
    capsys.readouterr()
    assert convert() == 0
    assert "converted before; --overwrite converts them again" in capsys.readouterr().out


def test_flags_reach_the_converter(convert: Callable[..., int], tmp_path: Path) -> None:
    assert convert("--num_shards=2", "--test_fraction=0.5", "--split_by=filename_hash", "--seed=4") == 0
    assert len(get_dataset("image_folder", "test", tmp_path / "out").files) == 2
    assert convert("--overwrite", "--test_fraction=0") == 0
    assert len(get_dataset("image_folder", "train", tmp_path / "out").files) == 1


@pytest.mark.parametrize("flag", ["--exclude=list.txt", "--group_by=(.).*", "--group_duplicates"])
def test_what_spark_cannot_do_is_refused_in_a_line(
    convert: Callable[..., int], capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    assert convert(flag, "--spark_master=local[2]") == 2
    name = flag.partition("=")[0]
    assert f"{name} is for conversion without Spark: remove --spark_master" in capsys.readouterr().err


def test_on_error_fail_exits_with_2_and_names_the_image(
    convert: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert("--on_error=fail") == 2
    assert "Bad image cat/0.jpg: not an image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--dataset_name=flower"], "Unknown data set 'flower'. Did you mean flowers?"),
        (["--dataset_name=image_folder"], "--pic_path is missing"),
        (["--dataset_name=image_folder", "--pic_path={tmp}/gone"], "--pic_path={tmp}/gone does not exist"),
        (["--dataset_name=image_folder", "--pic_path={tmp}/empty"], "holds no class folder with an image in it"),
        (
            ["--dataset_name=image_folder", "--pic_path={tmp}/bad"],
            "Class 'cat' has no usable image: all 2 were rejected",
        ),
        (["--dataset_name=fer"], "FER2013 has no public address"),
        (["--dataset_name=digits", "--test_fraction=1"], "--test_fraction=1.0 must be at most 0.99"),
        (["--dataset_name=digits", "--num_shards=0"], "num_shards"),
        ([], "--dataset_name is required"),
    ],
)
def test_bad_usage_is_one_line_on_stderr_and_exit_code_2(
    flags: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad" / "cat").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "bad" / "cat" / name).write_text("I am a text")
    given = [flag.format(tmp=tmp_path) for flag in flags]
    assert COMMAND.main([*given, f"--dataset_dir={tmp_path}/out", "--num_workers=1", "--verbosity=error"]) == 2
    output = capsys.readouterr()
    assert complaint.format(tmp=tmp_path) in output.err
    assert len(output.err.splitlines()) == 1
    assert output.out == ""


def _report(labels: tuple[str, ...], counts: tuple[int, ...] | None) -> ConversionReport:
    info = DatasetInfo("pets", labels, {"train": SplitInfo(sum(counts or (7,)), counts)})
    return ConversionReport("out", info, {}, num_bytes=2_000_000, seconds=2.0)


def test_columns_are_aligned_whatever_the_script_of_the_class_names() -> None:
    lines = summary(_report(("cat", "猫猫"), (1000, 2))).splitlines()
    assert lines[2:6] == ["  class  train", "  cat    1,000", "  猫猫       2", "  all    1,002"]


def test_a_thousand_classes_do_not_flood_the_screen() -> None:
    lines = summary(_report(tuple(map(str, range(1000))), (1,) * 1000)).splitlines()
    assert len(lines) < 70
    assert lines[-4].strip() == "... and 940 more, in info.json"


def test_an_old_folder_without_counts_per_class_is_shown_all_the_same() -> None:
    assert "  cat        ?" in summary(_report(("cat",), None))


def test_the_command_never_imports_tensorflow(pictures: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from slim_train.cli.download_and_convert_data import main; code = main(); "
        "assert 'tensorflow' not in sys.modules; sys.exit(code)"
    )
    flags = ["--dataset_name=image_folder", f"--pic_path={pictures}", f"--dataset_dir={tmp_path}/out"]
    run = subprocess.run(
        [sys.executable, "-c", script, *flags], env={**os.environ, "PYTHONPATH": str(_ROOT)}, capture_output=True
    )
    assert run.returncode == 0, run.stderr.decode()
    assert (
        get_dataset(None, "train", tmp_path / "out").num_samples
        + get_dataset(None, "test", tmp_path / "out").num_samples
        == 15
    )
