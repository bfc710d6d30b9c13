from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slim_train.errors import UsageError
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.predictor import ImageError, Predictor, load_predictor
from slim_train.preprocessing.factory import get_preprocessing
from slim_train.tf_compat import tf

Photo = Callable[..., bytes]


@pytest.fixture(scope="module")
def predictor(mobilenet_folder: Path) -> Iterator[Predictor]:
    loaded = load_predictor(mobilenet_folder)
    yield loaded
    loaded.close()


def write_graph(path: Path, *, shape: tuple[int | None, ...] = (None, 8, 6, 3), names: tuple[str, str]) -> Path:
    """A frozen graph whose three scores are the mean of red, green and blue."""
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, shape, name=names[0])
        tf.reduce_mean(images, [1, 2], name=names[1])
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def write_saved_model(folder: Path, inputs: str = "image", outputs: str = "prediction") -> Path:
    """The same as a SavedModel."""
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        images = tf.placeholder(tf.float32, (None, 8, 6, 3))
        tf.saved_model.simple_save(session, str(folder), {inputs: images}, {outputs: tf.reduce_mean(images, [1, 2])})
    return folder


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (12, 10)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_training_folder_answers_for_each_class(predictor: Predictor, photo: Photo) -> None:
    assert (predictor.name, predictor.image_size, predictor.channels) == ("mobilenet_v1_025", (64, 64), 3)
    assert predictor.labels == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    scores = predictor.predict([photo(seed=seed) for seed in range(3)])
    assert (scores.shape, scores.dtype) == ((3, 5), np.float32)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-5)
    assert len({row.tobytes() for row in scores}) == 3


def test_a_picture_alone_and_in_a_batch_has_the_same_scores(predictor: Predictor, photo: Photo) -> None:
    pictures = [photo(seed=seed) for seed in range(40)]
    together = predictor.predict(pictures)
    np.testing.assert_allclose(together[35], predictor.predict(pictures[35:36])[0], atol=1e-5)
    assert predictor.predict([]).shape == (0, 5)


def test_pictures_are_prepared_as_evaluation_does(predictor: Predictor, photo: Photo) -> None:
    data = photo("PNG")
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        image = tf.io.decode_png(data, channels=3)
        expected = session.run(get_preprocessing("inception")(image, 64, 64))
    # The scaling to [-1, 1] is the graph's, as in an export.
    np.testing.assert_allclose(predictor.prepare(data) * (2 / 255) - 1, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("image_format", "mode", "options"),
    [
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "P", {}),
        ("WEBP", "RGB", {"lossless": True}),
        ("TIFF", "RGB", {}),
        ("BMP", "RGB", {}),
        ("GIF", "L", {}),
    ],
)
def test_every_kind_of_picture_is_read(
    image_format: str, mode: str, options: dict[str, bool], predictor: Predictor, photo: Photo
) -> None:
    expected = predictor.prepare(photo("PNG", mode="L" if mode == "L" else "RGB"))
    prepared = predictor.prepare(photo(image_format, mode=mode, **options))
    assert np.abs(prepared - expected).mean() < 10  # a palette of few colors is that far off


def test_a_photo_is_turned_upright(predictor: Predictor, photo: Photo) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned = predictor.prepare(photo("JPEG", quality=95, exif=exif))
    np.testing.assert_allclose(turned, predictor.prepare(photo("JPEG", quality=95))[::-1, ::-1], atol=12)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda data: b"", "empty file"),
        (lambda data: b"no image", "not an image"),
        (lambda data: data[:-200], "truncated"),
    ],
)
def test_bytes_that_are_no_picture_are_an_image_error(
    spoil: Callable[[bytes], bytes], reason: str, predictor: Predictor, photo: Photo
) -> None:
    with pytest.raises(ImageError, match=reason):
        predictor.prepare(spoil(photo()))


def test_a_decompression_bomb_is_an_image_error(predictor: Predictor) -> None:
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    with pytest.raises(ImageError, match="178 megapixels"):
        predictor.prepare(buffer.getvalue())


def test_threads_share_a_predictor(predictor: Predictor, photo: Photo) -> None:
    pictures = [photo(seed=seed) for seed in range(12)]
    expected = predictor.predict(pictures)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda data: predictor.predict([data])[0], pictures))
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_a_graph_of_retrain_is_read_with_the_labels_beside_it(tmp_path: Path) -> None:
    write_graph(tmp_path / "output_graph.pb", names=("Placeholder", "final_result"))
    (tmp_path / "output_labels.txt").write_text("red\ngreen\nblue\n")
    for path in (tmp_path, tmp_path / "output_graph.pb"):
        predictor = load_predictor(path)
        assert (predictor.labels, predictor.image_size, predictor.channels) == (("red", "green", "blue"), (8, 6), 3)
        np.testing.assert_allclose(predictor.predict([plain((255, 51, 0))]), [[1.0, 0.2, 0.0]], atol=1e-6)


def test_a_saved_model_on_float_images_is_read(tmp_path: Path) -> None:
    predictor = load_predictor(write_saved_model(tmp_path / "saved"), ModelOverrides(labels=("red", "green", "blue")))
    np.testing.assert_allclose(predictor.predict([plain((0, 51, 255))]), [[0.0, 0.2, 1.0]], atol=1e-6)


def test_layers_size_and_scaling_can_be_given(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "any.pb", shape=(None, None, None, 3), names=("in", "out"))
    predictor = load_predictor(
        graph,
        ModelOverrides(
            input_layer="in:0", output_layer="out", input_height=4, input_width=5, input_mean=100, input_std=50
        ),
    )
    assert predictor.image_size == (4, 5)
    np.testing.assert_allclose(predictor.predict([plain((0, 100, 200))]), [[-2.0, 0.0, 2.0]], atol=1e-5)


