"""The verb ``evaluate``. No TensorFlow before it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_train.api.flags import PathLike, one_usage_error, options_from, takes_flags
from slim_train.api.tensorflow import tensorflow_ready
from slim_train.evaluation.options import EvalOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from slim_train.api.keywords import EvalFlags
    from slim_train.evaluation.report import EvaluationReport


@takes_flags(EvalOptions(), "eval_image_classifier")
def evaluate(
    checkpoint_path: PathLike | None = None, *, config: PathLike | None = None, **flags: Unpack[EvalFlags]
) -> EvaluationReport:
    """Evaluate a checkpoint over a split, and return the metrics.

    Args:
      checkpoint_path: training folder, whose latest checkpoint is evaluated, or one checkpoint. Default: /tmp/tfmodel/.
      config: YAML file of flags; arguments override it.
      **flags: the flags of the command eval_image_classifier.

    Returns:
      The report of the last checkpoint that was evaluated.

    Raises:
      UsageError: an argument or the data set is wrong.
      RunError: there is no checkpoint, it does not fit the net, or a record is broken.
    """
    options = options_from(EvalOptions(), "evaluate", flags, {"checkpoint_path": checkpoint_path}, config)
    with one_usage_error(), tensorflow_ready():
        from slim_train.evaluation import evaluate as evaluation

        return evaluation.run(options)
