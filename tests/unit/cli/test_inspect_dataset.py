"""The command inspect_dataset, on real folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from datasets.convert import convert_dataset
from datasets.tfrecords import image_example, write_records
from slim_train.cli.inspect_dataset import COMMAND

_ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Drawn circles and squares: eight of the one, four of the other."""
    for name, count in (("circle", 8), ("square", 4)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(count):
            picture = Image.new("RGB", (40 + number, 30), (90, 20 * number, 60))
            draw = ImageDraw.Draw(picture)
            (draw.ellipse if name == "circle" else draw.rectangle)((5, 5, 25, 25), fill="white")
            picture.save(tmp_path / "photos" / name / f"{number}.jpg")
    return tmp_path / "photos"


@pytest.fixture
def data(photos: Path) -> Path:
    """The same, converted."""
    convert_dataset("image_folder", photos.parent / "data", photos)
    return photos.parent / "data"


@pytest.fixture
def inspect(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """``inspect(*arguments)``: exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = COMMAND.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


Inspect = Callable[..., tuple[int, str, str]]


def test_a_converted_folder_is_shown_with_its_classes(inspect: Inspect, data: Path) -> None:
    code, out, _ = inspect(data)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert out.startswith("Data set image_folder: 12 images of 2 classes, ")
    assert ["class", "train", "test", "images", "share"] in lines
    assert ["circle", "6", "2", "8", "66.7%"] in [line[:5] for line in lines]
    assert ["all", "9", "3", "12"] in lines
    assert ["sizes", "40x30", "to", "47x30", "pixels", "(width", "x", "height),", "median", "42x30"] in lines
    assert ["image/encoded", "bytes", "image", "12", "images"] in lines
    assert lines[-1][:2] == ["No", "faults."]


def test_class_folders_are_shown_before_they_are_converted(inspect: Inspect, photos: Path) -> None:
    code, out, _ = inspect(f"--dataset_dir={photos}")
    assert code == 0
    assert "class folders, not converted" in out
    assert ["circle", "8", "66.7%"] in [line.split()[:3] for line in out.splitlines()]


def test_duplicates_are_shown_written_as_a_list_and_left_out_by_conversion(
    inspect: Inspect, photos: Path, tmp_path: Path
) -> None:
    (photos / "square" / "9.jpg").write_bytes((photos / "square" / "1.jpg").read_bytes())
    code, out, _ = inspect(
        photos,
        "--duplicates=pixels",
        f"--write_exclusions={tmp_path}/out.csv",
        f"--output_dir={tmp_path}/report",
    )
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["equal", "pixels", "2", "1", "1", "0", "0"] in lines
    assert "square/1.jpg: also square/9.jpg" in out
    assert (tmp_path / "out.csv").read_text() == "file,reason,kept\nsquare/9.jpg,equal bytes,square/1.jpg\n"
    report = json.loads((tmp_path / "report" / "inspection.json").read_text())
    assert report["duplicates"]["counts"]["bytes"] == {
        "groups": 1, "images": 2, "within": 1, "across_classes": 0, "across_splits": 0,
    }  # fmt: skip
    assert [image["file"] for image in report["duplicates"]["groups"][0]] == ["square/1.jpg", "square/9.jpg"]
    page = (tmp_path / "report" / "inspection.html").read_text()
    assert "Duplicates, within a class and split: 1 of 1 group" in page
    assert page.count("<figure") == 2
    converted = convert_dataset("image_folder", tmp_path / "left", photos, exclude=tmp_path / "out.csv")
    assert converted.num_images == 12


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--write_exclusions=a.csv"], "--write_exclusions=a.csv requires --duplicates=pixels, near or bytes."),
        (["--duplicates=bytes", "--write_exclusions=a"], "--write_exclusions=a must end in .csv."),
        (
            ["--duplicates=bytes", "--write_exclusions=gone/a.csv"],
            "--write_exclusions: there is no folder gone.",
        ),
        (["--duplicates=pixels", "--duplicate_distance=2"], "--duplicate_distance=2 requires --duplicates=near."),
        (["--duplicates=all"], "--duplicates=all must be one of none, bytes, pixels, near"),
    ],
)
def test_flags_of_duplicates_that_do_not_fit_are_refused(
    inspect: Inspect, photos: Path, flags: list[str], complaint: str
) -> None:
    code, _, err = inspect(photos, *flags)
    assert code == 2
    assert complaint in err


def test_broken_images_are_listed_with_file_and_record_number_and_fail(
    inspect: Inspect, data: Path, photos: Path
) -> None:
    whole = (photos / "circle" / "0.jpg").read_bytes()
    records = [image_example(image, "jpeg", 0, "circle", 30, 40, "x.jpg") for image in (whole, whole[:-30], whole)]
    write_records(
        data / "shapes_train.tfrecord", [*records, image_example(whole, "jpeg", 1, "square", 30, 40, "y.jpg")]
    )
    for flags, expected in (([], 0), (["--decode"], 1)):
        code, out, _ = inspect(data / "shapes_train.tfrecord", *flags)
        assert code == expected
        assert ("    shapes_train.tfrecord, record 2: truncated" in out) == bool(expected)


def test_broken_files_of_class_folders_are_listed_by_their_paths(inspect: Inspect, photos: Path) -> None:
    (photos / "circle" / "3.jpg").write_bytes((photos / "circle" / "3.jpg").read_bytes()[:-30])
    assert inspect(photos)[0] == 0
    code, out, _ = inspect(photos, "--decode")
    assert code == 1
    assert "fault: 1 file cannot be decoded" in out
    assert "    circle/3.jpg: truncated" in out


def test_json_is_all_of_stdout(inspect: Inspect, data: Path) -> None:
    code, out, _ = inspect(data, "--json", "--decode")
    assert code == 0
    report = json.loads(out)
    assert report["splits"]["train"]["class_counts"] == {"circle": 6, "square": 3}
    assert report["images"]["smallest"] == {"height": 30, "width": 40}
    assert (report["decoded"], report["findings"], report["num_faults"]) == (True, [], 0)


def test_the_output_folder_gets_a_page_its_sheet_and_json(inspect: Inspect, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "report"
    code, _, err = inspect(data, f"--output_dir={output}", "--images_per_class=2")
    assert code == 0
    assert f"The report is {output}/inspection.html." in err
    assert sorted(path.name for path in output.iterdir()) == ["first_images.jpg", "inspection.html", "inspection.json"]
    assert json.loads((output / "inspection.json").read_text())["name"] == "image_folder"
    assert "data:image/jpeg;base64," in (output / "inspection.html").read_text()
    with Image.open(output / "first_images.jpg") as sheet:
        assert sheet.width == 2 * 32 + 4 * 220 - 20
    inspect(data, f"--output_dir={output}", "--images_per_class=0")
    assert not (output / "first_images.jpg").exists()


def test_write_info_makes_a_data_set_of_records(inspect: Inspect, data: Path) -> None:
    (data / "info.json").unlink()
    code, out, _ = inspect(data, "--write_info")
    assert code == 0
    assert f"{data / 'info.json'}, {data / 'labels.txt'}" in " ".join(out.split())
    assert json.loads((data / "info.json").read_text())["num_sample_train"] == 9


def test_a_data_set_module_names_files_and_classes(inspect: Inspect, data: Path, tmp_path: Path) -> None:
    (data / "info.json").unlink()
    for split in ("train", "test"):
        (data / f"image_folder_{split}.tfrecord").rename(data / f"part-0.{split}")
    (tmp_path / "shapes.py").write_text("_FILE_PATTERN = 'part-*.%s'\n_NUM_CLASSES = 2\n")
    code, out, _ = inspect(data, f"--dataset_file={tmp_path}/shapes.py")
    assert code == 0
    assert ["all", "9", "3", "12"] in [line.split() for line in out.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "inspect_dataset takes one folder: inspect_dataset DIR."),
        (["a", "b"], "takes one folder, got a and b"),
        (["gone"], "The data set folder gone does not exist."),
        (["{photos}/circle"], "holds no record files that are known by their names, and no images in class folders."),
        (["{photos}", "--write_info"], "--write_info is for records"),
        (["{data}", "--file_pattern=x-*"], "--file_pattern=x-*: no file of"),
        (["{photos}", "--output_dir={photos}/circle/0.jpg/x"], "Cannot make the folder --output_dir="),
        (["{photos}", "--images_per_class=-1"], "--images_per_class=-1 must be at least 0."),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    inspect: Inspect, photos: Path, data: Path, arguments: list[str], message: str
) -> None:
    code, out, err = inspect(*(argument.format(photos=photos, data=data) for argument in arguments))
    assert (code, out) == (2, "")
    (line,) = [line for line in err.splitlines() if line.startswith("inspect_dataset: error: ")]
    assert message in line
    assert "Traceback" not in err


def test_the_script_starts_its_processes_in_any_folder(photos: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(_ROOT / "scripts" / "inspect_dataset.py"), "photos", "--decode", "--num_workers=2"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "12 images of 2 classes" in result.stdout
