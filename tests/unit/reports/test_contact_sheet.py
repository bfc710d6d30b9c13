"""Contact sheets."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from slim_train.reports.contact_sheet import Tile, draw_contact_sheet

RED = (200, 20, 20)


def encoded(colour=RED, size=(48, 48), mode="RGB", image_format="PNG", **more):
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, image_format, **more)
    return buffer.getvalue()


def draw(path, tiles, title="title", **more):
    draw_contact_sheet(path, tiles, title, **more)
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def pixels_near(pixels, colour, tolerance=12):
    return int((np.abs(pixels - colour).max(axis=-1) <= tolerance).sum())


@pytest.mark.parametrize(
    "image",
    [
        encoded(),
        encoded(image_format="JPEG", size=(500, 500)),
        np.full((48, 48, 3), RED, np.uint8),
        np.full((48, 48, 4), (*RED, 255), np.uint8),
    ],
    ids=["png", "jpeg", "array", "array with alpha"],
)
def test_a_picture_fills_its_square_whatever_it_comes_as(tmp_path, image):
    assert pixels_near(draw(tmp_path / "sheet.png", [Tile(image, [])]), RED) == pytest.approx(200 * 200, rel=0.01)


@pytest.mark.parametrize(
    "image",
    [
        encoded(90, mode="L"),
        np.full((9, 9), 90, np.uint8),
        np.full((9, 9, 1), 90, np.uint8),
        encoded(90 << 8, mode="I;16"),
    ],
    ids=["png", "array", "array with a channel", "16 bits"],
)
def test_grey_pictures_are_drawn_grey(tmp_path, image):
    assert pixels_near(draw(tmp_path / "sheet.png", [Tile(image, [])]), (90, 90, 90), 2) >= 200 * 200


@pytest.mark.parametrize(("size", "drawn"), [((400, 100), (200, 50)), ((1, 300), (1, 200)), ((3, 2), (200, 133))])
def test_a_picture_keeps_its_proportions(tmp_path, size, drawn):
    assert pixels_near(draw(tmp_path / "sheet.png", [Tile(encoded(size=size), [])]), RED) == drawn[0] * drawn[1]


def test_transparent_pixels_are_white_paper(tmp_path):
    pixels = draw(tmp_path / "sheet.png", [Tile(encoded((0, 0, 0, 0), mode="RGBA"), [])])
    assert pixels_near(pixels, (0, 0, 0)) == 0


def test_exif_orientation_is_followed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # Rotated by 90 degrees: lies 400 wide, stands 400 high.
    sideways = encoded(size=(400, 100), image_format="JPEG", exif=exif)
    pixels = draw(tmp_path / "sheet.png", [Tile(sideways, [])])
    is_red = np.abs(pixels - RED).max(axis=-1) <= 12
    assert (is_red.any(axis=1).sum(), is_red.any(axis=0).sum()) == (200, 50)


@pytest.mark.parametrize("image", [b"", b"not an image", encoded(image_format="JPEG")[:300]])
def test_a_broken_image_leaves_its_place_and_no_error(tmp_path, image):
    pixels = draw(tmp_path / "sheet.png", [Tile(image, ["caption"]), Tile(encoded(), [])])
    assert pixels_near(pixels, RED) == pytest.approx(200 * 200, rel=0.01)


def test_the_accent_is_drawn_beneath_the_picture(tmp_path):
    pixels = draw(tmp_path / "sheet.png", [Tile(encoded(), [], accent="#00ff00")])
    assert pixels_near(pixels, (0, 255, 0)) == 200 * 5


@pytest.mark.parametrize("caption", [["x" * 500], [("y" * 500, "100%")], ["猫" * 90], [""], ["القطط والكلاب " * 20]])
def test_captions_never_run_into_the_next_picture(tmp_path, caption):
    pixels = draw(tmp_path / "sheet.png", [Tile(encoded(), caption), Tile(encoded(), [])], columns=2)
    gap = pixels[110:, 32 + 200 + 2 : 32 + 200 + 18]
    assert (gap == 255).all()


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (36, 4), (100, 10), (7, 2)])
def test_rows_are_filled(tmp_path, count, rows):
    pixels = draw(tmp_path / "sheet.png", [Tile(encoded(), []) for _ in range(count)])
    is_red = np.abs(pixels - RED).max(axis=-1) <= 12
    starts = np.flatnonzero(np.diff(is_red.any(axis=1).astype(int), prepend=0) == 1)
    assert len(starts) == rows
    assert is_red.sum() == pytest.approx(count * 200 * 200, rel=0.01)


def test_the_title_stands_alone_without_pictures(tmp_path):
    pixels = draw(tmp_path / "sheet.png", [], "No mistakes among 80 images")
    assert 100 < pixels.shape[0] < 300
    assert (pixels < 100).any()


def test_the_suffix_tells_the_format(tmp_path):
    draw_contact_sheet(tmp_path / "sheet.jpg", [Tile(encoded(), [])], "title")
    with Image.open(tmp_path / "sheet.jpg") as picture:
        assert picture.format == "JPEG"


def test_a_place_without_a_tile_stays_empty(tmp_path):
    tile = Tile(encoded(), [])
    pixels = draw(tmp_path / "sheet.png", [tile, None, tile], columns=3)
    is_red = (np.abs(pixels - RED).max(axis=-1) <= 12).any(axis=0)
    assert np.flatnonzero(np.diff(is_red.astype(int), prepend=0) == 1).tolist() == [32, 32 + 2 * 220]
