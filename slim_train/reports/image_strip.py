"""Images side by side in HTML, as thumbnails with lines of text below; they wrap on a narrow screen. No TensorFlow."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from PIL import Image

from slim_train.reports.contact_sheet import open_image

# Pixels of the long side. Small images are enlarged by the browser, which costs no bytes.
_SIDE = 96
_MOST_ON_A_PAGE = 12  # more may need several pages
_FAINT = "opacity:.65"


class StripImage(NamedTuple):
    """An image of a strip.

    Attributes:
      data: the encoded image.
      caption: lines of text; the first is set off. Long ones are cut on screen, and whole as a tooltip.
      note: a faint line below; may be empty.
      second: another encoded image, shown below the first; None shows none.
    """

    data: bytes
    caption: Sequence[str]
    note: str = ""
    second: bytes | None = None


def strip(images: Sequence[StripImage], num_more: int = 0) -> str:
    """Return images side by side, and how many more there are."""
    figures = "".join(map(_figure, images))
    more = f'<div style="align-self:center;{_FAINT}">and {num_more:,} more</div>' if num_more else ""
    style = "display:inline-flex;flex-wrap:wrap;vertical-align:top;gap:.6em;margin:.4em 1em 1em 0"
    kind = "strip" if len(images) <= _MOST_ON_A_PAGE else "strip long"
    return f'<div class="{kind}" style="{style};border-left:3px solid #8886;padding-left:.6em">{figures}{more}</div>'


def _figure(image: StripImage) -> str:
    first, *others = image.caption
    cut = "overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
    lines = [f'<div style="font-weight:600;{cut}">{escape(first)}</div>']
    lines += [f'<div style="{cut}"><bdi>{escape(line)}</bdi></div>' for line in others]
    lines += [f'<div style="{_FAINT};{cut}">{escape(image.note)}</div>'] if image.note else []
    alt = " ".join(image.caption)
    second = _thumbnail(image.second, f"where the net looks: {alt}") if image.second else ""
    tooltip = escape("\n".join([*image.caption, image.note]).strip(), quote=True)
    return (
        f'<figure title="{tooltip}" style="margin:0;width:8em;font-size:.85em;line-height:1.3">'
        f"{_thumbnail(image.data, alt)}{second}<figcaption>{''.join(lines)}</figcaption></figure>"
    )


def _thumbnail(data: bytes, alt: str) -> str:
    box = "width:96px;height:96px;object-fit:contain;background:#8882;border-radius:4px;display:block;margin-bottom:2px"
    image = open_image(data)
    if image is None:
        return f'<div style="{box}">cannot be decoded</div>'
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="{escape(alt, quote=True)}" style="{box}" src="data:image/jpeg;base64,{encoded}">'
