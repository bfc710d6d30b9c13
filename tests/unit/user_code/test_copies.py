"""Copies of users' code in training folders, and whether they may run."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from slim_train.errors import UsageError
from slim_train.nets.factory import get_record
from slim_train.nets.record import NetRecord
from slim_train.preprocessing.factory import get_recipe
from slim_train.preprocessing.recipe import Recipe
from slim_train.training_options import TrustedCodeOptions, UserCodeOptions
from slim_train.user_code.copies import FOLDER, code_to_run, keep_copies, warn_of_changes

TRUST = TrustedCodeOptions(trust_model_code=True)


@pytest.fixture
def code(tmp_path: Path) -> UserCodeOptions:
    source = tmp_path / "source"
    (source / "parts").mkdir(parents=True)
    (source / "net.py").write_text("NET = 1\n")
    (source / "parts" / "block.py").write_text("BLOCK = 1\n")
    (source / "prep.py").write_text("PREP = 1\n")
    return UserCodeOptions(
        model_file=str(source / "net.py"), model_args="depth=2", preprocessing_file=str(source / "prep.py")
    )


@pytest.fixture
def folder(tmp_path: Path, code: UserCodeOptions) -> Path:
    """A training folder with copies of it."""
    made = tmp_path / "train"
    made.mkdir()
    source = Path(str(code.model_file)).parent
    files = str(source / "net.py"), str(source / "parts" / "block.py")
    keep_copies(made, code, _net(*files), _recipe(str(source / "prep.py")))
    return made


def _net(*files: str, digest: str = "1") -> NetRecord:
    return dataclasses.replace(get_record("lenet"), files=files, digest=digest)


def _recipe(*files: str, digest: str = "2") -> Recipe:
    return dataclasses.replace(get_recipe("lenet"), files=files, digest=digest)


def test_copies_run_if_they_are_trusted(folder: Path, code: UserCodeOptions) -> None:
    run = code_to_run(folder, TRUST, code)
    assert Path(str(run.model_file)).read_text() == "NET = 1\n"
    assert (Path(str(run.model_file)).parent / "parts" / "block.py").read_text() == "BLOCK = 1\n"
    assert Path(str(run.preprocessing_file)).read_text() == "PREP = 1\n"
    assert str(run.model_file).startswith(str(folder / FOLDER))
    assert run.model_args == "depth=2"


@pytest.mark.parametrize(("net", "flag"), [(True, "model_file"), (False, "preprocessing_file")])
def test_without_trust_the_error_says_what_to_give(folder: Path, code: UserCodeOptions, net: bool, flag: str) -> None:
    with pytest.raises(UsageError, match=rf"was trained with --{flag}=.* or --trust_model_code to run the copy in"):
        code_to_run(folder, TrustedCodeOptions(), code, net=net)


def test_a_file_that_is_named_again_runs(folder: Path, code: UserCodeOptions) -> None:
    given = TrustedCodeOptions(model_file=code.model_file, preprocessing_file=code.preprocessing_file)
    run = code_to_run(folder, given, code)
    assert (run.model_file, run.model_args) == (code.model_file, "depth=2")


@pytest.mark.parametrize(
    ("digests", "warning"),
    [
        (("1", "2"), ""),
        (("3", "2"), "--model_file: the arguments or code of the net differ from what"),
        (("1", "3"), "--preprocessing_file: the code of the preprocessing differ from what"),
    ],
)
def test_code_that_has_changed_is_warned_of(
    folder: Path, digests: tuple[str, str], warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_changes(folder, _net("net.py", digest=digests[0]), _recipe("prep.py", digest=digests[1]))
    assert warning in caplog.text
    assert bool(warning) is bool(caplog.records)


def test_a_module_that_has_changed_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep_copies(tmp_path, UserCodeOptions(model_module="pkg.nets"), _net("nets.py"), _recipe())
    warn_of_changes(tmp_path, _net("nets.py"), _recipe())
    assert not caplog.records
    warn_of_changes(tmp_path, _net("nets.py", digest="9"), _recipe())
    assert "--model_module: the arguments or code of the net differ" in caplog.text


def test_the_copies_themselves_can_be_named(folder: Path, code: UserCodeOptions) -> None:
    home = folder / FOLDER / "net"
    named = dataclasses.replace(code, model_file=str(home / "net.py"), preprocessing_file=None)
    keep_copies(folder, named, _net(str(home / "net.py"), str(home / "parts" / "block.py")), _recipe())
    assert (home / "net.py").read_text() == "NET = 1\n"
    assert (home / "parts" / "block.py").read_text() == "BLOCK = 1\n"


def test_a_helper_that_is_a_link_is_copied(tmp_path: Path) -> None:
    (tmp_path / "shared.py").write_text("SHARED = 1\n")
    source = tmp_path / "source"
    source.mkdir()
    (source / "net.py").write_text("NET = 1\n")
    (source / "shared.py").symlink_to(tmp_path / "shared.py")
    files = str(source / "net.py"), str(source / "shared.py")
    keep_copies(tmp_path, UserCodeOptions(model_file=files[0]), _net(*files), _recipe())
    assert (tmp_path / FOLDER / "net" / "shared.py").read_text() == "SHARED = 1\n"


@pytest.mark.parametrize(
    "entry",
    [
        {"file": "net.py", "sha256": ["a"], "digest": "1"},
        {"file": "net.py", "digest": "1"},
        {"file": "../net.py", "sha256": {"net.py": "a"}, "digest": "1"},
        {"file": "net.py", "sha256": {"net.py": "a", "/etc/hostname": "b"}, "digest": "1"},
        ["net.py"],
    ],
)
def test_a_manifest_in_another_form_names_no_copies(folder: Path, code: UserCodeOptions, entry: Any) -> None:
    (folder / FOLDER / "code.json").write_text(json.dumps({"model_file": entry}))
    warn_of_changes(folder, _net("net.py", digest="9"), _recipe())
    with pytest.raises(UsageError, match="holds no copy of"):
        code_to_run(folder, TRUST, code)


def test_what_is_not_needed_asks_for_no_trust(folder: Path, code: UserCodeOptions) -> None:
    assert code_to_run(folder, TrustedCodeOptions(), code, net=False, recipe=False) == UserCodeOptions()


@pytest.mark.parametrize("name", ["net.py", "parts/block.py"])
def test_a_copy_that_was_changed_does_not_run(folder: Path, code: UserCodeOptions, name: str) -> None:
    (folder / FOLDER / "net" / name).write_text("BAD = 1\n")
    with pytest.raises(UsageError, match="is not what the model was trained with"):
        code_to_run(folder, TRUST, code)


def test_a_copy_that_is_gone_is_named(folder: Path, code: UserCodeOptions) -> None:
    (folder / FOLDER / "code.json").unlink()
    with pytest.raises(UsageError, match=f"{FOLDER} holds no copy of"):
        code_to_run(folder, TRUST, code)


def test_a_manifest_cannot_name_files_elsewhere(folder: Path, code: UserCodeOptions) -> None:
    manifest = folder / FOLDER / "code.json"
    manifest.write_text(manifest.read_text().replace("parts/block.py", "../../../source/parts/block.py"))
    with pytest.raises(UsageError, match="holds no copy of"):
        code_to_run(folder, TRUST, code)


def test_a_module_is_trusted_as_a_file_is(tmp_path: Path) -> None:
    trained = UserCodeOptions(model_module="my_package.nets")
    with pytest.raises(UsageError, match=r"give --model_module=my_package\.nets, or --trust_model_code"):
        code_to_run(tmp_path, TrustedCodeOptions(), trained)
    assert code_to_run(tmp_path, TRUST, trained).model_module == "my_package.nets"


def test_a_net_of_ours_leaves_no_copies(tmp_path: Path) -> None:
    keep_copies(tmp_path, UserCodeOptions(), get_record("lenet"), get_recipe("lenet"))
    assert not (tmp_path / FOLDER).exists()
