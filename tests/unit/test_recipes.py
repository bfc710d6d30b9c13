"""The recipes in configs/ are command lines that trainings start with."""

from __future__ import annotations

from pathlib import Path

import pytest

from slim_train import config
from slim_train.nets import factory
from slim_train.training_options import TrainOptions

RECIPES = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_has_only_flags_and_values_of_the_trainer(path: Path) -> None:
    values = config.read_yaml(path, TrainOptions())
    options = config.with_values(TrainOptions(), values)
    assert options.model.model_name in factory.net_names()
    # Folders are the user's.
    assert not values.keys() & {"dataset_dir", "train_dir", "checkpoint_path"}
