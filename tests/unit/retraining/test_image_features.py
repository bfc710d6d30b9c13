from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slim_train.errors import RunError
from slim_train.preprocessing import distort
from slim_train.retraining.bottlenecks import BottleneckStore
from slim_train.retraining.image_features import ImageFiles, compute_features, distorted_features
from slim_train.retraining.modules import FeatureModule
from slim_train.retraining.options import DistortionOptions
from slim_train.tf_compat import tf


def pixels(colour: tuple[int, int, int], height: int = 12, width: int = 10) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 20, (height, width, 3))
    return np.clip(noise + colour, 0, 255).astype(np.uint8)


def features_of(module: FeatureModule, folder: Path, names: list[str]) -> np.ndarray:
    store = BottleneckStore(folder / "store", module.num_features)
    return store.gather(compute_features(module, ImageFiles(folder, names), store))


def test_a_large_photograph_is_decoded_smaller_under_a_key_of_its_own(
    tmp_path: Path, colour_module: FeatureModule, photo
) -> None:
    (tmp_path / "large.jpg").write_bytes(photo(size=(1200, 900)))
    (tmp_path / "small.jpg").write_bytes(photo())
    names = ["large.jpg", "small.jpg"]
    in_full, scaled = (
        ImageFiles(tmp_path, names),
        ImageFiles(tmp_path, names, (colour_module.height, colour_module.width)),
    )
    assert (in_full.read(0).shape, scaled.read(0).shape) == ((900, 1200, 3), (113, 150, 3))
    assert scaled.read(0, enlarged=10.0).shape == (225, 300, 3)
    assert in_full.digests()[0] != scaled.digests()[0]
    assert in_full.digests()[1] == scaled.digests()[1]


def test_a_picture_is_seen_whole_resized_bilinearly_in_0_to_1(tmp_path: Path, colour_module: FeatureModule):
    picture = pixels((200, 100, 50))
    Image.fromarray(picture).save(tmp_path / "a.png")
    with tf.Graph().as_default(), tf.Session() as session:
        resized = session.run(tf.image.resize_bilinear(picture[np.newaxis] / np.float32(255.0), [8, 8]))
    expected = 10 * resized.mean(axis=(1, 2))
    np.testing.assert_allclose(features_of(colour_module, tmp_path, ["a.png"]), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [(".jpg", {"quality": 100}), (".webp", {"lossless": True}), (".bmp", {}), (".gif", {}), (".tiff", {})],
)
def test_any_type_of_picture_gives_nearly_the_features_of_its_png(
    tmp_path: Path, colour_module: FeatureModule, suffix: str, options: dict
):
    picture = Image.fromarray(pixels((180, 90, 60)))
    picture.save(tmp_path / "a.png")
    picture.save(tmp_path / f"a{suffix}", **options)
    png, other = features_of(colour_module, tmp_path, ["a.png", f"a{suffix}"])
    np.testing.assert_allclose(other, png, atol=0.15)


def test_each_of_many_pictures_gets_its_own_features(tmp_path: Path, colour_module: FeatureModule):
    names = [f"{number}.png" for number in range(100)]  # more batches than are computed at a time
    for number, name in enumerate(names):
        Image.new("RGB", (10, 10), (2 * number, 100, 0)).save(tmp_path / name)
    red = features_of(colour_module, tmp_path, names)[:, 0] * 25.5
    np.testing.assert_allclose(red, 2 * np.arange(100), atol=0.5)


def test_cmyk_grey_and_transparent_pictures_are_read(tmp_path: Path, colour_module: FeatureModule):
    colour = Image.new("RGB", (10, 10), (200, 120, 40))
    colour.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    colour.convert("L").save(tmp_path / "grey.png")
    colour.convert("RGBA").save(tmp_path / "alpha.png")
    cmyk, grey, alpha = features_of(colour_module, tmp_path, ["cmyk.jpg", "grey.png", "alpha.png"]) * 25.5
    np.testing.assert_allclose(cmyk, (200, 120, 40), atol=3)
    np.testing.assert_allclose(grey, (135, 135, 135), atol=1)
    np.testing.assert_allclose(alpha, (200, 120, 40), atol=1)


