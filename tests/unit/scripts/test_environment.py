"""scripts/environment.sh: whose .venv it is decides what may be done with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the script and the files whose changes it looks for."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    shutil.copy(SCRIPTS / "environment.sh", folder)
    (folder / "setup.py").write_text("from setuptools import setup\nsetup(name='empty')\n")
    (folder / "pyproject.toml").write_text("")
    return folder


def run(checkout: Path, command: str) -> subprocess.CompletedProcess[str]:
    """``command`` after the script has been read; nothing is downloaded."""
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PYTHON": sys.executable}
    lines = ["bash", "-euc", f". ./environment.sh\n{command}"]
    return subprocess.run(lines, cwd=checkout, env=environment, capture_output=True, text=True, timeout=300)


def make_users_environment(folder: Path) -> None:
    venv.create(folder)
    (folder / "bin/pip").write_text("#!/bin/sh\n")
    (folder / "bin/pip").chmod(0o755)
    (folder / "precious").touch()


def test_an_environment_that_the_user_made_is_used_and_keeps_its_files(checkout: Path) -> None:
    make_users_environment(checkout / ".venv")
    mark_installed = '_digest "$(_find_python)" setup.py pyproject.toml >.venv/installed-dev'
    done = run(checkout, f"{mark_installed}\nprepare_environment dev")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (checkout / ".venv/precious").exists()


def test_a_folder_that_is_no_environment_stops_the_script(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv/precious").touch()
    done = run(checkout, "prepare_environment dev")
    assert done.returncode == 2
    assert "error: .venv" in done.stderr
    assert "ove it away" in done.stderr
    assert (checkout / ".venv/precious").exists()


def test_what_a_link_points_to_is_never_cleared(checkout: Path) -> None:
    elsewhere = checkout.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "made-for").write_text("another Python\n")
    (checkout / ".venv").symlink_to(elsewhere)
    assert run(checkout, "prepare_environment dev").returncode == 2
    assert (elsewhere / "made-for").exists()


@pytest.mark.slow
def test_an_environment_that_the_script_made_for_another_python_is_made_anew(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv/made-for").write_text("another Python\n")
    (checkout / ".venv/old").touch()
    done = run(checkout, "prepare_environment dev || true\n.venv/bin/pip --version")
    assert done.returncode == 0
    assert done.stdout.startswith("Making .venv")
    assert not (checkout / ".venv/old").exists()
