"""Each test starts a Python of its own, as a user would, with a made-up foreign package in its way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECK = "import slim_train"


def check(*path: Path) -> subprocess.CompletedProcess[str]:
    return run_python("-c", CHECK, path=path)


def run_python(*arguments: str, path: tuple[Path, ...]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    return subprocess.run(
        [sys.executable, *arguments], cwd=path[0], env=environment, capture_output=True, text=True, check=False
    )


def make_package(folder: Path, name: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text("raise RuntimeError('imported')\n")


def make_distribution(folder: Path, name: str) -> None:
    metadata = folder / f"{name}-4.0.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 4.0.0\n")


def test_our_own_packages_pass(tmp_path: Path) -> None:
    result = check(tmp_path, ROOT)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", ["datasets", "deployment"])
def test_a_package_of_the_same_name_earlier_on_the_path_is_refused_without_importing_it(
    tmp_path: Path, name: str
) -> None:
    make_package(tmp_path, name)
    result = check(tmp_path, ROOT)
    message = result.stderr.splitlines()[-1]
    assert result.returncode != 0
    assert message.startswith("ImportError: ")
    assert f"package {name!r} in {tmp_path} is another project's" in message
    assert f"take {tmp_path} off the Python path" in message


def test_a_file_of_the_same_name_beside_the_program_is_to_be_renamed(tmp_path: Path) -> None:
    (tmp_path / "datasets.py").write_text("raise RuntimeError('imported')\n")
    message = check(tmp_path, ROOT).stderr.splitlines()[-1]
    assert message.startswith(
        f"ImportError: The file {tmp_path / 'datasets.py'} hides slim-train's package 'datasets': "
    )


def test_a_foreign_distribution_earlier_on_the_path_is_to_be_uninstalled(tmp_path: Path) -> None:
    make_package(tmp_path, "datasets")
    make_distribution(tmp_path, "datasets")
    assert "separate virtual environment, or run 'pip uninstall datasets'" in check(tmp_path, ROOT).stderr


def test_a_foreign_distribution_installed_over_our_files_is_refused(tmp_path: Path) -> None:
    for name in ("slim_train", "datasets", "deployment"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    assert check(tmp_path).returncode == 0
    make_distribution(tmp_path, "datasets")
    assert "run 'pip uninstall datasets' and install slim-train again" in check(tmp_path).stderr


def test_a_foreign_distribution_elsewhere_behind_ours_does_no_harm(tmp_path: Path) -> None:
    make_package(tmp_path / "site", "datasets")
    make_distribution(tmp_path / "site", "datasets")
    result = check(ROOT, tmp_path / "site")
    assert (result.returncode, result.stderr) == (0, "")


def test_a_folder_of_data_called_datasets_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "datasets" / "fer").mkdir(parents=True)
    result = check(tmp_path, ROOT)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_command_says_so_in_one_line_and_exits_with_2(tmp_path: Path) -> None:
    make_package(tmp_path, "datasets")
    result = run_python("-m", "slim_train.cli.train_image_classifier", "--help", path=(tmp_path, ROOT))
    assert result.returncode == 2
    assert result.stderr.startswith("train_image_classifier: error: The Python package 'datasets' in ")
    assert result.stderr.count("\n") == 1
