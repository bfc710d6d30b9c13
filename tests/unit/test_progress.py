"""Progress on a terminal, in a notebook and elsewhere; what logging is afterwards."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from slim_train import notebook_progress
from slim_train.progress import ProgressBar, ProgressBars


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def use_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Makes stderr a terminal, to which the root logger writes, as in a command. Tests call it: pytest sets stderr."""

    def use() -> Terminal:
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        root = logging.getLogger()
        root.handlers[:] = [logging.StreamHandler(screen)]
        root.setLevel(logging.INFO)
        return screen

    return use


def test_a_bar_is_drawn_on_a_terminal(use_terminal: Callable[[], Terminal]) -> None:
    terminal = use_terminal()
    with ProgressBar("converting", 10, "images") as bar:
        bar.update(10)
        assert bar.is_drawn
    assert "converting" in terminal.getvalue()
    assert "10/10" in terminal.getvalue()


def test_no_bar_is_drawn_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("converting", 10, "images") as bar:
        bar.update(10)
        assert not bar.is_drawn
    assert capsys.readouterr().err == ""


def test_log_lines_scroll_above_the_bar(use_terminal: Callable[[], Terminal]) -> None:
    terminal = use_terminal()
    with ProgressBar("converting", 10, "images"):
        logging.getLogger("some").info("a line")
    assert "a line" in terminal.getvalue()


def test_handlers_that_write_elsewhere_go_on_while_a_bar_is_drawn(use_terminal: Callable[[], Terminal]) -> None:
    use_terminal()
    file = io.StringIO()
    logging.getLogger().addHandler(logging.StreamHandler(file))
    with ProgressBar("converting", 10, "images"):
        logging.getLogger("some").info("a line")
    assert file.getvalue() == "a line\n"


def test_the_handlers_are_as_before_whatever_the_order_in_which_bars_end(use_terminal: Callable[[], Terminal]) -> None:
    use_terminal()
    before = logging.getLogger().handlers[:]
    first, second = (ProgressBar(what, 10, "images").__enter__() for what in ("one", "two"))
    assert logging.getLogger().handlers != before
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert logging.getLogger().handlers == before


def test_who_has_set_up_no_logging_has_none_afterwards(use_terminal: Callable[[], Terminal]) -> None:
    use_terminal()
    logging.getLogger().handlers.clear()
    with ProgressBar("converting", 10, "images"):
        pass
    assert logging.getLogger().handlers == []


class Outputs:
    """Stands in for IPython in a notebook's kernel: holds what each place in the output shows."""

    def __init__(self) -> None:
        self.places: list[str] = []

    def display(self, bundle: dict[str, str], raw: bool, display_id: bool) -> Any:
        self.places.append(bundle["text/html"])
        number = len(self.places) - 1

        def update(bundle: dict[str, str], raw: bool) -> None:
            self.places[number] = bundle["text/html"]

        return SimpleNamespace(update=update)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Outputs:
    outputs = Outputs()
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=outputs.display))
    monkeypatch.setattr(notebook_progress, "_SECS_BETWEEN_UPDATES", 0.0)
    monkeypatch.setattr(notebook_progress, "_SECS_UNTIL_SHOWN", 0.0)
    return outputs


def test_in_a_notebook_the_bar_is_drawn_in_the_output_and_ends_as_a_line(notebook: Outputs) -> None:
    with ProgressBar("training", 10, "steps") as bar:
        bar.update(4, "loss <1")
        assert bar.is_drawn
        assert 'value="4" max="10"' in notebook.places[0]
        assert "loss &lt;1" in notebook.places[0]
        bar.update(10)
    assert len(notebook.places) == 1
    assert "<progress" not in notebook.places[0]
    assert "training: 10 steps in " in notebook.places[0]


def test_in_a_notebook_a_bar_inside_of_another_takes_its_place_and_gives_it_back(notebook: Outputs) -> None:
    with ProgressBar("training", 10, "steps") as bar:
        bar.update(5)
        with ProgressBar("evaluating", 100, "images") as inner:
            inner.update(50)
            assert "evaluating: 50 of 100 images" in notebook.places[0]
        assert "training: 5 of 10 steps" in notebook.places[0]
    assert len(notebook.places) == 1


def test_in_a_notebook_each_piece_of_work_has_a_bar(notebook: Outputs) -> None:
    with ProgressBars() as bars:
        bars.update("downloading", 3, 3, "bytes")
        bars.update("converting", 7, 7, "images")
    assert [place.count("downloading") for place in notebook.places] == [1, 0]


def test_in_a_notebook_short_work_shows_nothing(notebook: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook_progress, "_SECS_UNTIL_SHOWN", 1000.0)
    with ProgressBar("training", 10, "steps") as bar:
        bar.update(10)
    assert notebook.places == []
