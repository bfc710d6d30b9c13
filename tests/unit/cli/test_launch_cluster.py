import sys
from pathlib import Path

import pytest

from slim_train.cli.launch_cluster import COMMAND, resolve
from slim_train.errors import UsageError


def test_a_command_of_slim_train_is_run_by_this_python():
    python, script, flag = resolve(["train_image_classifier", "--help"])
    assert (python, Path(script).name, flag) == (sys.executable, "train_image_classifier.py", "--help")


def test_another_program_is_run_as_it_is():
    assert resolve(["sh", "-c", "exit"]) == ["sh", "-c", "exit"]


def test_an_unknown_program_is_refused_with_the_nearest_command():
    with pytest.raises(UsageError, match="no program 'train_image_clasifier'. Did you mean train_image_classifier?"):
        resolve(["train_image_clasifier"])


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "No command given. Write it after --"),
        (["--num_ps=1", "--"], "No command given"),
        (["--num_workers=0", "--", "true"], "--num_workers=0 leaves no task that trains"),
        (["--num_ps=-1", "--", "true"], "--num_ps=-1 must be at least 0"),
        (["train_image_classifier"], "the command to run comes after --"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(argv, words, capsys):
    assert COMMAND.main(argv) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
