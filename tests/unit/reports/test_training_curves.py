"""Training curves."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from slim_train.reports.training_curves import curves_figure, draw_training_curves, read_curves

TRAINING = [{"step": step, "loss": 1 / step, "learning_rate": 0.1, "images_per_second": 9.0} for step in range(1, 200)]
EVALUATION = [{"step": step, "eval_loss": 1.0, "eval_accuracy": 0.5} for step in (100, 200)]


def metrics_file(folder, values, tail=""):
    path = folder / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in values) + tail)
    return path


def height_of(path):
    with Image.open(path) as picture:
        return picture.height


def test_a_line_cut_off_by_a_kill_is_passed_over(tmp_path):
    curves = read_curves(metrics_file(tmp_path, TRAINING[:2], tail='{"step": 3, "lo'))
    assert curves["loss"] == ([1, 2], [1, 0.5])


def test_after_a_resume_the_later_value_of_a_step_counts(tmp_path):
    lines = [{"step": 10, "loss": 3.0}, {"step": 20, "loss": 2.0}, {"step": 10, "loss": 2.5}]
    assert read_curves(metrics_file(tmp_path, lines))["loss"] == ([10, 20], [2.5, 2.0])


def test_panels_without_values_are_left_out(tmp_path):
    pytest.importorskip("matplotlib")
    assert draw_training_curves(metrics_file(tmp_path, TRAINING), tmp_path / "two.png")
    assert draw_training_curves(metrics_file(tmp_path, TRAINING + EVALUATION), tmp_path / "three.png")
    assert height_of(tmp_path / "three.png") > 1.3 * height_of(tmp_path / "two.png")


def test_one_step_is_enough_for_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    assert draw_training_curves(metrics_file(tmp_path, TRAINING[:1]), tmp_path / "curves.png")


def test_nothing_is_drawn_before_the_first_value(tmp_path):
    assert not draw_training_curves(metrics_file(tmp_path, []), tmp_path / "curves.png")
    assert not draw_training_curves(tmp_path / "absent.jsonl", tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("steps", [[17], [1, 2, 3], [0, 40_000]])
def test_steps_below_the_curves_are_whole_and_stand_there_once(steps):
    pytest.importorskip("matplotlib")
    axes = curves_figure({"loss": (steps, [1.0] * len(steps))}).axes[-1]
    ticks = axes.get_xticks().tolist()
    assert ticks == [round(tick) for tick in ticks]
    assert set(steps) & set(ticks)


def test_the_two_accuracies_of_a_single_evaluation_have_different_marks():
    pytest.importorskip("matplotlib")
    (axes,) = curves_figure({"eval_accuracy": ([17], [0.5]), "eval_top_5_accuracy": ([17], [0.5])}).axes
    assert len({line.get_marker() for line in axes.lines}) == 2
