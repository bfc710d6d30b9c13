"""The verb ``export``. No TensorFlow before it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_train.api.flags import PathLike, one_usage_error, options_from, takes_flags
from slim_train.api.tensorflow import tensorflow_ready
from slim_train.exporting.options import ExportOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from slim_train.api.keywords import ExportFlags
    from slim_train.exporting.run import ExportReport


@takes_flags(ExportOptions(), "export_inference_graph")
def export(
    checkpoint_path: PathLike | None = None, *, config: PathLike | None = None, **flags: Unpack[ExportFlags]
) -> ExportReport:
    """Export a trained net for other programs, and return what was written.

    Each file is compared with the checkpoint before it appears in the export folder.

    Args:
      checkpoint_path: training folder, whose latest checkpoint is exported, or one checkpoint.
      config: YAML file of flags; arguments override it.
      **flags: the flags of the command export_inference_graph.

    Raises:
      UsageError: an argument is wrong, or the net or the classes of the checkpoint are not known.
      RunError: a file does not match the checkpoint.
    """
    options = options_from(ExportOptions(), "export", flags, {"checkpoint_path": checkpoint_path}, config)
    with one_usage_error(), tensorflow_ready():
        from slim_train.exporting.run import run

        return run(options)
