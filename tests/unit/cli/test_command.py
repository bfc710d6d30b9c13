import dataclasses
import importlib
import signal
import subprocess
import sys
import textwrap

import pytest

from datasets.errors import DataError
from slim_train.cli import command
from slim_train.cli.command import Command
from slim_train.config import Options, option
from slim_train.errors import RunError, UsageError


@dataclasses.dataclass(frozen=True)
class _Paint(Options):
    """Painting."""

    colour: str = option("red", "What color.", choices=("red", "green"))
    layers: int = option(1, "How many layers.", aliases=("coats",), at_least=1)
    wall: str | None = option(None, "Which wall.")
    dry: bool = option(True, "Wait between layers.")


def _paint(run=lambda options: None, **kwargs):
    return Command("paint", "Paint a wall.", _Paint(), run, uses_tensorflow=False, **kwargs)


def test_whether_tensorflow_is_imported_can_depend_on_the_options(monkeypatch):
    started = []
    monkeypatch.setattr(Command, "_start_tensorflow", lambda command, verbosity: started.append(verbosity))
    command = Command(
        "paint", "Paint a wall.", _Paint(), lambda options: None, uses_tensorflow=lambda options: options.dry
    )
    assert [command.main([flag]) for flag in ("--nodry", "--dry")] == [0, 0]
    assert started == ["info"]


def _options(*argv):
    seen = []
    assert _paint(seen.append).main(list(argv)) == 0
    return seen[0]


def test_flags_become_options():
    assert _options("--colour=green", "--layers=3", "--nodry") == _Paint("green", 3, None, False)


def test_one_dash_is_as_good_as_two():
    assert _options("-colour=green").colour == "green"


def test_an_alias_sets_the_option():
    assert _options("--coats=2").layers == 2


def test_the_command_line_wins_over_the_configuration_file(tmp_path):
    (tmp_path / "c.yaml").write_text("coats: 5\ncolour: green\n")
    assert _options(f"--config={tmp_path / 'c.yaml'}", "--layers=2") == _Paint("green", 2)


def test_logging_flags_of_old_command_lines_are_accepted():
    assert _options("--alsologtostderr", "--layers=2").layers == 2


def test_an_empty_value_of_an_optional_flag_means_none():
    assert _options("--wall=").wall is None


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--layer=2"], "Did you mean: layers"),
        (["--layers=two"], "--layers=two"),
        (["--layers=0"], "--layers=0 must be at least 1"),
        (["--colour=gren"], "did you mean green?"),
        (["green"], "Unexpected argument 'green'"),
        (["--config=/no/such.yaml"], "/no/such.yaml"),
    ],
)
def test_bad_usage_is_one_line_on_stderr_and_exit_code_2(argv, words, capsys):
    assert _paint().main(argv) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_words_after_two_dashes_are_the_command_to_run():
    seen = []
    paint = _paint(lambda options, command: seen.append((options, command)), takes_command=True)
    assert paint.main(["--layers=3", "--", "brush", "--layers=9", "--", "wall"]) == 0
    assert seen == [(_Paint(layers=3), ["brush", "--layers=9", "--", "wall"])]


def test_a_command_without_two_dashes_is_refused(capsys):
    assert _paint(takes_command=True).main(["brush"]) == 2
    assert "'brush': flags are written --name=value, and the command to run comes after --." in capsys.readouterr().err


def test_the_exit_code_is_what_the_verb_returns():
    assert _paint(lambda options: 7).main([]) == 7


def test_a_required_flag_must_be_given(capsys):
    assert _paint(required=("wall",)).main([]) == 2
    assert "--wall is required" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(UsageError("no"), 2), (DataError("no"), 2), (RunError("no"), 1), (KeyboardInterrupt(), 130)]
)
def test_errors_of_users_become_exit_codes(error, code, capsys):
    def fail(_options):
        raise error

    assert _paint(fail).main([]) == code
    assert capsys.readouterr().err.startswith("paint: error: ")


def test_what_the_machine_refuses_is_one_line_that_names_the_file(tmp_path, capsys):
    name = tmp_path / ("long" * 100)
    assert _paint(lambda options: name.mkdir()).main([]) == 1
    assert capsys.readouterr().err == f"paint: error: {name}: File name too long\n"


def test_a_fault_of_ours_keeps_its_traceback():
    def fail(_options):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _paint(fail).main([])


def test_a_password_in_a_url_is_not_shown(capsys):
    flags = ["--dataset_dir=sftp://user:secret@host/data", "--config=sftp://user:secret@host/c.yaml"]
    for flag in flags:
        assert importlib.import_module("slim_train.cli.train_image_classifier").COMMAND.main([flag]) == 2
        error = capsys.readouterr().err
        assert f"{flag.partition('sftp')[0]}sftp://***@host/" in error
        assert "secret" not in error


