"""Keyword arguments are the flags of the commands: their names, aliases, defaults and checks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slim_train as st
from slim_train import config
from slim_train.api.flags import options_from
from slim_train.api.load import SOURCES
from slim_train.cli import (
    classify_images,
    download_and_convert_data,
    eval_image_classifier,
    export_inference_graph,
    extract_features,
    retrain,
    train_image_classifier,
)
from slim_train.inference.options import ClassifierOptions
from slim_train.training_options import TrainOptions

# The verb, its command, and the flags that it has under other names.
VERBS: dict[str, tuple[Callable[..., Any], Any, dict[str, str]]] = {
    "convert": (st.convert, download_and_convert_data.COMMAND, {"source": "pic_path", "output": "dataset_dir"}),
    "train": (st.train, train_image_classifier.COMMAND, {}),
    "evaluate": (st.evaluate, eval_image_classifier.COMMAND, {}),
    "export": (st.export, export_inference_graph.COMMAND, {}),
    "retrain": (st.retrain, retrain.COMMAND, {}),
    "classify_images": (st.classify_images, classify_images.COMMAND, {}),
    "extract_features": (st.extract_features, extract_features.COMMAND, {}),
}
OF_PYTHON_ONLY = {"config", "hooks", "on_evaluation"}


@pytest.mark.parametrize("verb", VERBS)
def test_the_keywords_of_a_verb_are_the_flags_of_its_command_with_their_defaults(verb: str) -> None:
    function, command, renamed = VERBS[verb]
    flags = {spec.name: spec.default for spec in config.flag_specs(command.defaults)}
    keywords = {
        renamed.get(name, name): entry
        for name, entry in inspect.signature(function).parameters.items()
        if name not in OF_PYTHON_ONLY
    }
    assert keywords.keys() == flags.keys()
    keyword_only = [name for name, entry in keywords.items() if entry.kind is inspect.Parameter.KEYWORD_ONLY]
    assert {name: keywords[name].default for name in keyword_only} == {name: flags[name] for name in keyword_only}


@pytest.mark.parametrize("verb", VERBS)
def test_the_docstring_of_a_verb_says_what_each_flag_does(verb: str) -> None:
    function, command, renamed = VERBS[verb]
    documented = inspect.getdoc(function) or ""
    for spec in config.flag_specs(command.defaults):
        name = {flag: own for own, flag in renamed.items()}.get(spec.name, spec.name)
        assert f"\n  {name}: " in documented


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_keyword_is_refused(verb: str) -> None:
    with pytest.raises(st.UsageError, match=rf"{verb}\(\): unknown keyword argument 'batch_sise'"):
        VERBS[verb][0]("here", batch_sise=3)


def test_an_unknown_keyword_is_answered_with_the_nearest_flag() -> None:
    with pytest.raises(ValueError, match="Did you mean model_name?"):
        st.train("data", "models", model_nam="lenet")


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({"batch_size": "many"}, r"train\(\): batch_size must be a whole number, got 'many'."),
        ({"batch_size": 0}, r"train\(\): batch_size: 0 must be at least 1."),
        ({"optimizer": "momentun"}, r"Did you mean momentum\?"),
        ({"xla": 1}, r"train\(\): xla must be true or false, got 1."),
        ({"data_dir": "elsewhere"}, "'data_dir' gives dataset_dir a second value"),
    ],
)
def test_a_wrong_value_is_refused_before_any_work(flags: dict[str, Any], complaint: str) -> None:
    with pytest.raises(st.UsageError, match=complaint):
        st.train("data", "models", **flags)


@pytest.mark.parametrize(
    ("verb", "complaint"),
    [("train", "dataset_dir is missing"), ("convert", "dataset_name is missing"), ("retrain", "image_dir is missing")],
)
def test_a_required_flag_must_be_given(verb: str, complaint: str) -> None:
    with pytest.raises(st.UsageError, match=rf"{verb}\(\): {complaint}"):
        VERBS[verb][0]()


def test_the_keywords_of_load_are_the_flags_that_describe_a_classifier() -> None:
    flags = {spec.name: spec.default for spec in config.flag_specs(ClassifierOptions())}
    keywords = {name: entry.default for name, entry in inspect.signature(st.load).parameters.items()}
    of_checkpoints = {"model_name", "preprocessing_name"}
    assert keywords.keys() - of_checkpoints - {"path"} == flags.keys() - set(SOURCES)
    assert all(keywords[name] == flags[name] for name in keywords.keys() & flags.keys())


def test_load_takes_one_path(tmp_path: Path) -> None:
    with pytest.raises(st.UsageError, match=r"load\(\): give the path alone, without graph"):
        st.load(tmp_path, graph="model.pb")  # type: ignore[call-arg]


def options(given: dict[str, Any], **more: Any) -> TrainOptions:
    return options_from(TrainOptions(), "train", given, more.pop("positional", {}), **more)


def test_paths_numpy_scalars_and_sequences_are_taken_for_what_they_hold() -> None:
    made = options({"dataset_dir": Path("a/b"), "batch_size": np.int64(7), "trainable_scopes": ("x", "y")})
    assert (made.data.dataset_dir, made.data.batch_size, made.restore.trainable_scopes) == ("a/b", 7, "x,y")


def test_aliases_are_taken() -> None:
    assert options({"output_dir": "there"}).loop.train_dir == "there"


def test_arguments_override_the_configuration_file(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("batch_size: 8\nmodel_name: lenet\ndataset_dir: of_the_file\n")
    made = options({"batch_size": 16}, positional={"dataset_dir": None}, config_file=tmp_path / "recipe.yaml")
    assert (made.data.batch_size, made.model.model_name, made.data.dataset_dir) == (16, "lenet", "of_the_file")
