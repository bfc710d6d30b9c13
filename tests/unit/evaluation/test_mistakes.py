"""The worst mistakes of an evaluation."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from slim_train.evaluation.metrics import Predictions
from slim_train.evaluation.mistakes import Mistake, WorstMistakes, draw_mistakes_sheet


def offer(keeper, probabilities, labels=None):
    """Offer images named by their place, all of them predicted as class 1."""
    count = len(probabilities)
    predictions = Predictions(np.ones(count, int), np.array(probabilities))
    keeper.update([b"image"] * count, [str(place) for place in range(count)], labels or [0] * count, predictions)


def test_the_highest_wrong_probabilities_are_kept_worst_first():
    keeper = WorstMistakes(2)
    offer(keeper, [0.5, 0.9, 0.2, 0.7])
    assert [mistake.probability for mistake in keeper.worst_first()] == [0.9, 0.7]
    assert keeper.total == 4


def test_right_predictions_are_passed_over():
    keeper = WorstMistakes(5)
    offer(keeper, [0.99, 0.6], labels=[1, 0])
    assert keeper.worst_first() == [Mistake(b"image", "1", 0, 1, 0.6)]
    assert keeper.total == 1


def test_among_equals_the_first_are_kept_in_order():
    keeper = WorstMistakes(2)
    offer(keeper, [0.5, 0.5, 0.5])
    assert [mistake.file for mistake in keeper.worst_first()] == ["0", "1"]


def test_with_no_capacity_mistakes_are_only_counted():
    keeper = WorstMistakes(0)
    offer(keeper, [0.5, 0.6])
    assert (keeper.worst_first(), keeper.total) == ([], 2)


@pytest.mark.parametrize("count", [0, 1, 40])
def test_a_sheet_is_drawn_for_any_number_of_mistakes(tmp_path, count):
    image = np.full((48, 48, 1), 90, np.uint8)
    mistakes = [Mistake(image, f"folder/{place}.jpg", 0, 1, 0.9) for place in range(count)]
    path = tmp_path / "mistakes.png"
    draw_mistakes_sheet(path, mistakes, ["猫", "dog"], split="test", images=100, total=count)
    with Image.open(path) as picture:
        grey = (np.asarray(picture.convert("L")) == 90).sum()
    assert grey == pytest.approx(count * 200 * 200, rel=0.01, abs=100)
