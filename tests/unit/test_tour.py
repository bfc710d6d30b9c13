"""docs/tour.ipynb runs from top to bottom, and lies in the repository with its outputs and images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
for needed in ("ipykernel", "matplotlib", "sklearn"):
    pytest.importorskip(needed)

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "tour.ipynb"


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def pictures(notebook: Any) -> int:
    data = [output.get("data", {}) for output in outputs(notebook)]
    return sum(("image/png" in kinds) + kinds.get("text/html", "").count("data:image/png") for kinds in data)


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    notebook = read()
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()  # raises at the first error
    noise = [output.text for output in outputs(notebook) if output.get("name") == "stderr"]
    assert noise == []
    assert pictures(notebook) == pictures(read())


def test_the_notebook_is_shown_with_its_pictures() -> None:
    notebook = read()
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert pictures(notebook) >= 5
    assert NOTEBOOK.stat().st_size < 1_000_000
