"""The verb ``compare_runs`` and the options of the command of this name. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slim_train.api.flags import PathLike, one_usage_error, options_from, takes_flags
from slim_train.config import Options, option
from slim_train.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from slim_train.api.keywords import CompareFlags
    from slim_train.evaluation.compare import Comparison

_MOST_RUNS = 20


@dataclass(frozen=True)
class CompareOptions(Options):
    """Comparison."""

    dataset_split_name: str | None = option(
        None, "Split to compare, if a folder holds evaluations of several. Default: the only one.", aliases=("split",)
    )
    examples: int = option(
        20, "Number of images to list that only one run got right, per run.", at_least=0, at_most=1000
    )
    json: bool = option(False, "Print JSON.")
    html_file: str | None = option(
        None, "Write the comparison to this HTML file, with the training curves in one plot.", takes_urls=True
    )


@takes_flags(CompareOptions(), "compare_runs", without=("json",))
def compare_runs(*runs: PathLike, config: PathLike | None = None, **flags: Unpack[CompareFlags]) -> Comparison:
    """Compare evaluated runs on the same images.

    Args:
      *runs: at least two training folders, folders of evaluations, or predictions_<split>.csv files.
      config: YAML file of flags; arguments override it.
      **flags: the flags of the command compare_runs.

    Raises:
      UsageError: an argument is wrong, there is no evaluation, or the images differ.
    """
    options = options_from(CompareOptions(), "compare_runs", flags, {}, config)
    with one_usage_error():
        return run(options, [str(path) for path in runs])


def run(options: CompareOptions, paths: Sequence[str]) -> Comparison:
    """Compare as the options say, and write the HTML file.

    Raises:
      UsageError: there is no evaluation, or the images differ.
    """
    from datasets.files import replacing
    from datasets.storage import is_url, local_path, path_of
    from slim_train.evaluation.compare import compare
    from slim_train.evaluation.evaluated_runs import find_runs
    from slim_train.reports import html

    if not 2 <= len(paths) <= _MOST_RUNS:
        raise UsageError(f"compare_runs takes 2 to {_MOST_RUNS} runs, got {len(paths)}: compare_runs RUN RUN ...")
    target = path_of(options.html_file) if options.html_file else None
    if target and not is_url(target) and not target.absolute().parent.is_dir():
        raise UsageError(f"--html_file: there is no folder {target.parent}.")
    comparison = compare(find_runs([local_path(path) for path in paths], options.dataset_split_name), options.examples)
    if target:
        with replacing(target) as temporary:
            temporary.write_text(html.page("Comparison of runs", comparison.to_html()), encoding="utf-8")
    return comparison