def test_classes_without_names_are_numbered(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "output_graph.pb", names=("Placeholder", "final_result"))
    assert load_predictor(graph).labels == ("0", "1", "2")


def test_the_newest_of_numbered_saved_models_is_taken(tmp_path: Path) -> None:
    for version in ("9", "10", "notes"):
        write_saved_model(tmp_path / version)
    assert load_predictor(tmp_path).name == "10"


@pytest.mark.parametrize("place", ["saved/labels.txt", "labels.txt", "output_labels.txt", "saved_labels.txt"])
def test_labels_lie_in_the_saved_model_or_beside_it(place: str, tmp_path: Path) -> None:
    write_saved_model(tmp_path / "saved")
    (tmp_path / place).write_text("red\ngreen\nblue\n")
    assert load_predictor(tmp_path / "saved").labels == ("red", "green", "blue")


def test_the_labels_file_of_its_own_name_is_a_graphs_before_any_other(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "g.pb", names=("Placeholder", "final_result"))
    (tmp_path / "labels.txt").write_text("one\ntwo\nthree\n")
    (tmp_path / "g_labels.txt").write_text("red\ngreen\nblue\n")
    assert load_predictor(graph).labels == ("red", "green", "blue")


@pytest.mark.slow
def test_a_training_folder_with_a_saved_model_in_it_is_its_newest_checkpoint(
    mobilenet_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "training"
    shutil.copytree(mobilenet_folder, folder)
    write_saved_model(folder / "saved_model" / "9")
    assert load_predictor(folder).name == load_predictor(mobilenet_folder).name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"labels": ("red", "green")}, "has 3 scores, but --labels names 2 classes"),
        ({"input_layer": "plaeholder"}, "--input_layer: .* has no 'plaeholder'. There are: Placeholder"),
        ({"output_layer": "Placeholder", "input_layer": "final_result"}, "final_result is float32 .*--input_layer"),
        ({"input_std": 0.0}, "--input_std"),
        ({"input_height": 299}, "--input_height=299: .* takes images of 8x6 pixels"),
    ],
)
def test_wrong_arguments_are_usage_errors_that_say_what_to_do(
    given: dict[str, object], message: str, tmp_path: Path
) -> None:
    graph = write_graph(tmp_path / "output_graph.pb", names=("Placeholder", "final_result"))
    with pytest.raises(UsageError, match=message):
        load_predictor(graph, ModelOverrides(**given))  # type: ignore[arg-type]


def test_a_size_that_nobody_knows_must_be_given(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "g.pb", shape=(None, None, None, 3), names=("input", "final_result"))
    with pytest.raises(UsageError, match="--input_height and --input_width"):
        load_predictor(graph)


def test_layers_that_cannot_be_guessed_must_be_given(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "g.pb", names=("in", "out"))
    with pytest.raises(UsageError, match="--input_layer .*in, out"):
        load_predictor(graph)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "holds no classifier"),
        (lambda path: path.write_bytes(b"nothing"), "not a complete TensorFlow checkpoint"),
    ],
)
def test_a_path_without_a_classifier_is_a_usage_error(
    make: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    make(tmp_path / "model")
    with pytest.raises(UsageError, match=message):
        load_predictor(tmp_path / "model")


def test_a_graph_whose_variables_are_not_frozen_is_a_usage_error(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, 8, 6, 3], name="input")
        tf.multiply(tf.reduce_mean(images, [1, 2]), tf.Variable([1.0, 2.0, 3.0]), name="scores")
    (tmp_path / "net.pb").write_bytes(graph.as_graph_def().SerializeToString())
    with pytest.raises(UsageError, match="frozen"):
        load_predictor(tmp_path / "net.pb")


def test_a_json_file_of_another_program_beside_a_graph_does_not_matter(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "model.pb", names=("Placeholder", "final_result"))
    (tmp_path / "model.json").write_text('{"format": "layers-model"}')
    assert load_predictor(graph).name == "model"


@pytest.mark.parametrize("name", ["model.pb", "saved/saved_model.pb"])
def test_a_broken_file_is_a_usage_error(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"no graph")
    with pytest.raises(UsageError, match="frozen graph" if name == "model.pb" else "SavedModel"):
        load_predictor(tmp_path / "saved" if "saved" in name else tmp_path / name)


def test_a_folder_with_several_graphs_asks_for_one(tmp_path: Path) -> None:
    for name in ("a.pb", "b.pb"):
        write_graph(tmp_path / name, names=("Placeholder", "final_result"))
    with pytest.raises(UsageError, match=r"a\.pb, b\.pb"):
        load_predictor(tmp_path)


def test_checkpoints_take_their_own_preprocessing(mobilenet_folder: Path) -> None:
    with pytest.raises(UsageError, match="preprocessing is as in training"):
        load_predictor(mobilenet_folder, ModelOverrides(input_mean=0.0))
    with pytest.raises(UsageError, match="square"):
        load_predictor(mobilenet_folder, ModelOverrides(input_height=32))


def test_a_checkpoint_folder_of_old_needs_only_its_net_named(mobilenet_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(mobilenet_folder, tmp_path / "old"))
    (folder / "config.yaml").unlink()
    predictor = load_predictor(folder, ModelOverrides(model_name="mobilenet_v1_025", input_height=32, input_width=32))
    assert (predictor.labels[0], predictor.image_size) == ("daisy", (32, 32))
