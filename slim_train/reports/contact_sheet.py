"""Contact sheets: images in rows, each with a few lines of text beneath."""

from __future__ import annotations

import io
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from slim_train.errors import UsageError
from slim_train.reports.fonts import font_file, one_line, pillow_font

_SUFFIXES = (".png", ".jpg", ".jpeg")
# All sizes in pixels.
_IMAGE = 200
_GAP, _MARGIN = 20, 32
_ACCENT_HEIGHT = 5
_TITLE_SIZE, _NOTE_SIZE, _CAPTION_SIZE = 30, 17, 16
_LINE_HEIGHT = 23
_LEAST_WIDTH = 640
_PAPER, _MOUNT, _INK, _FAINT_INK = "#ffffff", "#eef1f4", "#1f2933", "#7b8794"


@dataclass(frozen=True)
class Tile:
    """One image of a contact sheet.

    Attributes:
      image: an encoded image, or uint8 [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]; any size.
      caption: lines of text; of a pair, the second is set at the right and never shortened.
      accent: color of the bar beneath the image and of the second halves of pairs, as ``#rrggbb``.
    """

    image: bytes | NDArray[np.uint8]
    caption: Sequence[str | tuple[str, str]]
    accent: str = _FAINT_INK


def check_sheet_path(flag: str, path: str | Path) -> None:
    """Look before the work whether a sheet can be written to ``path``.

    Raises:
      UsageError: it cannot; the message names ``flag``.
    """
    from datasets.storage import is_url, path_of  # not at the top: commands check first that this package is ours

    path = path_of(path)
    if path.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"--{flag}={path}: a sheet is an image, {' or '.join(_SUFFIXES)}.")
    if path.is_dir():
        raise UsageError(f"--{flag}={path} is a folder: name a file.")
    if not is_url(path) and not path.absolute().parent.is_dir():
        raise UsageError(f"--{flag}: there is no folder {path.parent}.")


def draw_contact_sheet(
    path: Path, tiles: Sequence[Tile | None], title: str, note: str = "", columns: int | None = None
) -> None:
    """Draw ``tiles`` in rows below a title; the title alone when there are none.

    Args:
      path: the file to write; its suffix tells the format, such as .png or .jpg.
      tiles: the images, in reading order; None leaves a place empty.
      note: a line below the title.
      columns: images in a row; None chooses.
    """
    from datasets.files import replacing  # not at the top: commands check first that this package is ours

    columns = min(columns or _columns_for(len(tiles)), max(len(tiles), 1))
    caption_lines = max((len(tile.caption) for tile in tiles if tile), default=0)
    step_x = _IMAGE + _GAP
    step_y = _IMAGE + _ACCENT_HEIGHT + 8 + caption_lines * _LINE_HEIGHT + _GAP
    top = _MARGIN + _TITLE_SIZE + (_NOTE_SIZE + 14 if note else 0) + 26
    width = max(2 * _MARGIN + columns * step_x - _GAP, _LEAST_WIDTH)
    height = top + math.ceil(len(tiles) / columns) * step_y - (_GAP if tiles else 0) + _MARGIN

    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    room = width - 2 * _MARGIN
    _write(draw, (_MARGIN, _MARGIN + _TITLE_SIZE), title, _TITLE_SIZE, _INK, room)
    _write(draw, (_MARGIN, _MARGIN + _TITLE_SIZE + 14 + _NOTE_SIZE), note, _NOTE_SIZE, _FAINT_INK, room)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        if tile:
            _draw_tile(sheet, draw, tile, _MARGIN + column * step_x, top + row * step_y)
    with replacing(path) as temporary:
        sheet.save(temporary, quality=90)


def _columns_for(count: int) -> int:
    """At most 10, wider than high, with the fewest gaps in the last row."""
    least = min(8, max(1, round(math.sqrt(1.5 * count))))
    return min(range(least, least + 3), key=lambda columns: (-count % columns, -columns))


