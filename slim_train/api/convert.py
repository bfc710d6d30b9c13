"""The verb ``convert`` and the options of download_and_convert_data. No TensorFlow."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slim_train.api.flags import PathLike, one_usage_error, options_from, takes_flags
from slim_train.config import Options, option
from slim_train.errors import UsageError
from slim_train.progress import ProgressBars
from slim_train.spark_options import SparkOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    import datasets.convert
    from datasets.distributed.course import Cluster
    from slim_train.api.conversion import ConversionReport
    from slim_train.api.keywords import ConvertFlags

log = logging.getLogger(__name__)

_OWN_IMAGES = "image_folder"


@dataclass(frozen=True)
class SourceOptions(Options):
    """Images."""

    dataset_name: str | None = option(
        None,
        "fer, flowers, cifar10, mnist, digits, or image_folder for your own images. It is the prefix of the "
        "file names.",
    )
    pic_path: str | None = option(
        None,
        "Folder with one folder of images per class, or with train/, validation/ and test/ folders of these; "
        "for a known data set also its published files. Default: download, if there is a public address.",
        takes_urls=True,
    )
    on_error: str = option(
        "skip",
        "skip: list images that cannot be used in rejected.csv. fail: stop at the first one.",
        choices=("skip", "fail"),
    )
    exclude: str | None = option(
        None,
        "File that lists images to leave out: a .csv file with a column file, as inspect_dataset --write_exclusions "
        "writes it, or a text file with one path per line, relative to --pic_path. Not with Spark.",
    )


@dataclass(frozen=True)
class OutputOptions(Options):
    """TFRecords."""

    dataset_dir: str | None = option(
        None, "Folder for the TFRecord files, labels.txt, info.json and rejected.csv.", takes_urls=True
    )
    num_shards: int = option(1, "Number of files per split. On Spark, each file is a task.", at_least=1)
    overwrite: bool = option(False, "Convert again although --dataset_dir holds a finished data set.")
    max_image_side: int | None = option(
        None,
        "Make larger images smaller, to this number of pixels on the long side: upright, in sRGB, JPEG as JPEG, others "
        "as PNG. Default: images are stored as they are.",
        at_least=1,
    )
    jpeg_quality: int = option(92, "Quality of the JPEGs that --max_image_side makes smaller.", at_least=1, at_most=100)
    num_workers: int | None = option(
        None, "Processes that decode images, without Spark. Default: one per CPU.", at_least=1
    )


@dataclass(frozen=True)
class SplitOptions(Options):
    """Train and test, for images that come without splits."""

    test_fraction: float = option(
        0.3, "Share of each class for the test split. 0: no test split.", at_least=0, at_most=0.99
    )
    split_by: str = option(
        "random",
        "random: split at random. filename_hash: the split of an image depends only on its file name, so it "
        "stays the same when images are added.",
        choices=("random", "filename_hash"),
    )
    seed: int = option(0, "Random seed of the split and of the order of records.")
    group_by: str | None = option(
        None,
        "Regular expression that matches the whole file name, with the part in parentheses that images of one group "
        "share, such as '([^_]+)_.*' for patient12_3.jpg. A group stays in one split. A pattern with a slash matches "
        "the whole path below --pic_path. Not with Spark.",
    )
    group_duplicates: bool = option(
        False,
        "Keep equal images and near-duplicates in one split (extra [inspect]). Every image is read twice. Not with "
        "Spark.",
    )


@dataclass(frozen=True)
class ConvertOptions(Options):
    """Everything that download_and_convert_data can be told."""

    source: SourceOptions = field(default_factory=SourceOptions)
    output: OutputOptions = field(default_factory=OutputOptions)
    split: SplitOptions = field(default_factory=SplitOptions)
    spark: SparkOptions = field(default_factory=SparkOptions)


@takes_flags(ConvertOptions(), "download_and_convert_data", without=("pic_path", "dataset_dir"))
def convert(
    source: PathLike | None = None,
    output: PathLike | None = None,
    *,
    config: PathLike | None = None,
    **flags: Unpack[ConvertFlags],
) -> ConversionReport:
    """Convert images to the TFRecords that training reads, and return a report.

    Every image is decoded once. Images that cannot be decoded are listed in the report, and not stored. An output
    folder that holds the finished data set is left as it is unless ``overwrite=True``.

    Args:
      source: folder with one folder of images per class, or with train/, validation/ and test/ folders of such; or the
        name of a known data set, which is downloaded if it is public: fer, flowers, cifar10, mnist or digits. An
        existing folder wins over a name.
      output: folder for the TFRecord files, labels.txt, info.json and rejected.csv.
      config: YAML file of flags; arguments override it.
      **flags: the flags of the command download_and_convert_data. ``source`` stands for pic_path and ``output`` for
        dataset_dir. Default of dataset_name: what ``source`` is.

    Raises:
      UsageError: an argument, the images or the folder are wrong.
    """
    with one_usage_error():
        pic_path, dataset_name = _resolve_source(source)
        if flags.get("dataset_name") is None:
            flags["dataset_name"] = dataset_name
        positional = {"pic_path": pic_path, "dataset_dir": output, "dataset_name": flags.pop("dataset_name")}
        required = ("dataset_name", "dataset_dir")
        report = run(options_from(ConvertOptions(), "convert", flags, positional, config, required))
    if report.already_finished:
        log.warning(
            "%s holds a finished data set of the classes %s: nothing was converted. overwrite=True converts again.",
            report.dataset_dir, _named(report.labels),
        )  # fmt: skip
    return report


def run(options: ConvertOptions) -> ConversionReport:
    """Convert as the options say, and show the progress.

    Raises:
      DataError: the images or the folder are wrong.
      ClusterError: the cluster cannot be reached.
      RunError: the work failed there.
    """
    from datasets.convert import NotForClusters
    from slim_train.api.conversion import ConversionReport

    local_only = {
        "exclude": options.source.exclude,
        "group_by": options.split.group_by,
        "group_duplicates": options.split.group_duplicates,
    }
    unfit = [name for name, value in local_only.items() if value]
    if unfit and options.spark.uses_spark:
        raise UsageError(f"--{unfit[0]} is for conversion without Spark: remove --spark_master or --spark_remote.")
    if options.spark.runs_on_spark and unfit:
        log.info("Converting in this process, because of --%s.", unfit[0])
    elif options.spark.runs_on_spark:
        from slim_train.bulk.conversion import spark_engine

        try:
            return ConversionReport(**vars(_convert(options, lambda: spark_engine(options.spark))))
        except NotForClusters:
            if options.spark.uses_spark:
                raise
            log.info("Converting in this process: the images are not in class folders, or at a URL.")
    return ConversionReport(**vars(_convert(options, None)))


def _convert(options: ConvertOptions, cluster: Cluster | None) -> datasets.convert.ConversionReport:
    from datasets.convert import convert_dataset
    from datasets.shrinking import Shrinking
    from datasets.shrinking_savings import NET_SIZE
    from deployment.threads import available_cpus

    source, output, split = options.source, options.output, options.split
    if output.max_image_side and output.max_image_side < NET_SIZE:
        log.warning(
            "--max_image_side=%d is below the %d pixels that most nets take: they enlarge the images again, without "
            "the detail that is lost.",
            output.max_image_side, NET_SIZE,
        )  # fmt: skip
    assert source.dataset_name and output.dataset_dir  # required flags
    with ProgressBars() as progress:
        return convert_dataset(
            source.dataset_name,
            output.dataset_dir,
            source.pic_path,
            test_fraction=split.test_fraction,
            seed=split.seed,
            num_shards=output.num_shards,
            num_workers=output.num_workers or available_cpus(),
            on_error=source.on_error,
            split_by=split.split_by,
            overwrite=output.overwrite,
            shrinking=Shrinking(output.max_image_side, output.jpeg_quality) if output.max_image_side else None,
            on_progress=progress.update,
            cluster=cluster,
            exclude=source.exclude,
            group_by=split.group_by,
            group_duplicates=split.group_duplicates,
        )


def _named(labels: Sequence[str]) -> str:
    return ", ".join(labels) if len(labels) <= 5 else f"{', '.join(labels[:4])} and {len(labels) - 4} more"


def _resolve_source(source: PathLike | None) -> tuple[PathLike | None, str | None]:
    """Return the folder of images and the name of the data set that ``source`` stands for."""
    from datasets.registry import KNOWN
    from datasets.storage import path_of

    if source is None:
        return None, None
    name = str(source)
    if name in KNOWN and not path_of(name).is_dir():
        return None, name
    return source, _OWN_IMAGES
