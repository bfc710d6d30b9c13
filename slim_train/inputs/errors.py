"""Why the input stopped: the file, the byte and the reason, instead of TensorFlow's account of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

from datasets import tfrecords
from datasets.errors import DataError
from datasets.examples import features
from datasets.spec import DatasetSpec
from slim_train.errors import RunError
from slim_train.inputs.records import parse_image_and_label, read
from slim_train.tf_compat import tf

log = logging.getLogger(__name__)

_BAD_LABEL = re.compile(r"label (-?\d+) less --labels_offset=(-?\d+) is not in 0\.\.(\d+)")
# What the copying of records raises in the input.
_NOT_COPIED = re.compile(r"Cannot copy [^\n]*")
# What stands before and after the reason in a tf.data error.
_AROUND_REASON = re.compile(r"^.*(?:iterator: [\w:\[\]]+: |Graph execution error:\s+)|\s*\[\[.*$", re.DOTALL)


def check_labels(labels: Any, num_classes: int, labels_offset: int) -> Any:
    """``labels`` less ``labels_offset``, in a graph that stops at a label outside 0..num_classes-1.

    Args:
      labels: int64 [batch].
      num_classes: how many classes the net has.
      labels_offset: subtracted from the labels.
    """
    shifted = labels - labels_offset
    wrong = (shifted < 0) | (shifted >= num_classes)
    first_wrong = tf.as_string(labels[tf.argmax(tf.cast(wrong, tf.int32))])
    # _BAD_LABEL reads this again.
    message = ["label ", first_wrong, f" less --labels_offset={labels_offset} is not in 0..{num_classes - 1}"]
    with tf.control_dependencies([tf.Assert(~tf.reduce_any(wrong), [tf.strings.join(message)])]):
        return tf.identity(shifted)


def explain_input_error(error: tf.errors.OpError, dataset: DatasetSpec) -> RunError | None:
    """Find the record that stopped the input, by reading the files up to it.

    Args:
      error: what session.run raised.
      dataset: what the input was reading.

    Returns:
      An error that names file, byte offset and reason; None if ``error`` comes from elsewhere or the records are
      sound.
    """
    if not_copied := _NOT_COPIED.search(error.message):
        return RunError(not_copied[0])
    of_data = isinstance(error, (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError))
    if not of_data or "IteratorGetNext" not in error.message:
        return None
    log.info("A record stopped the input; looking for it in %d files.", len(dataset.files))
    bad_label = _BAD_LABEL.search(error.message)
    if bad_label:
        offset, largest = int(bad_label[2]), int(bad_label[3])
        check = lambda encoded, label: check_labels(label[tf.newaxis], largest + 1, offset)  # noqa: E731
    else:
        check = lambda encoded, label: tf.io.decode_image(encoded)  # noqa: E731
    for file in dataset.files:
        problem = _first_problem(file, check, dataset)
        if problem:
            return RunError(problem)
    return None


def _first_problem(file: str, check: Callable[[Any, Any], Any], dataset: DatasetSpec) -> str | None:
    """Return the first record of ``file`` that is damaged or fails the check, and why."""
    try:
        offsets = [offset for offset, _ in tfrecords.scan_records(file)]
    except DataError as damage:
        return str(damage)
    index, reason = _first_failure(file, check, dataset)
    if reason is None:
        return None
    record = next(record for offset, record in tfrecords.scan_records(file) if offset == offsets[index])
    where = f"{file}, record at byte {offsets[index]}{_origin(record, dataset)}"
    return f"{where}: {reason.rstrip('.')}. Convert the data again."


def _first_failure(file: str, check: Callable[[Any, Any], Any], dataset: DatasetSpec) -> tuple[int, str | None]:
    """Return the position of the first record that fails, and why; None for a reason when all pass."""

    @tf.autograph.experimental.do_not_convert
    def passes(serialized: Any) -> Any:
        checked = check(*parse_image_and_label(serialized, dataset))
        # A number that needs every pixel: what no result depends on, TensorFlow does not run.
        return tf.reduce_max(tf.cast(checked, tf.int32))

    position = 0
    with tf.Graph().as_default():
        records = read([file], dataset).map(passes, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        iterator = tf.data.make_initializable_iterator(records)
        take_next = iterator.get_next().op
        with tf.Session(config=tf.ConfigProto(device_count={"GPU": 0})) as session:
            session.run(iterator.initializer)
            try:
                while True:
                    session.run(take_next)
                    position += 1
            except tf.errors.OutOfRangeError:
                return position, None
            except tf.errors.OpError as failure:
                return position, _AROUND_REASON.sub("", failure.message)


def _origin(record: bytes, dataset: DatasetSpec) -> str:
    try:
        _, names = features(record).get(dataset.records.file_key, ("bytes", []))
    except ValueError:
        return ""
    return f" ({names[0].decode(errors='replace')})" if names else ""
