"""Training steps as values, and the chain of what is done to them."""

from __future__ import annotations

import dataclasses

from slim_train.optim.step import Step, chain


def test_transforms_are_applied_from_the_first_to_the_last():
    def doubled(step: Step) -> Step:
        return dataclasses.replace(step, loss=step.loss * 2)

    def one_more(step: Step) -> Step:
        return dataclasses.replace(step, loss=step.loss + 1)

    assert chain(Step(5, ()), [doubled, one_more]).loss == 11
    assert chain(Step(5, ()), []).loss == 5


def test_what_closes_a_step_is_made_in_the_order_of_the_transforms():
    made = []

    def closing(name: str):
        return lambda step: step.closed_by(lambda: made.append(name))

    step = chain(Step(0, ()), [closing("reset"), closing("averages")])
    assert made == []  # not before the update is built
    for make_op in step.closing_ops:
        make_op()
    assert made == ["reset", "averages"]
