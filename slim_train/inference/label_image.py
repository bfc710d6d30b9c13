"""Label images: the likeliest classes of each, as text, JSON and a contact sheet."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from datasets.storage import is_url, path_of
from deployment.threads import available_cpus
from slim_train.checkpoints import training_folder
from slim_train.errors import RunError, UsageError
from slim_train.inference.heat_files import heat_folder, heat_names, write_heat
from slim_train.inference.image_files import find_images
from slim_train.inference.label_files import read_class_names
from slim_train.inference.options import ClassifierOptions, LabelImageOptions
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.predictor import BATCH_SIZE, ImageError, Predictor, load_predictor, top_classes
from slim_train.progress import ProgressBar
from slim_train.reports import Tile, check_sheet_path, draw_contact_sheet
from slim_train.reports.heat_map import encode_jpeg, heat_overlay

log = logging.getLogger(__name__)

_SOURCES = ("graph", "saved_model_dir", "train_dir")
_SURE, _UNSURE = "#2f7d4f", "#b7791f"  # colors of the contact sheet
_HEAT = "#8a8678"
_SHEET_LINES = 3
_MOST_TILES = 500  # more of them nobody looks at, and the sheet would fill the memory


@dataclasses.dataclass(frozen=True)
class LabelledImage:
    """One image and its likeliest classes.

    Attributes:
      image: the file.
      labels: (class name, probability), best first; none where the image cannot be read.
      error: why it cannot be read, or None.
      heat: where the net looks to see the likeliest class, as a PNG or JPEG; None if that is not asked for.
      heat_file: the file that holds it, or None.
    """

    image: str
    labels: tuple[tuple[str, float], ...] = ()
    error: str | None = None
    heat: bytes | None = dataclasses.field(default=None, repr=False)
    heat_file: str | None = None


def run(options: LabelImageOptions) -> str:
    """Label the images, and draw the contact sheet and write the file that are asked for.

    Returns:
      What the command prints: text, or JSON.

    Raises:
      UsageError: there are no such images, or no such classifier.
      RunError: none of the images can be read.
    """
    files = find_images("image", options.image or "")
    if options.contact_sheet:
        check_sheet_path("contact_sheet", options.contact_sheet)
    output_file = path_of(options.output_file) if options.output_file else None
    if output_file and not is_url(output_file) and not output_file.absolute().parent.is_dir():
        raise UsageError(f"--output_file: there is no folder {output_file.parent}.")
    explain = options.explain or bool(options.explain_dir)
    if explain and not (options.contact_sheet or options.explain_dir):
        raise UsageError("--explain needs a place for what it draws: give --contact_sheet or --explain_dir.")
    folder = heat_folder(options.explain_dir) if options.explain_dir else None
    most_tiles = _most_images(explain) if options.contact_sheet else 0
    results = []
    with open_classifier(options.classifier) as predictor:
        names = heat_names(files) if folder else []
        for number, result in enumerate(label_files(predictor, files, options.top, explain)):
            if folder and result.heat:
                result = dataclasses.replace(result, heat_file=write_heat(folder, names[number], result.heat))
            results.append(result if number < most_tiles else dataclasses.replace(result, heat=None))
    if output_file:
        training_folder.write_json(output_file, _as_json(predictor.name, results))
    if options.contact_sheet:
        _draw(path_of(options.contact_sheet), results, predictor.name, explain)
    if all(result.error for result in results):
        raise RunError(f"None of the {len(results)} images can be read; {results[0].image}: {results[0].error}.")
    if options.json:
        return json.dumps(_as_json(predictor.name, results), indent=2, ensure_ascii=False)
    return "\n".join(_text(results))


def label_files(
    predictor: Predictor, files: Sequence[Path], top: int, explain: bool = False
) -> Iterator[LabelledImage]:
    """Yield the ``top`` likeliest classes of each file, in the order of ``files``; with ``explain`` the heat as well.

    Raises:
      UsageError: the heat is asked for, and the net cannot show it.
    """
    with ProgressBar("labelling", len(files), "images") as bar:
        for begin in range(0, len(files), BATCH_SIZE):
            batch = files[begin : begin + BATCH_SIZE]
            yield from _label_batch(predictor, batch, top, explain)
            bar.update(begin + len(batch))


def _label_batch(predictor: Predictor, files: Sequence[Path], top: int, explain: bool) -> list[LabelledImage]:
    def prepare(file: Path) -> Any:
        try:
            return predictor.prepare(file.read_bytes())
        except (ImageError, OSError) as error:
            return LabelledImage(str(file), error=str(error))

    with ThreadPoolExecutor(available_cpus()) as pool:
        prepared = dict(zip(files, pool.map(prepare, files), strict=True))
    unread = {file: result for file, result in prepared.items() if isinstance(result, LabelledImage)}
    for file, result in unread.items():
        log.warning("Cannot read %s: %s.", file, result.error)
    read = [file for file in files if file not in unread]
    if not read:
        return [unread[file] for file in files]
    batch = np.stack([prepared[file] for file in read])
    scores = predictor.scores(batch)
    heats = _heats(predictor, batch, scores) if explain else [None] * len(read)
    labelled = {
        file: LabelledImage(str(file), top_classes(row, predictor.labels, top), heat=heat)
        for file, row, heat in zip(read, scores, heats, strict=True)
    }
    return [(unread | labelled)[file] for file in files]


def _heats(predictor: Predictor, batch: Any, scores: Any) -> list[bytes | None]:
    heats = predictor.heat(batch, scores.argmax(axis=1))
    return [encode_jpeg(heat_overlay(image, heat)) for image, heat in zip(batch, heats, strict=True)]


def open_classifier(options: ClassifierOptions) -> Predictor:
    """Return the classifier that the flags name.

    Raises:
      UsageError: they name none or several, or there is none.
      RunError: a checkpoint does not fit its net.
    """
    given = {name: value for name in _SOURCES if (value := getattr(options, name))}
    if len(given) != 1:
        found = f"not {' and '.join(f'--{name}' for name in given)}" if given else "none of them is there"
        raise UsageError(f"Name one classifier with --graph, --saved_model_dir or --train_dir; {found}.")
    (path,) = given.values()
    if options.train_dir is None:
        for flag in ("model_file", "model_module", "preprocessing_file", "arg_scope", "model_args"):
            if getattr(options.code, flag):
                raise UsageError(f"--{flag} is for training folders and checkpoints: {path} holds all that it needs.")
    return load_predictor(
        path,
        ModelOverrides(
            labels=read_class_names(options.labels) if options.labels else None,
            input_height=options.input_height,
            input_width=options.input_width,
            input_layer=options.input_layer,
            output_layer=options.output_layer,
            input_mean=options.input_mean,
            input_std=options.input_std,
            scaled_decoding=options.scaled_decoding,
            code=options.code,
        ),
    )


def _as_json(name: str, results: Sequence[LabelledImage]) -> dict[str, Any]:
    def entry(result: LabelledImage) -> dict[str, Any]:
        if result.error:
            return {"image": result.image, "error": result.error}
        return {
            "image": result.image,
            "labels": [{"label": label, "probability": round(score, 6)} for label, score in result.labels],
            **({"heat": result.heat_file} if result.heat_file else {}),
        }

    return {"model": name, "images": list(map(entry, results))}


def _text(results: Sequence[LabelledImage]) -> Iterator[str]:
    """Yield the classes of each image; the file's name above them if there are several."""
    for number, result in enumerate(results):
        if len(results) > 1:
            yield f"{'' if number == 0 else chr(10)}{result.image}"
        if result.error:
            yield f"  cannot be read: {result.error}"
        yield from (f"  {score:8.4%}  {label}" for label, score in result.labels)


