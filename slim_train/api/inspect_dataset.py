"""The verb ``inspect_dataset`` and the options of the command of this name. No TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from slim_train.api.flags import PathLike, one_usage_error, options_from, takes_flags
from slim_train.bulk.options import FeatureNetOptions
from slim_train.config import Options, option
from slim_train.errors import RunError, UsageError
from slim_train.progress import ProgressBars
from slim_train.training_options import TrustedCodeOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from datasets.foreign import RecordsAsTold
    from datasets.inspection.result import Inspection
    from slim_train.api.inspection import InspectionReport
    from slim_train.api.keywords import InspectFlags
    from slim_train.bulk.frozen_net import FeatureNet

log = logging.getLogger(__name__)

NONE = "none"


@dataclass(frozen=True)
class InspectedOptions(Options):
    """Data set: record files, or class folders of images."""

    dataset_dir: str | None = option(
        None,
        "Folder of record files or of class folders; or one record file. Same as DIR.",
        aliases=("data_dir",),
        takes_urls=True,
    )
    dataset_name: str | None = option(
        None, "Name of the data set: the prefix of its file names. Needed if the folder holds several."
    )
    file_pattern: str | None = option(
        None,
        "Pattern of the names of the record files, such as train-*. %s stands for the split. Default: found by their "
        "names.",
    )
    image_key: str | None = option(None, "Key of the encoded image in records of other tools. Default: found.")
    label_key: str | None = option(None, "Key of the label in records of other tools. Default: found.")
    text_key: str | None = option(None, "Key of the class name in records, if that is to be the label.")
    dataset_file: str | None = option(
        None,
        "Python file that describes the records, as a data set module of research/slim does. The file runs: use only "
        "code you trust.",
        runs_code=True,
    )
    labels_offset: int = option(0, "As in training. 1: labels begin at 1.")


@dataclass(frozen=True)
class ReportOptions(Options):
    """Report."""

    decode: bool = option(False, "Decode every image in full, and list the broken ones. Default: read headers only.")
    images_per_class: int = option(
        5, "Number of the first images of each class to show; fewer if there are many classes. 0: none.", at_least=0
    )
    output_dir: str | None = option(
        None,
        "Folder to write inspection.html, inspection.json and first_images.jpg to. Default: no report is written.",
        takes_urls=True,
    )
    json: bool = option(False, "Print JSON.")
    write_info: bool = option(
        False,
        "Write info.json and labels.txt of records, so that training opens them without reading them first.",
    )
    num_workers: int | None = option(None, "Processes that read and decode. Default: one per CPU.", at_least=1)


@dataclass(frozen=True)
class DuplicateOptions(Options):
    """Duplicates: images that are there more than once, within a class, across classes or across splits."""

    duplicates: str = option(
        NONE,
        "bytes: find equal files. pixels: also images with equal pixels. near: also near-duplicates, by a perceptual "
        "hash (extra [inspect]). pixels and near decode every image in full.",
        choices=(NONE, "bytes", "pixels", "near"),
    )
    duplicate_distance: int = option(
        4,
        "Bits of 64 in which the perceptual hashes of near-duplicates may differ. 0: equal hashes only.",
        at_least=0,
        at_most=8,
    )

    write_exclusions: str | None = option(
        None,
        "CSV file to write the images to that conversion should leave out: all but one of images that are the same, or "
        "all if they have several labels. download_and_convert_data --exclude takes it. Requires --duplicates.",
        takes_urls=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.write_exclusions and self.duplicates == NONE:
            raise UsageError(f"--write_exclusions={self.write_exclusions} requires --duplicates=pixels, near or bytes.")
        if self.write_exclusions and Path(self.write_exclusions).suffix.lower() != ".csv":
            raise UsageError(f"--write_exclusions={self.write_exclusions} must end in .csv.")
        if self.duplicate_distance != DuplicateOptions.duplicate_distance and self.duplicates != "near":
            raise UsageError(f"--duplicate_distance={self.duplicate_distance} requires --duplicates=near.")


@dataclass(frozen=True)
class InspectOptions(Options):
    """Everything that inspect_dataset can be told."""

    data: InspectedOptions = field(default_factory=InspectedOptions)
    report: ReportOptions = field(default_factory=ReportOptions)
    duplicates: DuplicateOptions = field(default_factory=DuplicateOptions)
    net: FeatureNetOptions = field(default_factory=FeatureNetOptions)
    code: TrustedCodeOptions = field(default_factory=TrustedCodeOptions)

    @property
    def has_net(self) -> bool:
        """Whether a net is named, for labels that are probably wrong and typical images."""
        return self.net != FeatureNetOptions()

    def check(self) -> None:
        """Check that the net can be used.

        Raises:
          UsageError: it is not named, or the images are named by flags that it does not know.
        """
        if not self.has_net:
            return
        self.net.check()
        if self.net.lists_end_points:
            raise UsageError("--end_points=? is for extract_features, which lists the end points.")
        data = self.data
        unfit = ("file_pattern", "image_key", "label_key", "text_key", "dataset_file", "labels_offset")
        for name in (name for name in unfit if getattr(data, name)):
            raise UsageError(f"A net and --{name} cannot be combined: write info.json with --write_info first.")
        from datasets.storage import path_of  # not at the top: commands check first that this package is ours

        if data.dataset_dir and path_of(data.dataset_dir).is_file():
            raise UsageError(f"A net takes a folder of records, and {data.dataset_dir} is a file.")


@takes_flags(InspectOptions(), "inspect_dataset", without=("json",))
def inspect_dataset(
    dataset_dir: PathLike | None = None, *, config: PathLike | None = None, **flags: Unpack[InspectFlags]
) -> InspectionReport:
    """Return what a data set is, and what is wrong with it: splits, classes, image sizes and formats, keys, faults.

    Args:
      dataset_dir: folder of record files, converted here or by another tool, or of class folders; or one record file.
      config: YAML file of flags; arguments override it.
      **flags: the flags of the command inspect_dataset.

    Raises:
      UsageError: an argument is wrong, or there is no data set.
    """
    options = options_from(
        InspectOptions(), "inspect_dataset", flags, {"dataset_dir": dataset_dir}, config, ("dataset_dir",)
    )
    with one_usage_error():
        return run(options)


def run(options: InspectOptions) -> InspectionReport:
    """Inspect as the options say, show the progress, and write the files.

    Raises:
      DataError: there is no data set.
      UsageError: the output folder cannot be made, or the user's file does not work.
    """
    from datasets.errors import DataError
    from datasets.inspection.inspect import inspect
    from datasets.storage import is_url, path_of
    from deployment.threads import available_cpus
    from slim_train.api.inspection import InspectionReport

    options.check()
    data, wanted = options.data, options.report
    assert data.dataset_dir, "the command requires it"
    output = path_of(wanted.output_dir) if wanted.output_dir else None
    if output:
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"Cannot make the folder --output_dir={output}: {error.strerror}.") from error
    listed = options.duplicates.write_exclusions
    if listed and not is_url(listed) and not path_of(listed).absolute().parent.is_dir():
        raise UsageError(f"--write_exclusions: there is no folder {path_of(listed).parent}.")
    told = _told(data)
    if wanted.write_info and told.file_pattern and "%s" not in told.file_pattern:
        raise UsageError(
            f"--write_info would describe one split only: write %s for the split in --file_pattern={told.file_pattern}."
        )
    net = _net(options) if options.has_net else None  # first: what is wrong with it is said before images are read
    with ProgressBars() as progress:
        inspection = inspect(
            data.dataset_dir,
            data.dataset_name,
            told,
            decode=wanted.decode,
            per_class=wanted.images_per_class,
            num_workers=wanted.num_workers or available_cpus(),
            write_info=wanted.write_info,
            on_progress=progress.update,
            compare="" if options.duplicates.duplicates == NONE else options.duplicates.duplicates,
            distance=options.duplicates.duplicate_distance,
        )
    failure: Exception | None = None
    if net:
        try:
            inspection = _with_features(inspection, net, options)
        except (DataError, UsageError, RunError) as error:
            failure = error  # raised when what is known is written
    report = InspectionReport.of(inspection)
    if listed:
        report = _with_exclusions(report, path_of(listed))
    if output:
        report = _written(report, output)
    if failure:
        raise failure
    return report


def _net(options: InspectOptions) -> FeatureNet:
    from slim_train.api.tensorflow import tensorflow_ready

    with tensorflow_ready():
        from slim_train.bulk.feature_net import load_feature_net

        net = load_feature_net(options.net, options.code)
    if len(net.end_points) > 1:
        raise UsageError(f"--end_points={options.net.end_points}: an inspection takes one end point.")
    return net


def _with_features(inspection: Inspection, net: FeatureNet, options: InspectOptions) -> Inspection:
    from datasets.inspection.result import faults_first
    from slim_train.api.tensorflow import tensorflow_ready

    began = time.monotonic()
    with tensorflow_ready():
        from slim_train.bulk.inspect_features import features_of_inspection

        per_class, dataset_name = options.report.images_per_class, options.data.dataset_name
        found = features_of_inspection(inspection, net, per_class, dataset_name)
    findings = faults_first((*inspection.findings, *found.findings(inspection.labels)))
    seconds = inspection.seconds + time.monotonic() - began
    return dataclasses.replace(inspection, by_features=found, findings=findings, seconds=seconds)


def _with_exclusions(report: InspectionReport, path: Path) -> InspectionReport:
    from datasets.exclusions import write_exclusions
    from datasets.inspection.exclusions import exclusions_of
    from datasets.storage import path_of

    assert report.duplicates, "--write_exclusions requires --duplicates"
    exclusions = list(exclusions_of(report.duplicates, path_of(report.dataset_dir)))
    write_exclusions(path, exclusions)
    log.info("%s lists %s images.", path, f"{len(exclusions):,}")
    return dataclasses.replace(report, written=(*report.written, str(path)), files={"exclusions": path})


def _told(data: InspectedOptions) -> RecordsAsTold:
    from datasets.foreign import RecordsAsTold

    told = RecordsAsTold.of(data)
    if data.dataset_file or data.dataset_name:
        from slim_train.user_code.data_sets import find_dataset_module

        module = find_dataset_module(data.dataset_file, data.dataset_name)
        if module:
            return module.told("train", str(data.dataset_dir), told)
    return told


def _written(report: InspectionReport, folder: Path) -> InspectionReport:
    from datasets.files import replacing
    from slim_train.reports.inspection_page import draw_first_images, inspection_page
    from slim_train.reports.label_errors import draw_label_errors, write_label_errors

    files = {**report.files, "page": folder / "inspection.html", "report": folder / "inspection.json"}
    sheet = folder / "first_images.jpg"
    doubts, doubt_sheet = folder / "label_errors.csv", folder / "label_errors.jpg"
    sheet.unlink(missing_ok=True)  # of an earlier inspection
    if report.by_features and report.by_features.accuracy is not None:
        if doubts.exists():
            doubts.replace(doubts.with_suffix(".csv.bak"))  # perhaps edited by hand, for --exclude
        doubt_sheet.unlink(missing_ok=True)
        write_label_errors(doubts, report.by_features, report.labels)
        files["label_errors"] = doubts
        if draw_label_errors(doubt_sheet, report.by_features, report.labels):
            files["label_errors_sheet"] = doubt_sheet
    if draw_first_images(sheet, report):
        files["first_images"] = sheet
    texts = {
        "page": inspection_page(report, files.get("first_images")),
        "report": json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n",
    }
    for name, text in texts.items():
        with replacing(files[name]) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    log.info("The report is %s.", files["page"])
    return dataclasses.replace(report, files=files)
