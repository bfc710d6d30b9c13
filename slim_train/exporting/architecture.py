"""The graph of a net without weights, as research/slim's export writes it for freeze_graph and the like."""

from __future__ import annotations

from pathlib import Path

from datasets.files import replacing
from datasets.spec import INFO_FILE, read_info
from datasets.storage import path_of
from slim_train.errors import UsageError
from slim_train.exporting.options import GraphOptions, SourceOptions
from slim_train.inference.label_files import read_class_names
from slim_train.nets import factory as nets
from slim_train.tf_compat import tf
from slim_train.training_options import NetCodeOptions
from slim_train.user_code.load import load_net

# Of the data sets that research/slim knows by name alone. ImageNet's count has the background class.
_CLASSES = {"imagenet": 1001, "flowers": 5, "cifar10": 10, "mnist": 10, "visualwakewords": 2}


def write_architecture(
    path: Path, source: SourceOptions, options: GraphOptions, code: NetCodeOptions | None = None
) -> None:
    """Write the net as a GraphDef: ``input`` float32 [batch, height, width, channels], preprocessed, to the logits.

    Raises:
      UsageError: an unknown net, or the number of classes is not known.
    """
    name = source.model_name or "inception_v3"
    record = load_net(code or NetCodeOptions(), name, source.image_size) or nets.get_record(name)
    size, channels = source.image_size or record.default_image_size, 1 if source.use_grayscale else record.channels
    network_fn = nets.get_network_fn(record, _count_classes(source), is_training=options.is_training)
    # Tools that freeze such graphs look for the variable itself under a variable's name, not for a resource.
    with tf.Graph().as_default() as graph, tf.variable_scope(tf.get_variable_scope(), use_resource=False):
        network_fn(tf.placeholder(tf.float32, [options.batch_size, size, size, channels], name="input"))
        graph_def = graph.as_graph_def()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        tf.io.write_graph(graph_def, str(temporary.parent), temporary.name, as_text=options.write_text_graphdef)


def _count_classes(source: SourceOptions) -> int:
    if source.num_classes:
        return source.num_classes
    if source.labels:
        return len(read_class_names(source.labels))
    name = source.dataset_name or "imagenet"
    if source.dataset_dir and (path_of(source.dataset_dir) / INFO_FILE).is_file():
        count = read_info(source.dataset_dir).num_classes
    elif name in _CLASSES:
        count = _CLASSES[name]
    else:
        raise UsageError(f"How many classes {name} has is not known: give --dataset_dir or --num_classes.")
    return count - (source.labels_offset or 0)