def _draw_tile(sheet: Image.Image, draw: ImageDraw.ImageDraw, tile: Tile, x: int, y: int) -> None:
    draw.rectangle((x, y, x + _IMAGE - 1, y + _IMAGE - 1), fill=_MOUNT)
    opened = _fit(tile.image)
    if opened is None:
        _write(draw, (x + 12, y + _IMAGE // 2 + 6), "cannot be decoded", _CAPTION_SIZE, _FAINT_INK, _IMAGE - 24)
    else:
        sheet.paste(opened, (x + (_IMAGE - opened.width) // 2, y + (_IMAGE - opened.height) // 2))
    y += _IMAGE
    draw.rectangle((x, y, x + _IMAGE - 1, y + _ACCENT_HEIGHT - 1), fill=tile.accent)
    y += _ACCENT_HEIGHT + 8
    for number, line in enumerate(tile.caption):
        baseline = y + number * _LINE_HEIGHT + _CAPTION_SIZE
        text, aside = (line, "") if isinstance(line, str) else line
        aside_width = _width(aside, _CAPTION_SIZE)
        _write(draw, (x + _IMAGE - aside_width, baseline), aside, _CAPTION_SIZE, tile.accent, aside_width)
        room = _IMAGE - (aside_width + 10 if aside else 0)
        _write(draw, (x, baseline), text, _CAPTION_SIZE, _INK if number < 2 else _FAINT_INK, room)


def _fit(image: bytes | NDArray[np.uint8]) -> Image.Image | None:
    """RGB image that fills the square in one direction, upright and on white paper; None when it is broken."""
    opened = open_image(image)
    if opened is None:
        return None
    scale = _IMAGE / max(opened.size)
    size = (max(1, round(opened.width * scale)), max(1, round(opened.height * scale)))
    # Few pixels stay visible as squares; faces of 48 pixels are better looked at smooth.
    return opened.resize(size, Image.Resampling.NEAREST if scale > 6 else Image.Resampling.LANCZOS)


def open_image(image: bytes | NDArray[np.uint8]) -> Image.Image | None:
    """Return an RGB image, upright and on white paper; a large JPEG may be smaller than it is. None if it is broken."""
    try:
        return _open(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # All of them come from Pillow's decoders.
        return None


def _open(image: bytes | NDArray[np.uint8]) -> Image.Image:
    if isinstance(image, np.ndarray):
        assert image.dtype == np.uint8, image.dtype
        opened = Image.fromarray(image.squeeze(axis=2) if image.shape[2:] == (1,) else image)
    else:
        opened = Image.open(io.BytesIO(image))
        opened.draft("RGB" if opened.mode != "L" else "L", (2 * _IMAGE, 2 * _IMAGE))
        opened = ImageOps.exif_transpose(opened)
    if opened.mode.startswith("I"):  # 16 bits, of which Pillow's conversion would keep the low ones.
        opened = Image.fromarray((np.asarray(opened).astype(np.uint32) >> 8).astype(np.uint8))
    if opened.has_transparency_data:
        opened = opened.convert("RGBA")
        paper = Image.new("RGBA", opened.size, _PAPER)
        opened = Image.alpha_composite(paper, opened)
    return opened.convert("RGB")


def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour: str, room: int) -> None:
    """Write one line from the left end of its baseline, shortened with an ellipsis to ``room`` pixels."""
    text = one_line(text)
    if _width(text, size) > room:
        length = bisect_right(range(len(text)), room, key=lambda end: _width(text[:end] + "…", size)) - 1
        text = text[: max(length, 0)].rstrip() + "…"
    font = _font(text, size)
    draw.text(at, text, fill=colour, font=font, anchor="ls", direction=_direction(font))


def _width(text: str, size: int) -> int:
    font = _font(text, size)
    return math.ceil(font.getlength(text, direction=_direction(font)))


def _font(text: str, size: int) -> ImageFont.FreeTypeFont:
    return pillow_font(font_file(text), size)


def _direction(font: ImageFont.FreeTypeFont) -> str | None:
    """Of a whole line, so that an arrow before an Arabic name stays at the left; only the raqm layout takes one."""
    return "ltr" if font.layout_engine == ImageFont.Layout.RAQM else None
