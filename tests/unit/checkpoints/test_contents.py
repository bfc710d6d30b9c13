"""The content of checkpoints: kinds of variables, sizes, values that are not finite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slim_train.checkpoints import contents as c
from slim_train.errors import RunError
from slim_train.tf_compat import tf

VALUES = {
    "net/weights": np.ones([3, 4], np.float32),
    "net/weights/Momentum": np.zeros([3, 4], np.float32),
    "net/weights/ExponentialMovingAverage": np.ones([3, 4], np.float32),
    "head/biases/ExponentialMovingAverage": np.array([1, np.nan, np.inf], np.float32),
    "global_step": np.int64(42),
}


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """The prefix of a checkpoint that holds VALUES."""
    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.Variable(value, name=name) for name, value in VALUES.items()]
        session.run(tf.global_variables_initializer())
        return tf.train.Saver(variables).save(session, str(tmp_path / "model.ckpt"), write_meta_graph=False)


def test_variables_have_kinds(checkpoint: str) -> None:
    contents = c.read_contents(checkpoint)
    assert (contents.step, len(contents.variables)) == (42, 5)
    assert {variable.name: variable.kind for variable in contents.variables} == {
        "net/weights": c.MODEL,
        "net/weights/Momentum": c.SLOTS,
        "net/weights/ExponentialMovingAverage": c.AVERAGES,
        "head/biases/ExponentialMovingAverage": c.AVERAGES,
        "global_step": c.OTHER,
    }
    assert [variable.num_values for variable in contents.of_kind(c.AVERAGES)] == [3, 12]
    files = [*Path(checkpoint).parent.glob("model.ckpt.*")]
    assert contents.num_bytes == sum(file.stat().st_size for file in files)


def test_a_variable_that_is_stored_as_an_average_only_belongs_to_the_model(checkpoint: str) -> None:
    assert c.read_contents(checkpoint).model_shapes() == {"net/weights": (3, 4), "head/biases": (3,)}


def test_values_that_are_not_finite_are_counted(checkpoint: str) -> None:
    read = []
    contents = c.read_contents(checkpoint)
    assert c.count_not_finite(contents, read.append) == {"head/biases/ExponentialMovingAverage": 2}
    assert read == [1, 2, 3, 4, 5]


def test_a_checkpoint_with_damaged_values_is_one_line(checkpoint: str) -> None:
    (data,) = Path(checkpoint).parent.glob("model.ckpt.data-*")
    content = data.read_bytes()
    data.write_bytes(content.replace(np.ones(12, np.float32).tobytes(), np.zeros(12, np.float32).tobytes()))
    with pytest.raises(RunError, match="Cannot read the values of net/weights\\S* in .*model.ckpt: .+$"):
        c.count_not_finite(c.read_contents(checkpoint))


def test_what_is_no_checkpoint_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt.index").write_text("I am a text")
    with pytest.raises(RunError, match=f"Cannot read {tmp_path}/model.ckpt: .+$"):
        c.read_contents(f"{tmp_path}/model.ckpt")
