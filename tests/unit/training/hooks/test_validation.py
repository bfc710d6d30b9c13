"""Evaluation during training."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from datasets.storage import path_of
from slim_train.checkpoints import training_folder
from slim_train.checkpoints.metrics_file import MetricsFile
from slim_train.evaluation.evaluate import EvaluationInterrupted
from slim_train.tf_compat import tf
from slim_train.training.hooks.validation import ValidationHook


class _Loop:
    """A loop of ``last_step`` steps that evaluates to the accuracies given, one after the other."""

    def __init__(self, folder, accuracies, last_step=12, **kwargs):
        self.evaluated = []
        answers = iter(accuracies)

        def evaluate(checkpoint):
            accuracy = next(answers)
            if accuracy is None:
                raise EvaluationInterrupted
            return {"loss": 1 - accuracy, "accuracy": accuracy}

        with tf.Graph().as_default():
            global_step = tf.train.get_or_create_global_step()
            step = global_step.assign_add(1)
            graph = SimpleNamespace(global_step=global_step, step=step)
            scaffold = tf.train.Scaffold()
            hook = ValidationHook(
                graph, lambda: scaffold.saver, evaluate, every_n_steps=5, train_dir=folder,
                **{"patience": 0, "on_evaluation": [self.evaluated.append], **kwargs},
            )  # fmt: skip
            stop = tf.train.StopAtStepHook(last_step=last_step)
            creator = tf.train.ChiefSessionCreator(scaffold, checkpoint_dir=str(folder))
            with tf.train.MonitoredSession(creator, [hook, stop]) as session:
                self.steps = 0
                while not session.should_stop():
                    session.run(step)
                    self.steps += 1


def test_checkpoints_are_evaluated_every_so_many_steps_and_at_the_end(tmp_path):
    loop = _Loop(tmp_path, [0.5, 0.7, 0.6])
    assert [(done.step, done.is_best) for done in loop.evaluated] == [(5, True), (10, True), (12, False)]
    lines = training_folder.read_metrics(tmp_path)
    assert [(line["step"], line["eval_accuracy"]) for line in lines] == [(5, 0.5), (10, 0.7), (12, 0.6)]


def test_a_loop_without_improvement_is_stopped_and_stays_so_when_it_is_resumed(tmp_path):
    assert _Loop(tmp_path, [0.5, 0.5, 0.5, 0.5], last_step=100, patience=2).steps == 15
    assert _Loop(tmp_path, [0.9], last_step=100, patience=2).steps <= 1


def test_an_interrupted_evaluation_counts_for_nothing(tmp_path):
    loop = _Loop(tmp_path, [0.5, None], last_step=10)
    assert [done.step for done in loop.evaluated] == [5]
    assert loop.steps == 10


def test_who_is_told_to_leave_does_not_evaluate_at_the_end(tmp_path):
    assert _Loop(tmp_path, [], last_step=3, is_interrupted=lambda: True).evaluated == []


def test_an_error_in_a_callback_reaches_the_caller(tmp_path):
    def fail(_evaluated):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _Loop(tmp_path, [0.5], last_step=5, on_evaluation=[fail])


def test_evaluations_that_come_again_do_not_count_although_the_store_still_has_their_lines(tmp_path):
    def is_away():
        raise OSError(5, "away")

    folder = path_of("ram://validation/again")
    training_folder.write_metrics(folder, '{"step": 5, "eval_accuracy": 0.5}\n{"step": 10, "eval_accuracy": 0.5}\n')
    metrics_file = MetricsFile(folder, check_lead=is_away)
    metrics_file.forget_after(0)
    assert len(training_folder.read_metrics(folder)) == 2
    assert _Loop(tmp_path, [0.5], last_step=5, patience=2, metrics_file=metrics_file).steps == 5
    metrics_file.close(0)
