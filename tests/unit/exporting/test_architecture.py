from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

from slim_train.errors import UsageError
from slim_train.exporting.architecture import write_architecture
from slim_train.exporting.options import GraphOptions, SourceOptions
from slim_train.tf_compat import tf


def shape_of(graph_def: tf.GraphDef, tensor: str) -> list[int | None]:
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(graph_def, name="")
        return graph.get_tensor_by_name(tensor).shape.as_list()


def test_the_graph_is_research_slims(tmp_path: Path) -> None:
    """Its input, its names, 1001 classes of ImageNet, and variables that freeze_graph finds by name."""
    path = tmp_path / "new" / "net.pb"
    write_architecture(path, SourceOptions(model_name="mobilenet_v1_025"), GraphOptions())
    graph_def = tf.GraphDef.FromString(path.read_bytes())
    assert shape_of(graph_def, "input:0") == [None, 224, 224, 3]
    assert shape_of(graph_def, "MobilenetV1/Predictions/Reshape_1:0") == [None, 1001]
    assert shape_of(graph_def, "MobilenetV1/Conv2d_0/weights:0") == [3, 3, 3, 8]


def test_size_batch_and_channels_can_be_told(tmp_path: Path) -> None:
    source = SourceOptions(model_name="lenet", image_size=32, num_classes=4, labels_offset=1, use_grayscale=True)
    write_architecture(tmp_path / "net.pb", source, GraphOptions(batch_size=2))
    graph_def = tf.GraphDef.FromString((tmp_path / "net.pb").read_bytes())
    assert shape_of(graph_def, "input:0") == [2, 32, 32, 1]
    assert shape_of(graph_def, "LeNet/fc4/BiasAdd:0") == [2, 4]


@pytest.mark.parametrize(("offset", "classes"), [(0, 10), (1, 9)])
def test_classes_are_those_of_the_data_set_less_the_offset(offset: int, classes: int, tmp_path: Path) -> None:
    source = SourceOptions(model_name="lenet", dataset_name="mnist", labels_offset=offset)
    write_architecture(tmp_path / "net.pb", source, GraphOptions())
    graph_def = tf.GraphDef.FromString((tmp_path / "net.pb").read_bytes())
    assert shape_of(graph_def, "LeNet/fc4/BiasAdd:0") == [None, classes]


def test_a_data_set_of_unknown_size_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--dataset_dir or --num_classes"):
        write_architecture(tmp_path / "net.pb", SourceOptions(dataset_name="pets"), GraphOptions())


def test_the_training_form_drops_and_text_is_readable(tmp_path: Path) -> None:
    source, path = SourceOptions(model_name="lenet", num_classes=3), tmp_path / "net.pbtxt"
    write_architecture(path, source, GraphOptions(is_training=True, write_text_graphdef=True))
    graph_def = text_format.Parse(path.read_text(), tf.GraphDef())
    assert any("dropout" in node.name for node in graph_def.node)


def test_the_graph_can_be_given_the_weights_of_a_checkpoint(tmp_path: Path) -> None:
    """As freeze_graph does it: a Saver made of the variables' names."""
    write_architecture(tmp_path / "net.pb", SourceOptions(model_name="lenet", num_classes=3), GraphOptions())
    biases = np.float32([1, 2, 3])
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        variable = tf.Variable(biases, name="LeNet/fc4/biases")
        session.run(variable.initializer)
        tf.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    graph_def = tf.GraphDef.FromString((tmp_path / "net.pb").read_bytes())
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        tf.graph_util.import_graph_def(graph_def, name="")
        tensor = graph.get_tensor_by_name("LeNet/fc4/biases:0")
        tf.train.Saver({"LeNet/fc4/biases": tensor}).restore(session, str(tmp_path / "model.ckpt"))
        np.testing.assert_array_equal(session.run(tensor), biases)
