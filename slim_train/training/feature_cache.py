"""Features of a frozen trunk: computed once for each image of a data set, kept in a file, trained on in every epoch.

The file is a numpy array of rows, a vector of features and a label each: [variants, images]. Its name holds a digest of
all that the features depend on, so that other weights, data or preprocessing find no file and make their own. It gets
that name when it is whole, and is read by mapping it into memory: only what is used of it takes any. Of one at a URL, a
copy is mapped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets import tfrecords
from datasets.errors import DataError
from datasets.fetching import files_here
from datasets.files import replacing_synced
from datasets.spec import DatasetSpec
from deployment import servers
from slim_train import __version__, extensions
from slim_train.checkpoints import copies, scopes
from slim_train.checkpoints.restore import RestorePlan, plan_restore
from slim_train.errors import RunError, UsageError
from slim_train.inputs import pipeline
from slim_train.model.spec import ModelSpec
from slim_train.nets import factory as nets
from slim_train.nets.discovery import feature_width
from slim_train.progress import ProgressBar
from slim_train.tf_compat import slim, tf
from slim_train.training_options import AugmentationOptions

log = logging.getLogger(__name__)

_FORMAT = 1
_BATCH_SIZE = 32


@dataclasses.dataclass(frozen=True)
class FeatureSource:
    """What features are computed from, but for the weights.

    Attributes:
      dataset: the split whose images they are of.
      model: the net.
      precision: of the session that computes them: fp32, bf16 or fp16.
      num_variants: how many distorted variants of each image; 0 is the image as evaluation sees it.
      augmentation: how variants are distorted.
      seed: of the distortions.
      num_preprocessing_threads: see :func:`slim_train.inputs.pipeline.training_batches`.
    """

    dataset: DatasetSpec
    model: ModelSpec
    precision: str
    num_variants: int
    augmentation: AugmentationOptions
    seed: int
    num_preprocessing_threads: int | None = None

    def identity(self, weights: str) -> str:
        """Return a hex digest that no other features have; ``weights`` is the digest of the trunk's.

        Raises:
          RunError: the records are not as many as info.json says.
          DataError: a file of records cannot be read.
        """
        distortions = {"variants": self.num_variants, "seed": self.seed, **dataclasses.asdict(self.augmentation)}
        if code := extensions.augmentation_digest(self.augmentation.augmentation):
            distortions["code"] = code
        source = {
            "format": _FORMAT,
            "slim_train": __version__,
            "tensorflow": tf.__version__,
            "model": self.model.identity(),
            "precision": self.precision,
            "distortions": distortions if self.num_variants else None,
            "weights": weights,
            "records": self._digest_of_records(),
        }
        return _digest([json.dumps(source, sort_keys=True).encode()])

    def batches(self) -> Any:
        """Images in the order of the records, variant after variant, as tf.data.Dataset; there may be more of them."""
        arguments: dict[str, Any] = {
            "batch_size": _BATCH_SIZE,
            "image_size": self.model.image_size,
            "channels": self.model.channels,
            "preprocessing": self.model.recipe,
            "num_classes": self.model.num_classes,
            "labels_offset": self.model.labels_offset,
            "num_preprocessing_threads": self.num_preprocessing_threads,
        }
        if not self.num_variants:
            return pipeline.evaluation_batches(self.dataset, **arguments)
        return pipeline.training_batches(
            self.dataset, augmentation=self.augmentation, seed=self.seed, shuffle=False, **arguments
        )

    def _digest_of_records(self) -> str:
        checksums = [checksum for file in self.dataset.files for checksum in tfrecords.record_checksums(file)]
        if len(checksums) != self.dataset.num_samples:
            raise RunError(
                f"The {self.dataset.split_name} split holds {len(checksums):,} images, and {self.dataset.dataset_dir}/"
                f"info.json says {self.dataset.num_samples:,}. Convert the data again."
            )
        return _digest(checksums)


class FeatureCache:
    """The features of one training.

    A training graph is built on :meth:`batches`; then :meth:`locate` finds the file, :meth:`fill` makes it where it is
    missing, and the graph can run.

    Args:
      source: what the features are of.
      folder: where their files are kept.
    """

    def __init__(self, source: FeatureSource, folder: Path) -> None:
        self._source, self._folder = source, folder
        self._width = feature_width(source.model.net, source.model.image_size)
        self._shape = max(1, source.num_variants), source.dataset.num_samples
        self._row = np.dtype([("features", "<f4", (self._width,)), ("label", "<i8")])
        self._rows: NDArray[Any] | None = None
        self._checkpoint = ""
        self.path = folder

    def batches(self, batch_size: int, seed: int | None) -> Any:
        """Batches of features and labels without end, see :func:`slim_train.inputs.pipeline.numbered_batches`.

        An epoch takes one variant of each image, the next epoch the next.
        """
        return pipeline.numbered_batches(
            self._read, num_images=self._shape[1], width=self._width, batch_size=batch_size, seed=seed
        )

    def locate(
        self,
        model_variables: Iterable[Any],
        trained: Iterable[Any],
        resumed: str | None,
        restore: RestorePlan | None,
    ) -> None:
        """Find out which file holds the features that the training in the current graph needs.

        Args:
          model_variables: of the net.
          trained: those that steps change.
          resumed: the checkpoint that all variables come from, or None.
          restore: what comes from another checkpoint, or None.

        Raises:
          UsageError: steps would change the features, or their weights come from no checkpoint.
          RunError: the records are not as many as info.json says.
          DataError: a file of records cannot be read.
        """
        trunk = _frozen_trunk(self._source.model, model_variables, trained)
        restored: Collection[str] = ()
        if resumed:
            self._checkpoint, restored = resumed, trunk
        elif restore:
            self._checkpoint, restored = restore.checkpoint, restore.restored
        missing = [name for name in trunk if name not in restored]
        if missing:
            raise UsageError(
                f"--cache_features: {len(missing)} variables of the frozen trunk, first {missing[0]}, come from no "
                "checkpoint, and features of random weights are worth nothing. Name one with --checkpoint_path."
            )
        identity = self._source.identity(_digest_of_weights(self._checkpoint, trunk))
        self.path = self._folder / f"{self._source.model.name}-{identity}.npy"

    def describe(self) -> str:
        """Return one line for the log: whose features, and where they are."""
        variants, images = self._shape
        of_each = f" x {variants} distorted variants" if self._source.num_variants else ", undistorted"
        size = self._row.itemsize * variants * images / 2**20
        return f"{images:,} images{of_each}, {self._width:,} features each ({size:,.1f} MiB) in {self.path}"

    def fill(self, config: Any, device: str, is_interrupted: Callable[[], bool] = lambda: False) -> None:
        """Compute the features, unless they are there.

        Args:
          config: session options.
          device: where the net runs.
          is_interrupted: asked after each batch, whether to give up.

        Raises:
          UsageError: the file cannot be written.
          servers.Interrupted: see ``is_interrupted``; no file is left.
          tf.errors.OpError: a record is broken.
        """
        self._rows = self._open()
        if self._rows is not None:
            log.info("Cached features used: %s.", self.describe())
            return
        log.info("Features to compute, once: %s.", self.describe())
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # The name must not outlive a loss of power that the contents do not.
            with replacing_synced(self.path) as file:
                descr = np.lib.format.dtype_to_descr(self._row)
                header = {"descr": descr, "fortran_order": False, "shape": self._shape}
                np.lib.format.write_array_header_1_0(file, header)
                for rows in self._compute(config, device, is_interrupted):
                    file.write(rows.tobytes())
        except OSError as error:
            raise UsageError(f"--feature_cache_dir: cannot write {self.path}: {error.strerror}.") from error
        self._rows = self._open()
        assert self._rows is not None

    def _read(self, epochs: NDArray[np.int64], images: NDArray[np.int64]) -> tuple[Any, Any]:
        assert self._rows is not None, "filled before the first step"
        # Each image is at another of its variants, so that an epoch has some of all.
        rows = self._rows[(epochs + images) % self._shape[0], images]
        return rows["features"], rows["label"]

    def _open(self) -> NDArray[Any] | None:
        """Return the rows of the file, in a map; None if it is missing, or, with a message in the log, damaged."""
        try:
            # A copy of a file at a URL has no name after this, and its pages are there as long as the map.
            with files_here([str(self.path)]) as (file,):
                rows = np.load(file, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            return None
        except DataError:  # a ValueError: the store failed, and says nothing about the file
            raise
        except (OSError, ValueError, EOFError) as error:
            log.warning("%s is damaged (%s): its features are computed again.", self.path, error)
            return None
        if rows.shape != self._shape or rows.dtype != self._row:
            log.warning("%s does not hold what its name says: its features are computed again.", self.path)
            return None
        return rows

    def _compute(self, config: Any, device: str, is_interrupted: Callable[[], bool]) -> Iterator[NDArray[Any]]:
        """Yield all rows in the order of the file, a batch at a time."""
        variants, images = self._shape
        done, total = 0, variants * images
        with tf.Graph().as_default(), ProgressBar("computing features", total, "images") as bar:
            with tf.device("/device:CPU:0"):
                iterator = tf.data.make_initializable_iterator(self._source.batches())
                batch = iterator.get_next()
            with tf.device(device):
                network_fn = nets.get_network_fn(self._source.model.net, num_classes=None)
                output, _ = network_fn(batch["image"])
                features = tf.cast(tf.reshape(output, [_BATCH_SIZE, self._width]), tf.float32)
            restore = plan_restore(self._checkpoint, slim.get_model_variables())
            with tf.Session(config=config) as session:
                restore.init_fn()(None, session)
                session.run(iterator.initializer)
                while done < total:
                    if is_interrupted():
                        raise servers.Interrupted
                    values, labels = session.run((features, batch["label"]))
                    rows = np.empty(_BATCH_SIZE, self._row)
                    rows["features"], rows["label"] = values, labels
                    yield rows[: total - done]
                    done = min(total, done + _BATCH_SIZE)
                    bar.update(done)


def _frozen_trunk(model: ModelSpec, model_variables: Iterable[Any], trained: Iterable[Any]) -> list[str]:
    """Return the names of the variables that the features depend on; UsageError where a step changes one."""
    heads = model.net.head_scopes
    names = [variable.op.name for variable in model_variables]
    trunk = [name for name in names if not any(scopes.in_scope(name, head) for head in heads)]
    changed = sorted({variable.op.name for variable in trained}.intersection(trunk))
    if changed:
        raise UsageError(
            f"--cache_features: {len(changed)} variables below the features are trained, {', '.join(changed[:3])}"
            f"{', ...' if len(changed) > 3 else ''}: each step would change the features. Train the head alone, with "
            f"--trainable_scopes=auto ({','.join(heads)}), or leave --cache_features out."
        )
    if _assigned(tf.get_collection(tf.GraphKeys.UPDATE_OPS)).intersection(trunk):
        raise UsageError(
            "--cache_features: batch norm below the features would take up new statistics in every step. Let it be: "
            "--trainable_scopes=auto with --freeze_batch_norm=auto, or --freeze_batch_norm=true."
        )
    return trunk


def _digest_of_weights(checkpoint: str, names: Iterable[str]) -> str:
    with copies.reader(checkpoint) as reader:
        return _digest(part for name in sorted(names) for part in (name.encode(), reader.get_tensor(name)))


def _digest(parts: Iterable[Any]) -> str:
    """Of bytes and arrays, told apart by their lengths."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        view = memoryview(part).cast("B")
        digest.update(len(view).to_bytes(8, "little"))
        digest.update(view)
    return digest.hexdigest()


def _assigned(update_ops: Iterable[Any]) -> set[str]:
    """Return the names of the variables that update ops change; the head may have batch norm, too."""
    waiting = [getattr(update, "op", update) for update in update_ops]
    seen, names = set(waiting), set()
    while waiting:
        op = waiting.pop()
        if op.type.startswith("Assign"):
            names.add(op.inputs[0].op.name)
        before = {*op.control_inputs, *(tensor.op for tensor in op.inputs)} - seen
        seen |= before
        waiting.extend(before)
    return names