def test_a_plugin_for_file_systems_is_imported_before_flags_are_checked(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "good_plugin.py").write_text("")
    (tmp_path / "bad_plugin.py").write_text("raise RuntimeError('made for\\nTensorFlow 1')")
    assert _paint().main(["--filesystem_plugin=good_plugin"]) == 0
    assert "good_plugin" in sys.modules
    assert _paint().main(["--filesystem_plugin=bad_plugin"]) == 2
    error = "--filesystem_plugin=bad_plugin cannot be imported: made for TensorFlow 1."
    assert capsys.readouterr().err == f"paint: error: {error}\n"


def test_help_names_every_flag_its_default_and_its_choices(capsys):
    assert _paint(required=("wall",)).main(["--help"]) == 0
    text = capsys.readouterr().out
    for words in ("--colour=red", "One of red, green.", "--layers=1", "Also --coats.", "--[no]dry", "Required."):
        assert words in text


@pytest.mark.parametrize("module", ["train_image_classifier", "eval_image_classifier"])
def test_help_answers_without_tensorflow(module):
    code = (
        f"import sys; from slim_train.cli import {module} as m; code = m.COMMAND.main(['--help']); "
        "assert 'tensorflow' not in sys.modules; sys.exit(code)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_output_that_nobody_reads_to_its_end_is_no_fault():
    command = f"{sys.executable} -m slim_train.cli.train_image_classifier --help | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Train or fine-tune")
    assert done.stderr == ""


def test_ctrl_c_while_tensorflow_is_imported_is_one_line(tmp_path):
    code = f"""
        import os, signal, sys
        from slim_train.cli.label_image import COMMAND
        class CtrlC:
            def find_spec(self, name, *_):
                if name == "tensorflow.python.framework.dtypes":
                    sys.meta_path.remove(self)
                    os.kill(os.getpid(), signal.SIGINT)
        sys.meta_path.insert(0, CtrlC())
        sys.exit(COMMAND.main(["--image=x", "--train_dir={tmp_path}"]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "label_image: error: stopped by Ctrl-C\n")


@pytest.mark.parametrize(
    "swallow",
    [
        # A weak reference's callback: Python writes "Exception ignored in" and goes on.
        "import weakref\nclass A: pass\na = A()\nr = weakref.ref(a, lambda _: interrupt())\ndel a",
        "try:\n    interrupt()\nexcept BaseException:\n    pass",
        "try:\n    interrupt()\nexcept BaseException:\n    raise ImportError('half done')",
    ],
    ids=["callback", "caught", "another error"],
)
@pytest.mark.slow
def test_ctrl_c_that_an_import_swallows_ends_the_command_all_the_same(swallow, tmp_path):
    (tmp_path / "swallowing.py").write_text(
        f"import os, signal\ndef interrupt(): os.kill(os.getpid(), signal.SIGINT)\n{swallow}\n"
    )
    code = f"""
        import importlib, sys
        sys.path.insert(0, {str(tmp_path)!r})
        from slim_train.cli import command
        real = importlib.import_module
        command.importlib = type(sys)("importlib")
        command.importlib.import_module = lambda name: real("swallowing")
        from slim_train.cli.label_image import COMMAND
        sys.exit(COMMAND.main(["--image=x", "--train_dir={tmp_path}"]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "label_image: error: stopped by Ctrl-C\n")


def test_an_ignored_ctrl_c_stays_ignored_while_tensorflow_is_imported():
    """Shells have their background jobs ignore it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with command._ctrl_c_exits("paint"):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_words_that_are_no_flags_reach_a_command_that_takes_them(capsys):
    seen = []
    paint = _paint(lambda options, words: seen.append((options.layers, words)), words="[ROOM ...]")
    assert paint.main(["hall", "--layers=2", "kitchen"]) == 0
    assert seen == [(2, ["hall", "kitchen"])]
    assert paint.main(["--help"]) == 0
    assert "usage: paint [--flag=value ...] [ROOM ...]\n" in capsys.readouterr().out


def test_a_command_without_words_refuses_them_after_flags_too(capsys):
    assert _paint().main(["--layers=2", "hall"]) == 2
    assert "Unexpected argument 'hall'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("train_image_classifier", ["--dataset_dir=/tmp", "--train_dir=swift://bucket/run"]),
        ("eval_image_classifier", ["--checkpoint_path=swift://host/run"]),
        ("export_inference_graph", ["--export_dir=swift://container/export"]),
        ("download_and_convert_data", ["--dataset_name=digits", "--dataset_dir=swift://bucket/records"]),
        ("retrain", ["--image_dir=swift://bucket/images"]),
        ("label_image", ["--graph=swift://bucket/model.pb", "--image=a.jpg"]),
        ("serve_image_classifier", ["--model_dir=swift://bucket/export"]),
    ],
)
def test_every_command_refuses_a_url_that_nothing_serves_and_makes_no_folder_of_that_name(
    name, flags, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert importlib.import_module(f"slim_train.cli.{name}").COMMAND.main(flags) == 2
    flag = next(flag for flag in flags if "://" in flag)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{name}: error: {flag} ")
    assert "nstall" in line
    assert not list(tmp_path.iterdir())
