"""Thumbnails side by side."""

from __future__ import annotations

import base64
import io
import re

from PIL import Image

from slim_train.reports.image_strip import StripImage, strip


def _png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "navy").save(buffer, "PNG")
    return buffer.getvalue()


def test_large_images_become_thumbnails_and_small_ones_keep_their_size() -> None:
    shown = strip([StripImage(_png((400, 200)), ("cat",)), StripImage(_png((8, 6)), ("dog",))], 3)
    data = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', shown)
    assert [Image.open(io.BytesIO(base64.b64decode(part))).size for part in data] == [(96, 48), (8, 6)]
    assert "and 3 more" in shown


def test_captions_are_escaped_and_whole_in_the_tooltip() -> None:
    shown = strip([StripImage(_png((8, 8)), ('<b>"cat"', "a very long name" * 9), "near")])
    assert "<b>" not in shown
    assert f"a very long name{'a very long name' * 8}\nnear" in shown


def test_an_image_that_cannot_be_decoded_is_said_to_be() -> None:
    assert "cannot be decoded" in strip([StripImage(b"no image", ("cat",))])


def test_only_a_strip_that_may_need_several_pages_breaks_between_them_when_printed() -> None:
    pictures = [StripImage(b"", ("cat",))] * 13
    assert strip(pictures[:12]).startswith('<div class="strip" ')
    assert strip(pictures).startswith('<div class="strip long" ')
