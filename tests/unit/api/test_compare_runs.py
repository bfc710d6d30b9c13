from __future__ import annotations

import json
from pathlib import Path

import pytest

import slim_train as st
from slim_train.cli.compare_runs import COMMAND

HEAD = "file,label,prediction,probability,correct\n"


@pytest.fixture
def runs(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "a.csv").write_text(HEAD + "x,cat,cat,1,true\ny,cat,dog,1,false\n")
    (tmp_path / "b.csv").write_text(HEAD + "x,cat,dog,1,false\ny,cat,cat,1,true\n")
    return str(tmp_path / "a.csv"), str(tmp_path / "b.csv")


def test_the_verb_compares_and_writes_one_file(runs: tuple[str, str], tmp_path: Path) -> None:
    report = st.compare_runs(*runs, html_file=tmp_path / "c.html")
    assert report.to_dict()["only_right"][0]["examples"][0]["file"] == "x"
    page = (tmp_path / "c.html").read_text()
    assert "McNemar" in page
    assert "http" not in page


def test_the_command_prints_a_table_or_json(runs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert COMMAND.main([*runs]) == 0
    text = capsys.readouterr().out
    assert "50.00%" in text
    assert "x  cat  (b.csv: dog)" in text
    assert COMMAND.main([*runs, "--json", "--examples=0"]) == 0
    assert json.loads(capsys.readouterr().out)["mcnemar"][0]["p_value"] == 1


@pytest.mark.parametrize("count", [0, 1, 21])
def test_another_number_of_runs_is_refused(runs: tuple[str, str], count: int) -> None:
    with pytest.raises(st.UsageError, match=f"takes 2 to 20 runs, got {count}"):
        st.compare_runs(*[runs[0]] * count)


def test_a_folder_that_is_not_there_is_named(runs: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(st.UsageError, match="--html_file: there is no folder"):
        st.compare_runs(*runs, html_file=tmp_path / "gone" / "c.html")
