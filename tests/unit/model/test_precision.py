"""What a session computes in, looked up in the graphs that TensorFlow runs."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.model import precision
from slim_train.tf_compat import slim, tf
from slim_train.training_options import ComputeOptions

BASE = tf.ConfigProto(device_count={"GPU": 0})


@pytest.fixture(scope="module")
def bf16() -> None:
    if not precision.is_served("bf16", BASE):
        pytest.skip("this CPU does not compute in bfloat16")


def small_net() -> Any:
    """A train op of two convolutions with batch norm."""
    images = tf.random.stateless_uniform([4, 8, 8, 3], [0, 0])
    with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm):
        net = slim.conv2d(slim.conv2d(images, 8, 3, scope="first"), 8, 3, scope="second")
    loss = tf.losses.sparse_softmax_cross_entropy([0, 1, 2, 3], tf.reduce_mean(net, [1, 2]))
    train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    with tf.control_dependencies([train_op]):
        return tf.identity(loss)


def convolutions(config: Any) -> Counter[Any]:
    """How many convolutions, forward and backward, the net runs in each type."""
    with tf.Graph().as_default():
        loss = small_net()
        metadata = tf.RunMetadata()
        with tf.Session(config=config) as session:
            session.run(tf.global_variables_initializer())
            assert np.isfinite(
                session.run(loss, options=tf.RunOptions(output_partition_graphs=True), run_metadata=metadata)
            )
            assert {variable.dtype.base_dtype for variable in tf.global_variables()} == {tf.float32}
    nodes = [node for graph in metadata.partition_graphs for node in graph.node if "Conv2D" in node.op]
    return Counter(tf.as_dtype(node.attr["T"].type) for node in nodes)


def test_fp32_runs_every_convolution_in_float32():
    assert set(convolutions(precision.session_config(BASE, "fp32"))) == {tf.float32}


def test_bf16_runs_every_convolution_forward_and_backward_in_bfloat16(bf16):
    of_fp32 = convolutions(precision.session_config(BASE, "fp32"))
    of_bf16 = convolutions(precision.session_config(BASE, "bf16"))
    assert of_bf16 == {tf.bfloat16: of_fp32[tf.float32]}


def test_the_options_of_a_session_are_copied_and_kept():
    config = precision.session_config(BASE, "fp16", xla=True)
    assert config.device_count["GPU"] == 0
    assert config.graph_options.rewrite_options.auto_mixed_precision == config.graph_options.rewrite_options.ON
    assert config.graph_options.optimizer_options.global_jit_level == tf.OptimizerOptions.ON_1
    assert not BASE.HasField("graph_options")


@pytest.mark.parametrize(
    ("options", "device", "message"),
    [
        ({"precision": "fp16"}, "CPU", "--precision=fp16 is for a GPU, .* use --precision=bf16"),
        ({"precision": "bf16"}, "GPU", "--precision=bf16 is for a CPU, .* use --precision=fp16"),
        ({"xla": True}, "CPU", "--xla requires a GPU"),
    ],
)
def test_what_the_device_does_not_serve_is_refused(options, device, message):
    with pytest.raises(UsageError, match=message):
        precision.check(ComputeOptions(**options), device)


def test_xla_is_taken_on_a_gpu():
    precision.check(ComputeOptions(xla=True, precision="fp16"), "GPU")


def test_an_unknown_precision_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="--precision=bf18 must be one of fp32, bf16, fp16, auto; did you mean bf16?"):
        ComputeOptions(precision="bf18")


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [
        ({"fp32": 20.0, "bf16": 35.0}, "bf16"),
        ({"fp32": 190.0, "bf16": 120.0}, "fp32"),
        ({"fp32": 100.0, "bf16": 101.0}, "fp32"),  # no more than chance
    ],
)
def test_auto_takes_the_faster_and_says_both_rates(bf16, caplog, rates, chosen):
    caplog.set_level(logging.INFO)
    assert precision.resolve(ComputeOptions(precision="auto"), "CPU", BASE, lambda names: rates) == chosen
    assert (
        f"fp32 makes {rates['fp32']} images/s, bf16 makes {rates['bf16']} images/s. Going on in {chosen}" in caplog.text
    )


@pytest.mark.parametrize("limit", ["ONEDNN_MAX_CPU_ISA=AVX2", "DNNL_MAX_CPU_ISA=SSE41"])
@pytest.mark.slow
def test_where_onednn_is_held_below_avx512_bf16_is_not_served(limit):
    code = "from slim_train.model import precision; from slim_train.tf_compat import tf; "
    code += "print(precision.is_served('bf16', tf.ConfigProto(device_count={'GPU': 0})))"
    name, _, value = limit.partition("=")
    environment = {**os.environ, name: value, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr[-500:]


@pytest.mark.parametrize("named", ["fp32", "bf16"])
def test_a_named_precision_is_not_measured(bf16, named):
    assert (
        precision.resolve(ComputeOptions(precision=named), "CPU", BASE, lambda names: pytest.fail("measured")) == named
    )


def test_where_bf16_is_not_served_auto_is_fp32_and_asking_for_it_an_error(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(precision, "is_served", lambda name, base: False)
    measure = lambda names: pytest.fail("measured")  # noqa: E731
    assert precision.resolve(ComputeOptions(precision="auto"), "CPU", BASE, measure) == "fp32"
    assert "does not compute in bf16 on this machine's CPU" in caplog.text
    with pytest.raises(UsageError, match="does not compute in bf16 on this machine's CPU.* Use --precision=fp32"):
        precision.resolve(ComputeOptions(precision="bf16"), "CPU", BASE, measure)


def test_rates_are_measured_on_steps_of_the_graph_in_each_precision(bf16):
    rates = precision.measure_rates(small_net, 4, BASE, ("fp32", "bf16"), seconds=0.0)
    assert set(rates) == {"fp32", "bf16"} and min(rates.values()) > 0


def test_measuring_leaves_the_default_graph_alone():
    with tf.Graph().as_default() as graph:
        precision.measure_rates(small_net, 4, BASE, ("fp32",), seconds=0.0)
        assert graph.get_operations() == []
