"""Functions in users' files: exceptions in one sentence, origins and digests."""

from __future__ import annotations

import functools
import runpy
from pathlib import Path
from typing import Any

import pytest

from slim_train.user_functions import explain, origin_of, takes


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


def test_a_function_comes_from_its_file() -> None:
    assert origin_of(_error_of) == __file__
    assert origin_of(functools.wraps(_error_of)(lambda path: path)) == __file__


def test_an_error_without_a_message_names_the_function() -> None:
    def update() -> None:
        raise NotImplementedError

    with pytest.raises(NotImplementedError) as error:
        update()
    assert explain(error.value, "/nowhere") == "NotImplementedError in update"


def function(first: Any, second: Any = None) -> None:
    pass


class Thing:
    def __call__(self) -> None:
        pass


@pytest.mark.parametrize("value", [function, functools.partial(function, 1), Thing, Thing(), Thing().__call__])
def test_the_origin_of_code_is_its_file(value: Any) -> None:
    assert origin_of(value) == __file__


def test_the_origin_of_code_without_a_file_is_its_module() -> None:
    values: dict[str, Any] = {"__name__": "notebook"}
    exec("def augment(images, seed): pass", values)
    assert origin_of(values["augment"]) == "notebook"
    assert origin_of(len) == "builtins"


def test_parameters_are_found_by_name() -> None:
    assert takes(function, "second")
    assert not takes(function, "third")
