"""The recipes in configs/ are command lines that trainings start with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from datasets.storage import path_of
from slim_train import config, recipes
from slim_train.api.flags import options_from
from slim_train.cli import slim_models, train_image_classifier
from slim_train.errors import UsageError
from slim_train.nets import factory
from slim_train.training_options import TrainOptions

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_has_only_flags_and_values_of_the_trainer(path: Path) -> None:
    values = config.read_yaml(path, TrainOptions())
    options = config.with_values(TrainOptions(), values)
    assert options.model.model_name in factory.net_names()
    # Folders are the user's.
    assert not values.keys() & {"dataset_dir", "train_dir", "checkpoint_path"}


def test_every_recipe_is_found_by_its_name_and_says_what_it_does() -> None:
    assert recipes.recipe_names() == [path.stem for path in RECIPES]
    for path in RECIPES:
        recipe = recipes.read_recipe(path.stem)
        assert recipes.config_path(path.stem) == recipe.path
        assert recipe.summary.endswith(".")
        assert any(f"--config={path.stem}" in line for line in recipe.usage)


def test_a_file_goes_before_a_recipe_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fer2013").write_text("batch_size: 7")
    assert recipes.config_path("fer2013") == Path("fer2013")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("fer2014", "Unknown recipe 'fer2014'. Did you mean fer2013"),
        (
            "configs/fer2013.yml",
            "Cannot read the configuration file configs/fer2013.yml: it does not exist. --config=fer",
        ),
        ("mine.yaml", "Cannot read the configuration file mine.yaml: it does not exist.$"),
    ],
)
def test_what_is_neither_file_nor_recipe_is_refused(
    value: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        recipes.config_path(value)


def test_the_built_package_holds_the_recipes(tmp_path: Path) -> None:
    command = [sys.executable, "setup.py", "-q", "build", f"--build-base={tmp_path}", f"--build-lib={tmp_path / 'lib'}"]
    subprocess.run([*command, "egg_info", f"--egg-base={tmp_path}"], cwd=ROOT, check=True, capture_output=True)
    built = {path.name: path.read_text() for path in (tmp_path / "lib" / "slim_train" / "configs").iterdir()}
    assert built == {path.name: path.read_text() for path in RECIPES}


def test_slim_models_lists_the_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert slim_models.COMMAND.main(["--recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == recipes.recipe_names()


def test_a_recipe_by_name_is_a_configuration_file_on_the_command_line_and_in_python(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train_image_classifier.COMMAND.main(["--config=fer2013", "--dataset_dir=/absent"]) == 2
    assert "--dataset_dir=/absent does not exist" in capsys.readouterr().err
    assert options_from(TrainOptions(), "train", {}, {}, "fer2013").model.model_name == "face_vgg"


def test_a_folder_does_not_hide_the_recipe_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fer2013").mkdir()
    assert recipes.config_path("fer2013") == recipes.read_recipe("fer2013").path


@pytest.mark.parametrize("scheme", ["file", "ram"])
def test_a_configuration_file_may_be_at_a_url(scheme: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"{scheme}://{tmp_path}/my.yaml"
    path_of(url).write_text("dataset_dir: /absent")
    assert train_image_classifier.COMMAND.main([f"--config={url}"]) == 2
    assert "--dataset_dir=/absent does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("swift://bucket/my.yaml", "--config=swift://bucket/my.yaml is a URL"),
        ("ram://absent/my.yaml", "Cannot read the configuration file ram://absent/my.yaml: "),
        ("file:///absent/my.yaml", "Cannot read the configuration file /absent/my.yaml: it does not exist."),
    ],
)
def test_a_url_without_a_configuration_file_is_refused(
    url: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_image_classifier.COMMAND.main([f"--config={url}"]) == 2
    assert message in capsys.readouterr().err
