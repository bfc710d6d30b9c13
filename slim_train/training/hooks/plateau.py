"""Says during training, once, that it does not learn."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from slim_train.tf_compat import tf
from slim_train.training.graph import TrainingGraph
from slim_train.training.plateau import Plateau, PlateauWatch, constant_answer_loss

log = logging.getLogger(__name__)


class PlateauHook(tf.train.SessionRunHook):
    """Warns if the loss stays where a constant answer has it, see :mod:`slim_train.training.plateau`.

    Args:
      graph: the training graph.
      class_shares: share of each class of the net in the data, [C].
      label_smoothing: of the loss.
      class_weights: of the loss, [C], or None.
      is_asynchronous: whether other workers change the variables meanwhile, for the advice.
    """

    def __init__(
        self,
        graph: TrainingGraph,
        class_shares: Sequence[float],
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        is_asynchronous: bool = False,
    ) -> None:
        self._fetches = tf.train.SessionRunArgs([graph.step, graph.data_loss])
        self._watch = PlateauWatch(constant_answer_loss(class_shares, label_smoothing, class_weights))
        self._is_asynchronous = is_asynchronous
        self._step = 0

    @property
    def plateau(self) -> Plateau | None:
        """The plateau that training was on, or None."""
        return self._watch.plateau

    def before_run(self, run_context: Any) -> Any:
        return self._fetches

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self._step, loss = int(run_values.results[0]), float(run_values.results[1])
        before = self.plateau
        self._watch.add(self._step, loss)
        self._say(before)

    def end(self, session: Any) -> None:
        before = self.plateau
        self._watch.finish(self._step)
        self._say(before)

    def _say(self, before: Plateau | None) -> None:
        plateau = self.plateau
        if plateau is None or plateau == before:
            return
        if plateau.left_at_step is not None:
            log.info("The loss left the plateau at step %d: the training learns.", plateau.left_at_step)
            return
        fewer = ", fewer workers or --sync_replicas" if self._is_asynchronous else ""
        log.warning(
            "The training does not learn: at step %d the loss without regularization is %.3f, and giving every image "
            "the same answer has %.3f. Try --restart with a lower --learning_rate or momentum, --warmup_steps or "
            "--gradient_clip_norm%s; check that the labels belong to the images.",
            plateau.since_step, plateau.loss, plateau.constant_answer_loss, fewer,
        )  # fmt: skip
