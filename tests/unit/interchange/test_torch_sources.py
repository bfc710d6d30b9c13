from __future__ import annotations

from slim_train.interchange.torch_names import MODELS
from slim_train.interchange.torch_sources import SOURCES
from slim_train.preprocessing.factory import recipe_names


def test_every_model_that_is_exported_can_come_back_and_has_a_recipe() -> None:
    assert {model.architecture for model in MODELS.values()} <= set(SOURCES)
    assert {source.model.net for source in SOURCES.values()} == set(MODELS)
    assert {source.preprocessing for source in SOURCES.values()} <= set(recipe_names())
    assert all(name == source.architecture for name, source in SOURCES.items())
