"""Nets that turn images into features: Hub modules, SavedModels and nets of ours, each as one frozen graph.

Frozen: the weights are constants in the graph. What computes the features, what is exported and what is served are then
the same nodes, and no session has variables to restore.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from datasets.storage import files_below, path_of
from deployment.devices import local_device_type
from slim_train.checkpoints import training_folder
from slim_train.checkpoints.resolve import resolve_checkpoint
from slim_train.checkpoints.restore import plan_restore
from slim_train.errors import UsageError
from slim_train.inference.trained_model import training_folder_of
from slim_train.model import precision
from slim_train.model.batch_norm_folding import fold_batch_norm
from slim_train.nets import factory as nets
from slim_train.preprocessing.factory import get_recipe
from slim_train.preprocessing.recipe import Recipe
from slim_train.retraining import saved_models
from slim_train.retraining.flip_averaging import average_flip
from slim_train.retraining.options import ModuleOptions
from slim_train.tf_compat import slim, tf
from slim_train.training_options import ComputeOptions, ModelOptions, UserCodeOptions
from slim_train.user_code.copies import code_to_run
from slim_train.user_code.load import load_net, load_recipe

log = logging.getLogger(__name__)

_ANY_SIZE = 224  # pixels; for modules that take images of any size and do not say what they were trained on


@dataclasses.dataclass(frozen=True)
class FeatureModule:
    """A net without variables.

    Attributes:
      name: what the user calls it.
      identity: hex digest of all that the features depend on.
      height: of its input in pixels.
      width: of its input in pixels.
      num_features: length of its output.
      graph_def: the frozen graph.
      input: name of the tensor in it that takes images, float32 [N, height, width, 3] in 0..1.
      output: name of the tensor in it that gives features, float32 [N, num_features].
      precision: that features are computed in: fp32, bf16 or fp16.
    """

    name: str
    identity: str
    height: int
    width: int
    num_features: int
    graph_def: Any
    input: str
    output: str
    precision: str = "fp32"

    SCOPE: ClassVar[str] = "module"  # of the net in graphs that it is added to

    def features(self, images: Any) -> Any:
        """Add the net to the current graph: float32 [N, height, width, 3] in 0..1 to [N, num_features]."""
        (features,) = tf.import_graph_def(self.graph_def, {self.input: images}, [self.output], name=self.SCOPE)
        return tf.ensure_shape(features, [None, self.num_features])

    def session(self, threads: int = 0) -> Any:
        """Return a session on the current graph that computes features in the precision of the module.

        Args:
          threads: that one operation may use; 0 is all cores.
        """
        return feature_session(self.precision, threads)


def feature_session(precision_name: str, threads: int = 0) -> Any:
    """Return a session on the current graph that computes in a precision; one operation may use ``threads``."""
    config = tf.ConfigProto(intra_op_parallelism_threads=threads, use_per_session_threads=True)
    return tf.Session(config=precision.session_config(config, precision_name))


def load_module(options: ModuleOptions, code: UserCodeOptions | None = None) -> FeatureModule:
    """Return the module or net that ``options`` name.

    Args:
      options: the flags.
      code: files of a net that is not slim-train's.

    Raises:
      UsageError: it is not there, gives no features for color images, or the precision is none of this machine's.
      RunError: it cannot be fetched from the web.
    """
    with open_net(options, code) as net:
        module = _freeze(net)
    return dataclasses.replace(module, precision=resolve_precision(options))


def resolve_precision(options: ModuleOptions) -> str:
    """Return the precision in which this machine computes features, as ``--precision`` says.

    Raises:
      UsageError: the machine does not compute in it.
    """
    compute = ComputeOptions(precision=options.precision)
    return precision.resolve(compute, local_device_type(), tf.ConfigProto(), measure=None)


@dataclasses.dataclass(frozen=True)
class OpenNet:
    """A module or net in a session, its weights restored, before it is frozen.

    Attributes:
      session: on the graph that holds it.
      name: what the user calls it.
      digest_words: what the features depend on besides the files.
      files: of the weights and graphs.
      height: of its input in pixels.
      width: of its input in pixels.
      input: name of the tensor that takes images, float32 [N, height, width, 3] in 0..1.
      output: the tensor of features.
      end_points: every tensor that the net names, by name.
      preprocessing: name of the recipe of a net; None for a module, which takes 0..1.
      averages_flip: whether the frozen graph averages each image and its mirror image.
    """

    session: Any
    name: str
    digest_words: tuple[Any, ...]
    files: tuple[Path, ...]
    height: int
    width: int
    input: str
    output: Any
    end_points: Mapping[str, Any]
    preprocessing: str | None = None
    averages_flip: bool = False

    def identity(self) -> str:
        """Return a hex digest of all that the features depend on."""
        # No word of the default: features of before there was a choice are found again.
        words = (*self.digest_words, "average_flip") if self.averages_flip else self.digest_words
        return files_digest(words, self.files)

    def freeze(self, *outputs: str) -> Any:
        """Return the graph to the operations ``outputs`` with weights as constants, batch norm folded: a GraphDef."""
        graph_def = self.session.graph.as_graph_def()
        graph_def = tf.graph_util.convert_variables_to_constants(self.session, graph_def, list(outputs))
        graph_def = fold_batch_norm(graph_def, *outputs)
        return average_flip(graph_def, self.input, list(outputs)) if self.averages_flip else graph_def


@contextlib.contextmanager
def open_net(options: ModuleOptions, code: UserCodeOptions | None = None) -> Iterator[OpenNet]:
    """Open the module or net that ``options`` name.

    Raises:
      UsageError: it is not there, or takes no color images.
      RunError: it cannot be fetched from the web.
    """
    if options.model_name is not None:
        assert options.checkpoint_path is not None  # checked by the options
        with _open_net(
            options.model_name,
            options.checkpoint_path,
            options.image_size,
            code or UserCodeOptions(),
            options.preprocessing_name,
        ) as net:
            yield dataclasses.replace(net, averages_flip=options.average_flip)
        return
    if code and (code.model_file or code.model_module or code.preprocessing_file):
        raise UsageError("--model_file, --model_module and --preprocessing_file belong to --model_name.")
    if options.checkpoint_path is not None:
        log.warning("--checkpoint_path=%s is ignored: it belongs to --model_name.", options.checkpoint_path)
    folder = saved_models.find_folder(options.tfhub_module)
    with _open_folder(options.tfhub_module, folder, options.image_size) as net:
        yield dataclasses.replace(net, averages_flip=options.average_flip)


@contextlib.contextmanager
def _open_folder(name: str, folder: Path, image_size: int | None) -> Iterator[OpenNet]:
    with saved_models.open_signature(folder, image_size or _ANY_SIZE) as signature, _session() as session:
        asked = (image_size, image_size) if image_size else None
        height, width = signature.fixed_size or asked or signature.default_size or (_ANY_SIZE, _ANY_SIZE)
        if asked not in (None, (height, width)):
            raise UsageError(f"--image_size={image_size} does not suit {name}: it takes images of {height}x{width}.")
        output = signature.load(session)
        files = tuple(files_below(folder))
        end_points = {key: session.graph.get_tensor_by_name(tensor) for key, tensor in signature.outputs.items()}
        words = (signature.output, height, width)
        yield OpenNet(session, name, words, files, height, width, signature.input, output, end_points)


@contextlib.contextmanager
def _open_net(
    model_name: str, checkpoint_path: str, image_size: int | None, code: UserCodeOptions, recipe_name: str | None
) -> Iterator[OpenNet]:
    if recipe_name and code.preprocessing_file:
        raise UsageError("--preprocessing_file and --preprocessing_name cannot be combined.")
    checkpoint = resolve_checkpoint(checkpoint_path)
    folder = training_folder_of(checkpoint)
    trained = training_folder.read_options(folder)
    known = ModelOptions()
    if trained and trained.model.model_name == model_name:
        known, code = trained.model, code_to_run(folder, code, trained.code, recipe=recipe_name is None)
    size, channels = image_size or known.train_image_size, known.train_image_channels
    record = load_net(code, model_name, size, channels) or nets.get_record(model_name)
    recipe = load_recipe(code) or get_recipe(recipe_name or known.preprocessing_name or record.preprocessing)
    size, channels = size or record.default_image_size, channels or record.channels
    with _session() as session:
        images = tf.placeholder(tf.float32, [None, size, size, 3], name="images")
        pixels = 255.0 * (tf.image.rgb_to_grayscale(images) if channels == 1 else images)
        output, end_points = nets.get_network_fn(record, num_classes=None)(_preprocessed(pixels, recipe, size))
        plan = plan_restore(checkpoint, slim.get_model_variables(), head_scopes=record.head_scopes)
        plan.init_fn()(None, session)
        prefix = path_of(checkpoint)
        files = tuple(prefix.parent.glob(f"{prefix.name}*"))
        words = (model_name, recipe.name, size, channels, record.digest, recipe.digest)
        name = f"{model_name} of {checkpoint}"
        yield OpenNet(session, name, words, files, size, size, images.name, output, end_points, recipe.name)


def _preprocessed(pixels: Any, recipe: Recipe, size: int) -> Any:
    """Return what the net takes for pixels in 0..255 of its size."""
    if recipe.gives_pixels:
        return recipe.eval_batch(pixels)

    def preprocess(image: Any) -> Any:
        return recipe.preprocess(tf.cast(image + 0.5, tf.uint8), size, size, is_training=False)

    return tf.map_fn(preprocess, pixels)


@contextlib.contextmanager
def _session() -> Iterator[Any]:
    """A session on a new graph, on the CPU: weights are only read in it."""
    with (
        tf.Graph().as_default() as graph,
        tf.Session(graph=graph, config=tf.ConfigProto(device_count={"GPU": 0})) as session,
    ):
        yield session


def _freeze(net: OpenNet) -> FeatureModule:
    name, output = net.name, net.output
    if not output.dtype.is_floating or output.shape.rank not in (2, 4) or None in output.shape.as_list()[1:]:
        raise UsageError(f"{name} gives {output.dtype.name} {output.shape}, not one vector of features for an image.")
    *maps, num_features = output.shape.as_list()[1:]
    if maps not in ([], [1, 1]):
        raise UsageError(
            f"{name} gives maps of {maps[0]}x{maps[1]} features, not one vector for an image: it must end in pooling."
        )
    features = tf.reshape(tf.cast(output, tf.float32), [-1, num_features], name="features_of_picture")
    graph_def = net.freeze(features.op.name)
    size = (net.height, net.width)
    return FeatureModule(name, net.identity(), *size, num_features, graph_def, net.input, features.name)


def files_digest(words: Iterable[Any], files: Iterable[Path]) -> str:
    """Return a hex digest of words and of the contents of files, in the order of their paths."""
    digest = hashlib.blake2b(repr(list(words)).encode(), digest_size=16)
    for path in sorted(files):
        digest.update(hashlib.blake2b(path.read_bytes()).digest())
    return digest.hexdigest()