def test_a_rotated_photo_is_turned_upright(tmp_path: Path, tall_module: FeatureModule):
    picture = Image.fromarray(np.repeat([[[255] * 3], [[0] * 3]], 8, axis=0).repeat(16, axis=1).astype(np.uint8))
    picture.save(tmp_path / "upright.jpg", quality=100)
    exif = Image.Exif()
    exif[0x0112] = 3  # to be turned by 180 degrees
    picture.rotate(180).save(tmp_path / "turned.jpg", quality=100, exif=exif)
    upright, turned = features_of(tall_module, tmp_path, ["upright.jpg", "turned.jpg"])
    assert upright[0] > upright[1] + 0.5
    np.testing.assert_allclose(turned, upright, atol=0.05)


def test_only_new_and_changed_pictures_are_computed(
    tmp_path: Path, colour_module: FeatureModule, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    for number in range(4):
        Image.fromarray(pixels((50 * number, 0, 0))).save(tmp_path / f"{number}.png")
    features_of(colour_module, tmp_path, ["0.png", "1.png", "2.png"])
    Image.fromarray(pixels((0, 0, 250))).save(tmp_path / "1.png")
    (tmp_path / "2.png").rename(tmp_path / "renamed.png")
    caplog.clear()
    features = features_of(colour_module, tmp_path, ["0.png", "1.png", "renamed.png", "3.png"])
    assert "4 images, the features of 2 to compute" in caplog.text
    assert features[1].argmax() == 2


def test_what_was_computed_before_an_error_is_kept(
    tmp_path: Path, colour_module: FeatureModule, monkeypatch: pytest.MonkeyPatch
):
    for number in range(80):
        Image.fromarray(pixels((number, 0, 0))).save(tmp_path / f"{number}.png")
    pictures = ImageFiles(tmp_path, [f"{number}.png" for number in range(80)])
    read = pictures.read

    def interrupted(index: int) -> np.ndarray:
        if index == 79:
            raise KeyboardInterrupt
        return read(index)

    monkeypatch.setattr(pictures, "read", interrupted)
    with pytest.raises(Exception, match="KeyboardInterrupt"):
        compute_features(colour_module, pictures, BottleneckStore(tmp_path / "store", 3))
    assert len(BottleneckStore(tmp_path / "store", 3)) >= 32


def test_what_is_no_picture_is_rejected_with_its_reason(tmp_path: Path, colour_module: FeatureModule):
    Image.fromarray(pixels((1, 2, 3))).save(tmp_path / "good.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "good.jpg").read_bytes()[:300])
    (tmp_path / "notes.txt").write_text("no image")
    pictures = ImageFiles(tmp_path, ["good.jpg", "cut.jpg", "notes.txt", "gone.jpg"])
    keys = compute_features(colour_module, pictures, BottleneckStore(tmp_path / "store", 3))
    assert [key is None for key in keys] == [False, True, True, True]
    assert [pictures.rejected[number].reason for number in (1, 2, 3)] == ["truncated", "not an image", "cannot be read"]


def test_every_copy_of_a_broken_picture_is_rejected(tmp_path: Path, colour_module: FeatureModule):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"no image")
    pictures = ImageFiles(tmp_path, ["a.jpg", "b.jpg"])
    assert compute_features(colour_module, pictures, BottleneckStore(tmp_path / "store", 3)) == [None, None]
    assert [pictures.rejected[number].reason for number in (0, 1)] == ["not an image"] * 2


def one_batch(module: FeatureModule, folder: Path, batch_size: int, **options) -> np.ndarray:
    pictures = ImageFiles(folder, ["a.png"])
    batches = distorted_features(
        module, pictures, lambda: np.zeros(batch_size, np.int64), batch_size, DistortionOptions(**options), seed=3
    )
    numbers, features = next(batches)
    batches.close()
    assert numbers.tolist() == [0] * batch_size
    return features


def test_half_of_the_pictures_are_mirrored(tmp_path: Path, wide_module: FeatureModule):
    halves = np.zeros((8, 8, 3), np.uint8)
    halves[:, :4] = 255
    Image.fromarray(halves).save(tmp_path / "a.png")
    features = one_batch(wide_module, tmp_path, 200, flip_left_right=True)
    mirrored = (features == [0, 1]).all(axis=1)
    assert ((features == [1, 0]).all(axis=1) | mirrored).all()
    assert 60 < mirrored.sum() < 140


def test_brightness_multiplies_all_pixels_by_up_to_its_percent(tmp_path: Path, colour_module: FeatureModule):
    Image.new("RGB", (8, 8), (255, 102, 51)).save(tmp_path / "a.png")
    features = one_batch(colour_module, tmp_path, 200, random_brightness=30)
    light = features[:, 0] / 10
    np.testing.assert_allclose(features / light[:, np.newaxis], np.tile([10, 4, 2], (200, 1)), rtol=1e-4)
    assert 0.7 <= light.min() < 0.75
    assert 1.25 < light.max() <= 1.3


def test_a_crop_sees_windows_of_the_enlarged_picture(tmp_path: Path, wide_module: FeatureModule):
    """50% more of 8 pixels are 12, of which a window of 8 begins at 0 to 4."""
    ramp = np.repeat(np.arange(8, dtype=np.uint8)[np.newaxis] * 30, 8, axis=0)
    Image.fromarray(np.stack([ramp] * 3, axis=-1)).save(tmp_path / "a.png")
    with tf.Graph().as_default(), tf.Session() as session:
        enlarged = session.run(distort.resize(tf.constant(np.stack([ramp] * 3, axis=-1)), 12, 12))[:, :, 0] / 255.0
    windows = [[enlarged[:8, left : left + 4].mean(), enlarged[:8, left + 4 : left + 8].mean()] for left in range(5)]
    features = one_batch(wide_module, tmp_path, 100, random_crop=50)
    distances = np.abs(features[:, np.newaxis] - windows).max(axis=2)
    assert distances.min(axis=1).max() < 1e-5
    assert set(distances.argmin(axis=1)) == set(range(5))


def test_scale_zooms_in_by_up_to_its_percent(tmp_path: Path, wide_module: FeatureModule):
    dark_left = np.zeros((8, 8, 3), np.uint8)
    dark_left[:, 4:] = 255
    Image.fromarray(dark_left).save(tmp_path / "a.png")
    features = one_batch(wide_module, tmp_path, 100, random_scale=100)
    assert len(np.unique(features.round(3), axis=0)) > 20


def test_a_seed_repeats_the_distortions(tmp_path: Path, colour_module: FeatureModule):
    Image.fromarray(pixels((90, 120, 40))).save(tmp_path / "a.png")
    options = {"random_crop": 40, "random_scale": 30, "random_brightness": 20, "flip_left_right": True}
    first, second = (one_batch(colour_module, tmp_path, 20, **options) for _ in range(2))
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)
    assert len(np.unique(first, axis=0)) == 20


def test_other_graphs_can_be_built_between_batches(tmp_path: Path, colour_module: FeatureModule):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    before = tf.get_default_graph()
    batches = distorted_features(
        colour_module, ImageFiles(tmp_path, ["a.png"]), lambda: np.zeros(2, np.int64), 2, DistortionOptions(), seed=0
    )
    next(batches)
    assert tf.get_default_graph() is before
    batches.close()


def test_a_picture_that_was_removed_meanwhile_is_named(tmp_path: Path, colour_module: FeatureModule):
    batches = distorted_features(
        colour_module,
        ImageFiles(tmp_path, ["gone.png"]),
        lambda: np.zeros(4, np.int64),
        4,
        DistortionOptions(random_crop=10),
        seed=0,
    )
    with pytest.raises(RunError, match=r"gone\.png was changed: cannot be read"):
        next(batches)
