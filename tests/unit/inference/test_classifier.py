"""A classifier for Python programs."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slim_train.errors import UsageError
from slim_train.inference.classifier import load_classifier

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)


@pytest.fixture(scope="module")
def classifier(training_folder):
    with load_classifier(training_folder) as loaded:
        yield loaded


def _png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_images_of_all_kinds_get_the_same_answer(classifier, tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(_png(PIXELS))
    images = [path, str(path), path.read_bytes(), Image.fromarray(PIXELS), PIXELS]
    first, *others = classifier.predict(images)
    for other in others:
        np.testing.assert_allclose(other.probabilities, first.probabilities, atol=1e-6)


@pytest.mark.parametrize("pixels", [PIXELS[..., 0], PIXELS[..., :1]], ids=["[H, W]", "[H, W, 1]"])
def test_grey_arrays_are_grey_images(classifier, pixels):
    [expected] = classifier.predict(_png(PIXELS[..., 0]))
    [found] = classifier.predict(pixels)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "P", "LA", "RGBA", "1"])
def test_pil_images_of_other_modes_are_classified_as_their_files_are(classifier, tmp_path: Path, mode):
    image = Image.fromarray(PIXELS).convert(mode)
    path = tmp_path / "image.tif"
    image.save(path)
    [expected], [found] = classifier.predict(path), classifier.predict(Image.open(path))
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)


def test_a_prediction_names_the_best_classes_first(classifier):
    [prediction] = classifier.predict(PIXELS, top=2)
    assert len(prediction.top) == 2
    assert (prediction.label, prediction.probability) == prediction.top[0]
    assert prediction.probability == prediction.probabilities.max()
    assert prediction.label == classifier.labels[prediction.probabilities.argmax()]
    assert prediction.to_dict()["top"][0]["label"] == prediction.label


def test_more_images_than_a_batch_are_answered_in_their_order(classifier):
    images = [np.full((8, 8, 3), value, np.uint8) for value in range(70)]
    predictions = classifier.predict(images)
    assert len(predictions) == 70
    [last] = classifier.predict(images[-1])
    np.testing.assert_allclose(predictions[-1].probabilities, last.probabilities, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("gone.jpg", "gone.jpg cannot be read: No such file"),
        (b"no image", "Image 0 cannot be read: "),
        (
            np.zeros((4, 4, 3), np.float32),
            r"Image 0 .* an array must be uint8 .*, not float32 \[4, 4, 3\]",
        ),
        (Image.new("F", (4, 4)), "Image 0 cannot be read: 32-bit pixels"),
        (np.zeros((4, 4, 7), np.uint8), r"not uint8 \[4, 4, 7\]"),
    ],
)
def test_an_image_that_cannot_be_read_is_a_usage_error(classifier, image, message):
    with pytest.raises(UsageError, match=message):
        classifier.predict([image])


def test_no_image_no_prediction(classifier):
    assert classifier.predict([]) == []


def test_a_closed_classifier_says_so(training_folder):
    with load_classifier(training_folder) as loaded:
        pass
    with pytest.raises(UsageError, match="classifier is closed"):
        loaded.predict(PIXELS)


@pytest.mark.parametrize("images", [5, None, "a\0b", np.zeros((0, 10, 3), np.uint8), [PIXELS, 3]])
def test_what_is_no_image_is_a_mistake_of_the_caller(classifier, images):
    with pytest.raises(UsageError):
        classifier.predict(images)


@pytest.mark.parametrize("top", [0, -1, 2.5])
def test_top_is_a_number_of_classes(classifier, top):
    with pytest.raises(UsageError, match=f"top={top} must be a whole number"):
        classifier.predict(PIXELS, top=top)


def test_where_the_net_looks_is_an_image(classifier):
    assert classifier.explain(PIXELS).size == (224, 224)
    with pytest.raises(UsageError, match=r"explain\(\) takes one image, not list"):
        classifier.explain([PIXELS])
    with pytest.raises(UsageError, match=r"Image 0 cannot be read"):
        classifier.explain(b"no image")
