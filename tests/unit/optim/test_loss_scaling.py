"""Loss scaling, on functions whose gradients are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deployment.model_deploy import DeploymentConfig
from slim_train.model.spec import ModelSpec
from slim_train.nets.factory import get_record
from slim_train.optim.loss_scaling import LossScaled
from slim_train.optim.optimizers import build_optimizer
from slim_train.optim.schedule import Schedule
from slim_train.preprocessing.factory import get_recipe
from slim_train.tf_compat import tf
from slim_train.training.graph import build_training_graph
from slim_train.training_options import ModelOptions, OptimizerOptions


class Training:
    """Steps on ``loss = sum(weights * inputs)``, whose gradient is ``inputs``."""

    def __init__(self, name: str = "sgd", scaled: bool = True, growth_steps: int = 2000) -> None:
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.inputs = tf.placeholder(tf.float32, [2])
            self.weights = tf.get_variable("weights", initializer=[1.0, 2.0])
            self.step = tf.train.get_or_create_global_step()
            self.optimizer = build_optimizer(OptimizerOptions(optimizer=name, learning_rate=0.5), 0.5)
            if scaled:
                self.optimizer = LossScaled(self.optimizer, growth_steps)
            self.gradients = self.optimizer.compute_gradients(tf.reduce_sum(self.weights * self.inputs))
            self.train_op = self.optimizer.apply_gradients(self.gradients, self.step)
            self.saved = [variable.op.name for variable in tf.global_variables()]
            self.session = tf.Session()
            self.session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])

    def run(self, *batches: Any) -> Any:
        for batch in batches:
            self.session.run(self.train_op, {self.inputs: batch})
        return self.session.run(self.weights)

    def value(self, variable: Any) -> float:
        return self.session.run(variable)


BATCHES = ([0.1, -0.3], [1e-4, 7.0], [-2.0, 0.25])


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "rmsprop"])
def test_finite_gradients_train_as_without_scaling(name):
    assert np.array_equal(Training(name).run(*BATCHES), Training(name, scaled=False).run(*BATCHES))


@pytest.mark.parametrize("bad", [np.inf, np.nan])
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_step_whose_gradients_are_not_finite_changes_no_variable(name, bad):
    training = Training(name)
    training.run(BATCHES[0])
    assert np.array_equal(training.run([bad, 1.0], *BATCHES[1:]), Training(name).run(*BATCHES))
    assert training.value(training.step) == len(BATCHES)


def test_the_scale_is_halved_by_a_skipped_step_and_doubled_after_enough_others():
    training = Training(growth_steps=2)
    scale = training.optimizer.scale
    assert training.value(scale) == 2.0**15
    training.run([np.inf, 0.0])
    assert training.value(scale) == 2.0**14
    training.run(BATCHES[0])
    assert training.value(scale) == 2.0**14
    training.run(BATCHES[0])
    assert training.value(scale) == 2.0**15


def test_gradients_that_overflow_when_scaled_are_found_by_a_smaller_scale():
    training = Training()
    huge = [2e34, 0.0]  # times 2**15 more than float32 holds, times 2**14 not
    training.run(huge)
    assert training.value(training.step) == 0
    training.run(huge)
    assert training.value(training.step) == 1


def test_checkpoints_hold_nothing_of_the_scale():
    assert Training("momentum").saved == Training("momentum", scaled=False).saved


def test_sparse_gradients_are_scaled_back_too():
    with tf.Graph().as_default():
        table = tf.get_variable("table", initializer=np.ones([4, 2], np.float32))
        optimizer = LossScaled(build_optimizer(OptimizerOptions(optimizer="sgd"), 1.0))
        gradients = optimizer.compute_gradients(tf.reduce_sum(tf.gather(table, [1, 1])))
        assert isinstance(gradients[0][0], tf.IndexedSlices)
        train_op = optimizer.apply_gradients(gradients)
        with tf.Session() as session:
            session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
            session.run(train_op)
            assert session.run(table).tolist() == [[1, 1], [-1, -1], [1, 1], [1, 1]]


def losses_of_training(scale_loss, histogram_summaries=False, **options):
    """Losses of three steps of LeNet in two clones."""

    def next_batch():
        return {"image": tf.random.stateless_normal([4, 28, 28, 1], [0, 0]), "label": tf.range(4)}

    with tf.Graph().as_default():
        tf.set_random_seed(1)
        graph = build_training_graph(
            ModelSpec(get_record("lenet"), 4, 0, 28, 1, get_recipe("lenet")),
            ModelOptions(),
            OptimizerOptions(optimizer="momentum", learning_rate=0.01, **options),
            Schedule(100, 4, num_clones=2, num_epochs_per_decay=2.0),
            DeploymentConfig(num_clones=2, clone_on_cpu=True),
            next_batch,
            histogram_summaries=histogram_summaries,
            scale_loss=scale_loss,
        )
        summaries = tf.summary.merge_all()
        # The same values initially, whatever number an operation has in the graph.
        values = np.random.default_rng(0)
        with tf.Session() as session:
            session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
            for variable in tf.trainable_variables():
                variable.load(values.normal(0.0, 0.05, variable.shape.as_list()), session)
            return [session.run([graph.train_op, summaries])[0] for _ in range(3)], session.run(graph.global_step)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"gradient_clip_norm": 0.5}, {"moving_average_decay": 0.9}])
def test_the_loss_of_a_training_graph_falls_as_without_scaling(options):
    losses, step = losses_of_training(scale_loss=True, **options)
    assert (losses, step) == (pytest.approx(losses_of_training(scale_loss=False, **options)[0], rel=1e-5), 3)
    assert losses[-1] < losses[0]


def test_a_skipped_step_reports_its_loss_and_histograms_all_the_same(monkeypatch):
    monkeypatch.setattr("slim_train.optim.loss_scaling._INITIAL_SCALE", np.inf)  # then 2**30
    losses, step = losses_of_training(scale_loss=True, histogram_summaries=True, gradient_clip_norm=1.0)
    assert np.isfinite(losses).all()
    assert step == 2
