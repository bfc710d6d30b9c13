from __future__ import annotations

from pathlib import Path

import pytest

from slim_train.evaluation.compare import compare
from slim_train.evaluation.comparison_text import print_comparison
from slim_train.evaluation.evaluated_runs import find_runs

HEAD = "file,label,prediction,probability,correct\n"


def test_names_with_brackets_are_printed_as_they_are_and_what_is_not_listed_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, prediction in (("[red]a.csv", "cat"), ("b.csv", "dog")):
        rows = "".join(f"{number}[bold].jpg,cat,{prediction},1,true\n" for number in range(5))
        (tmp_path / name).write_text(HEAD + rows)
    print_comparison(compare(find_runs([str(tmp_path / "[red]a.csv"), str(tmp_path / "b.csv")]), 2))
    text = capsys.readouterr().out
    assert "Only [red]a.csv is right: 5 images" in text
    assert "  1[bold].jpg  cat  (b.csv: dog)" in text
    assert "and 3 more" in text
    assert "only [red]a.csv is right on 5 images" in text
