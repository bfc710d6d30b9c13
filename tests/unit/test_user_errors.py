"""Exceptions of users' files in one sentence."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from slim_train.user_errors import explain


def _error_of(path: Path) -> BaseException:
    with pytest.raises(BaseException) as error:
        runpy.run_path(str(path))
    return error.value


def test_the_last_line_in_a_users_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("import json\n\ndef f():\n    return json.loads('{')\n\nf()\n")
    assert explain(_error_of(file), tmp_path).startswith(f"{file}, line 4: JSONDecodeError: ")


def test_a_syntax_error_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("x = 1\ny = (\n")
    assert explain(_error_of(file), tmp_path) == f"{file}, line 2: '(' was never closed"


def test_an_error_elsewhere_is_its_message() -> None:
    assert explain(KeyError("depth"), "/nowhere") == "KeyError: 'depth'"


def test_a_long_message_is_cut() -> None:
    assert len(explain(ValueError("x" * 10_000), "/nowhere")) < 400
