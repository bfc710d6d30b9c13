"""docs/python.md: every example runs, one after the other in one fresh process, on a small data set of photos."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import slim_train as st

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with ``photos``, of three kinds of pets told apart by their color, and with ``cat.jpg``."""
    random = np.random.default_rng(0)
    for channel, name in enumerate(("cat", "dog", "fish")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(24):
            pixels = random.integers(0, 90, (36, 36, 3), np.uint8)
            pixels[:, :, channel] += 140
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.jpg")
    (tmp_path / "cat.jpg").write_bytes((tmp_path / "photos" / "cat" / "0.jpg").read_bytes())
    return tmp_path


@pytest.mark.slow
def test_every_example_of_the_page_runs(folder: Path) -> None:
    assert len(EXAMPLES) > 6
    code = "if __name__ == '__main__':\n    for example in EXAMPLES:\n        exec(example, globals())\n"
    (folder / "page.py").write_text(f"EXAMPLES = {EXAMPLES!r}\n{code}", encoding="utf-8")
    result = subprocess.run([sys.executable, "page.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Did you mean learning_rate?" in result.stdout
    assert (folder / "models/pets/export/saved_model").is_dir()


def test_the_page_names_every_public_function() -> None:
    functions = [name for name in st.__all__ if name.islower() and not name.startswith("_")]
    assert [name for name in functions if f"`{name}(" not in PAGE] == []
