"""``import slim_train as st``: what is public, and what the import costs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import slim_train as st

SOURCE = ast.parse(Path(st.__file__).read_text(encoding="utf-8"))


def in_fresh_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_slim_train_imports_neither_tensorflow_nor_numpy() -> None:
    heavy = "'tensorflow', 'numpy', 'PIL', 'rich', 'yaml'"
    assert in_fresh_python(f"import slim_train, sys; print([name for name in ({heavy}) if name in sys.modules])") == (
        "[]\n"
    )


def test_looking_at_every_verb_imports_no_tensorflow() -> None:
    code = "import slim_train as st, sys; print([st.train, st.evaluate, st.convert], 'tensorflow' in sys.modules)"
    assert in_fresh_python(code).endswith("False\n")


def test_every_public_name_is_there() -> None:
    assert [name for name in st.__all__ if getattr(st, name, None) is None] == []
    assert dir(st) == sorted(st.__all__)


def test_the_public_names_that_are_imported_late_are_those_that_type_checkers_see() -> None:
    (seen,) = (node for node in SOURCE.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imports = [node for node in seen.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: node.module for node in imports for alias in node.names}
    assert homes == st._HOMES
    assert sorted(st.__all__) == sorted([*homes, "__version__"])


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        st.trian  # noqa: B018


def test_a_public_name_is_no_room_or_module() -> None:
    """A module of the same name would take the place of the function when it is imported."""
    folder = Path(st.__file__).parent
    assert [name for name in st.__all__ if (folder / name).exists() or (folder / f"{name}.py").exists()] == []


def test_a_usage_error_is_a_value_error_and_a_run_error_a_runtime_error() -> None:
    assert issubclass(st.UsageError, ValueError)
    assert issubclass(st.RunError, RuntimeError)


@pytest.mark.slow
def test_type_checkers_know_the_keywords_and_the_results(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import slim_train as st\n"
        "run = st.train('data', 'models', num_epochs=3, on_evaluation=lambda evaluated: print(evaluated.step))\n"
        "accuracy: float = st.evaluate('models', split='test').accuracy\n"
        "label: str = st.load('models').predict('cat.jpg')[0].label\n"
        "st.export('models', formats=('saved_model', 'tflite'))\n"
        "st.train('data', 'models', batch_sise=3)\n"
        "st.train('data', 'models', batch_size='many')\n"
    )
    root = Path(st.__file__).parents[1]
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", "program.py"]
    environment = {**os.environ, "MYPYPATH": str(root)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    errors = [line for line in result.stdout.splitlines() if ": error:" in line]
    assert [line.split(":")[1] for line in errors] == ["6", "7"], result.stdout + result.stderr
    assert 'did you mean "batch_size"?' in errors[0]
