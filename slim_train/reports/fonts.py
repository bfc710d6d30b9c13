"""Fonts for images that show names in any script.

Neither Pillow nor matplotlib looks for a font that has the characters of a text. This does, among the fonts of the
machine and those that come with matplotlib.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path

from PIL import ImageFont

log = logging.getLogger(__name__)

# Tried in this order, other fonts after them; the first is the one matplotlib brings along.
_PREFERRED = ("dejavusans", "notosans", "arial", "pingfang", "msyh")
# Tried only when no upright text face of normal weight has the characters.
_STYLED = ("bold", "black", "heavy", "light", "thin", "oblique", "italic", "condensed", "mono", "serif", "math")
# Faces that claim every character and draw boxes, or whose images cannot be set in any size.
_UNUSABLE = ("lastresort", "emoji")


def one_line(text: str) -> str:
    """``text`` with line breaks, tabs and characters that cannot be shown made into spaces."""
    return "".join(
        " " if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") else character for character in text
    )


def drawable_labels(labels: Sequence[str]) -> list[str]:
    """``labels`` on one line each; those that no font of this machine can draw become ``#3``, their class number."""
    lines = [one_line(label) for label in labels]
    missing = [line for line in lines if not can_draw(line)]
    if missing:
        _say_once(
            f"No font of this machine can draw {missing[0]!r}: the images number such classes ({len(missing)} of "
            f"{len(labels)}). Installing the Noto fonts cures it."
        )
    return [line if can_draw(line) else f"#{index}" for index, line in enumerate(lines)]


def can_draw(text: str) -> bool:
    """Return whether some font has every character of ``text``."""
    return font_file(text) is not None or _has_glyphs(None, text)


def font_file(text: str) -> str | None:
    """Return the best font file that has every character of ``text``; None if no file has."""
    return next((path for path in _font_files() if _has_glyphs(path, text)), None)


@lru_cache(maxsize=256)
def pillow_font(path: str | None, size: int) -> ImageFont.FreeTypeFont:
    """The font of :func:`font_file` for Pillow, ``size`` in pixels; for None the Latin font built into Pillow."""
    if path is not None:
        return ImageFont.truetype(path, size)
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "this Pillow is built without FreeType"
    return font


@lru_cache(maxsize=1)
def _font_files() -> tuple[str, ...]:
    """Return all usable font files, best first."""
    files = {
        str(path)
        for folder in _font_folders()
        for path in Path(folder).rglob("*")
        if path.suffix.lower() in (".ttf", ".otf", ".ttc") and not any(word in path.stem.lower() for word in _UNUSABLE)
    }
    return tuple(sorted(files, key=_rank))


def _rank(path: str) -> tuple[bool, int, int, str]:
    name = Path(path).stem.lower()
    preferred = next((rank for rank, start in enumerate(_PREFERRED) if name.startswith(start)), len(_PREFERRED))
    return any(word in name for word in _STYLED), preferred, len(name), path


def _font_folders() -> Iterable[Path]:
    home = Path.home()
    if sys.platform == "win32":
        yield Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts"
        yield home / "AppData/Local/Microsoft/Windows/Fonts"
    elif sys.platform == "darwin":
        yield from (Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts")
    else:
        yield Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share") / "fonts"
        yield from (home / ".fonts", Path("/usr/local/share/fonts"), Path("/usr/share/fonts"))
    matplotlib = importlib.util.find_spec("matplotlib")
    if matplotlib is not None and matplotlib.origin is not None:
        yield Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf"


def _has_glyphs(path: str | None, text: str) -> bool:
    return all(_has_glyph(path, character) for character in text if _needs_glyph(character))


def _needs_glyph(character: str) -> bool:
    """Spaces, marks and format characters are drawn rightly without a glyph of their own."""
    return unicodedata.category(character) not in ("Zs", "Cf", "Mn", "Mc", "Me")


@cache
def _has_glyph(path: str | None, character: str) -> bool:
    """Return whether a font draws ``character`` otherwise than one that cannot exist."""
    try:
        return _glyph(path, character) != _glyph(path, "\U0010ffff")
    except OSError:  # Not a font FreeType can read.
        return False


def _glyph(path: str | None, character: str) -> tuple[tuple[int, int], bytes]:
    mask = pillow_font(path, 16).getmask(character)
    return mask.size, bytes(mask)


@cache
def _say_once(message: str) -> None:
    log.warning("%s", message)
