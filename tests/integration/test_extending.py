"""docs/extending.md and examples/: every file and command of theirs, run as they stand."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import slim_train as st
from slim_train.cli import (
    eval_image_classifier,
    export_inference_graph,
    label_image,
    slim_models,
    train_image_classifier,
)
from slim_train.nets import factory

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    module.COMMAND.name: module.COMMAND
    for module in (
        eval_image_classifier,
        export_inference_graph,
        label_image,
        slim_models,
        train_image_classifier,
    )
}


def _blocks(page: str, language: str = r"\w+") -> Iterator[tuple[str, str]]:
    text = (ROOT / page).read_text(encoding="utf-8")
    for match in re.finditer(rf"^```({language})\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield match[1], match[2]


def _run(commands: str, *flags: str) -> None:
    for line in commands.replace("\\\n", " ").splitlines():
        name, *words = shlex.split(line, comments=True)
        assert COMMANDS[name].main([*words, *flags]) == 0, line


def _python(folder: Path, *words: str, path: str = "") -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), path)))}
    result = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def _accuracy(folder: str) -> float:
    (file,) = Path(folder).glob("eval_*/eval_*.json")
    return float(json.loads(file.read_text())["accuracy"])


@pytest.fixture
def folder(
    tmp_path: Path, shapes_dir: Path, draw_shapes: Callable[[Path, int, int], Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A working directory with ``data/shapes`` and ``cross.png``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(factory._NETS, "_registered", {})
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shapes").symlink_to(shapes_dir)
    draw_shapes(tmp_path / "images", 1, 5)
    (tmp_path / "images" / "cross" / "cross_0.png").rename(tmp_path / "cross.png")
    return tmp_path


@pytest.mark.slow
def test_every_example_of_the_page_runs(folder: Path) -> None:
    for language, block in _blocks("docs/extending.md"):
        if language == "python":
            name = re.match(r"# (\w+\.py)\n", block)
            assert name, block
            (folder / name[1]).write_text(block)
            if "st.train(" in block:
                assert _python(folder, name[1]) == "100\n"
        elif language == "bash":
            _run(block)
    assert _accuracy("models/small") > 0.9
    for trained in ("new", "prepared", "own", "mine"):
        assert json.loads(Path(f"models/{trained}/result.json").read_text())["global_step"] >= 50
    assert st.evaluate("models/own").accuracy > 0.9  # without the loss that it was trained with


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with ``data/digits`` and the examples."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    st.convert("digits", "data/digits", num_workers=1)
    return tmp_path


@pytest.mark.slow
def test_the_net_in_the_old_convention_learns_digits(digits: Path) -> None:
    for _, block in _blocks("examples/slim_net/README.md", "bash"):
        _run(block)
    assert _accuracy("models/fire") > 0.9


@pytest.mark.slow
def test_the_package_is_known_by_its_entry_points(digits: Path) -> None:
    # As pip leaves it: the modules, and metadata that name them.
    site = digits / "site"
    (site / "shape_tools-0.1.0.dist-info").mkdir(parents=True)
    (site / "shape_tools").symlink_to(ROOT / "examples" / "package" / "shape_tools")
    (site / "shape_tools-0.1.0.dist-info" / "METADATA").write_text("Name: shape-tools\nVersion: 0.1.0\n")
    project = (ROOT / "examples" / "package" / "pyproject.toml").read_text()
    groups = re.findall(r'\[project\.entry-points\."(.+)"\]\n(\w+) = "(.+)"', project)
    assert len(groups) == 4
    (site / "shape_tools-0.1.0.dist-info" / "entry_points.txt").write_text(
        "".join(f"[{group}]\n{name} = {value}\n" for group, name, value in groups)
    )
    (block,) = (block for _, block in _blocks("examples/package/README.md", "bash"))
    shown = ""
    for line in block.replace("\\\n", " ").splitlines():
        name, *words = shlex.split(line)
        shown += _python(digits, "-m", f"slim_train.cli.{name}", *words, path=str(site))
    assert "shape-tools 0.1.0" in shown
    assert _accuracy("models/plain") > 0.9
    assert (digits / "sheet.png").is_file()


@pytest.mark.slow
def test_records_of_another_tool_are_trained_on_as_they_are(digits: Path) -> None:
    (block,) = (block for _, block in _blocks("examples/old_records/README.md", "bash"))
    first, *others = block.splitlines(keepends=True)
    _python(digits, *shlex.split(first)[1:])
    _run("".join(others))
    assert _accuracy("models/old") > 0.9