def _most_images(explain: bool) -> int:
    return _MOST_TILES // 2 if explain else _MOST_TILES


def _draw(path: Path, results: Sequence[LabelledImage], name: str, explain: bool) -> None:
    drawn = results[: _most_images(explain)]
    of_all = "" if len(drawn) == len(results) else f"the first {len(drawn)} of "
    note = f"{of_all}{len(results):,} images and their likeliest classes"
    if not explain:
        draw_contact_sheet(path, list(map(_tile, drawn)), name, note)
    else:
        tiles = [tile for result in drawn for tile in (_tile(result), _heat_tile(result))]
        # An even number of columns keeps an image and its heat together.
        columns = 2 * max(1, min(4, round(math.sqrt(0.75 * len(drawn)))))
        draw_contact_sheet(path, tiles, name, f"{note}; yellow: where the net looks", columns)
    log.info("Drew %s.", path)


def _tile(result: LabelledImage) -> Tile:
    lines: list[str | tuple[str, str]] = [(label, f"{score:.1%}") for label, score in result.labels[:_SHEET_LINES]]
    sure = bool(result.labels) and result.labels[0][1] >= 0.5
    image = path_of(result.image)
    return Tile(image.read_bytes(), [image.name, *(lines or [result.error or ""])], _SURE if sure else _UNSURE)


def _heat_tile(result: LabelledImage) -> Tile | None:
    return Tile(result.heat, [f"why {result.labels[0][0]}"], _HEAT) if result.heat else None
