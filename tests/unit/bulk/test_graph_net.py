from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slim_train import config
from slim_train.bulk.feature_net import list_end_points, load_feature_net
from slim_train.bulk.features import FeatureBody
from slim_train.bulk.frozen_net import FeatureNet
from slim_train.bulk.graph_net import open_graph
from slim_train.bulk.image_rows import ImageOpener, ImageRow
from slim_train.bulk.options import FeatureNetOptions
from slim_train.errors import UsageError
from slim_train.exporting.formats import write_frozen, write_saved_model
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.trained_model import find_trained_model
from slim_train.tf_compat import tf
from slim_train.training_options import UserCodeOptions

CODE = UserCodeOptions()


@pytest.fixture(scope="module")
def exported(mobilenet_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training folder as a frozen graph and as a SavedModel."""
    folder = tmp_path_factory.mktemp("exported")
    trained = find_trained_model(mobilenet_folder, ModelOverrides())
    graph_def, info = trained.freeze(), trained.info()
    write_frozen(folder / "model.pb", graph_def, info)
    write_saved_model(folder / "saved_model", trained, graph_def, info)
    return folder


@pytest.fixture(scope="module")
def plain_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A frozen graph of another program: the mean color of gray images of any size."""
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, None, None, 1], name="input")
        tf.reduce_mean(images, axis=[1, 2], name="mean_color")
    path = tmp_path_factory.mktemp("plain") / "plain.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def options(**flags: Any) -> FeatureNetOptions:
    return config.with_values(FeatureNetOptions(), {"precision": "fp32", **flags})


def features(net: FeatureNet, image_dir: Path) -> Any:
    rows = [ImageRow("cat/0.jpg"), ImageRow("dog/1.jpg")]
    with FeatureBody(net, ImageOpener(str(image_dir)), threads=1) as body:
        return body(rows).vectors[net.end_points[0].name]


@pytest.mark.parametrize("flag", ["graph", pytest.param("saved_model_dir", marks=pytest.mark.slow)])
def test_the_features_of_an_export_are_those_of_its_training_folder(
    flag: str, exported: Path, mobilenet_folder: Path, image_dir: Path
) -> None:
    path = exported / {"graph": "model.pb", "saved_model_dir": "saved_model"}[flag]
    net = load_feature_net(options(**{flag: str(path)}), CODE)
    expected = load_feature_net(options(checkpoint_path=str(mobilenet_folder)), CODE)
    assert net.end_points[0].length == 256
    np.testing.assert_allclose(features(net, image_dir), features(expected, image_dir), rtol=1e-3, atol=1e-4)


def test_any_tensor_that_depends_on_the_image_is_an_end_point(exported: Path) -> None:
    found = dict(list_end_points(options(graph=str(exported / "model.pb")), CODE))
    assert found["features"][-1] == 256
    assert found["scores"] == (5,)
    with pytest.raises(UsageError, match=r"scores1.*scores"):
        load_feature_net(options(graph=str(exported / "model.pb"), end_points="scores1"), CODE)


def test_a_graph_of_another_program_is_cut_by_the_name_of_a_tensor(plain_graph: Path, image_dir: Path) -> None:
    flags = {"graph": str(plain_graph), "image_size": 20, "input_mean": 127.5, "input_std": 127.5}
    net = load_feature_net(options(**flags, end_points="mean_color:0"), CODE)
    (first, _) = features(net, image_dir)
    assert -1 < first < 1
    assert net.facts()["flags"] == {"graph": str(plain_graph)}


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({}, "takes images of any size: set --image_size"),
        ({"image_size": 20}, "end point 'features'"),
        ({"image_size": 20, "input_layer": "mean_color"}, "mean_color is float32 .*, not float images"),
        ({"image_size": 20, "input_layer": "imput"}, "--input_layer: .* has no 'imput'. There are: input"),
    ],
)
def test_what_a_graph_does_not_say_is_asked_for(plain_graph: Path, flags: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        load_feature_net(options(graph=str(plain_graph), **flags), CODE)


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.pb").write_text("not a graph")
    with (
        pytest.raises(UsageError, match="notes.pb is not a frozen graph"),
        open_graph(options(graph=str(tmp_path / "notes.pb"))),
    ):
        pass
    with pytest.raises(UsageError, match="holds no SavedModel"), open_graph(options(saved_model_dir=str(tmp_path))):
        pass
