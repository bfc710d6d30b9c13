"""A user's class for the UAI service, written for TensorFlow 1, runs as it is; the two example models are built in."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slim_train.errors import UsageError
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.predictor import load_predictor
from slim_train.serving.batcher import Batcher, BatchLimits
from slim_train.serving.errors import RequestError
from slim_train.serving.uai.source import UaiSource
from slim_train.serving.uai.user_model import Upload
from slim_train.tf_compat import tf

# In the manner of the SDK's examples: a graph and a session of TensorFlow 1, Pillow on the requests, results as text.
BRIGHTNESS = """
import tensorflow as tf
import numpy as np
from PIL import Image
from uai.arch.tf_model import TFAiUcloudModel
from brightness_conf import BrightnessConfLoader

class BrightnessModel(TFAiUcloudModel):
    def __init__(self, conf):
        super(BrightnessModel, self).__init__(conf)

    def _parse_conf(self, conf):
        loader = BrightnessConfLoader(conf)
        self.model_dir = loader.get_model_dir()
        self.side = loader.side

    def load_model(self):
        sess = tf.Session()
        x = tf.placeholder(tf.float32, [None, self.side * self.side])
        weight = tf.Variable(tf.zeros([self.side * self.side, 1]), name="weight")
        self.output["y"] = tf.reshape(tf.matmul(x, weight), [-1])
        tf.train.Saver().restore(sess, tf.train.latest_checkpoint(self.model_dir))
        self.output["x"], self.output["sess"] = x, sess

    def execute(self, data, batch_size):
        rows = []
        for i in range(batch_size):
            image = Image.open(data[i]).resize((self.side, self.side)).convert("L")
            assert data[i].body, "the bytes can be had as well"
            rows.append(np.array(image).reshape(-1).astype(np.float32) / 255.0)
        values = self.output["sess"].run(self.output["y"], feed_dict={self.output["x"]: np.array(rows)})
        return [["bright" if value > 0.5 else "dark", value] for value in values]
"""
BRIGHTNESS_CONF = """
import tensorflow as tf
from uai.arch_conf.tf_conf import TFJsonConfLoader

class BrightnessConfLoader(TFJsonConfLoader):
    def _load(self):
        super(BrightnessConfLoader, self)._load()
        assert tf.Session, "TensorFlow 1 in this file too"
        self.side = int(self.server_conf["tensorflow"]["side"])
"""

EXITS = """
import sys
from PIL import Image
from uai.arch.tf_model import TFAiUcloudModel

class Mine(TFAiUcloudModel):
    def execute(self, data, batch_size):
        if Image.open(data[0]).format == "PNG":
            sys.exit("no PNG")
        return ["JPEG"]
"""

ASKS_HELPERS = """
import helper
from uai.arch.tf_model import TFAiUcloudModel

class Mine(TFAiUcloudModel):
    def execute(self, data, batch_size):
        import words
        return ["%s, %s" % (helper.WHO, words.WHO)]
"""
HAS_DATACLASS = """
from dataclasses import dataclass
from uai.arch.tf_model import TFAiUcloudModel

@dataclass
class Answer:
    value: int

class Mine(TFAiUcloudModel):
    def execute(self, data, batch_size):
        return [Answer(3).value]
"""


def write_conf(folder: Path, main_class: str, main_file: str, infor: Any = None, **tensorflow: str) -> Path:
    server = {
        "exec": {"main_class": main_class, "main_file": main_file},
        "tensorflow": {"model_dir": "./checkpoint_dir", **tensorflow},
    }
    content = {"http_server": server} | ({"infor": infor} if infor else {})
    (folder / "conf.json").write_text(json.dumps(content, indent="\t"))
    return folder / "conf.json"


def write_model(folder: Path, code: str, **helpers: str) -> None:
    """mine.py, the files beside it, and the folder that every conf.json names."""
    folder.mkdir(exist_ok=True)
    (folder / "checkpoint_dir").mkdir(exist_ok=True)
    for name, content in {"mine": code, **helpers}.items():
        (folder / f"{name}.py").write_text(content)


def load(conf: Path) -> Any:
    source = UaiSource(None, conf, 50)
    return source.load(source.find())


@pytest.fixture
def brightness(tmp_path: Path) -> Any:
    """The user's model above, whose weights take the mean of the pixels."""
    (tmp_path / "brightness.py").write_text(BRIGHTNESS)
    (tmp_path / "brightness_conf.py").write_text(BRIGHTNESS_CONF)
    (tmp_path / "checkpoint_dir").mkdir()
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        tf.Variable(np.full([16, 1], 1 / 16, np.float32), name="weight")
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(tmp_path / "checkpoint_dir" / "model"))
    return load(write_conf(tmp_path, "BrightnessModel", "brightness", side="4"))


def grey(value: int) -> bytes:
    """A PNG of one shade."""
    buffer = io.BytesIO()
    Image.new("L", (20, 20), value).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_users_class_answers_a_batch(brightness: Any) -> None:
    batch = [brightness.prepare(grey(value)) for value in (255, 51)]
    results = brightness.run(batch)
    assert results == [["bright", pytest.approx(1.0)], ["dark", pytest.approx(0.2)]]
    assert json.dumps(results)  # no type of NumPy's is left
    assert brightness.labels is None


def test_a_batch_can_be_run_again_one_by_one(brightness: Any) -> None:
    upload = brightness.prepare(grey(255))
    [[label, score]] = brightness.run([upload])
    assert brightness.run([upload]) == [[label, pytest.approx(score)]]


def test_bytes_that_the_class_cannot_open_are_the_clients_fault(brightness: Any) -> None:
    with pytest.raises(RequestError, match="The image cannot be read: not an image") as refused:
        brightness.run([brightness.prepare(b"plain text")])
    assert refused.value.status == 400


def test_a_failure_on_a_whole_picture_is_the_classs_own(brightness: Any, photo: Callable[..., bytes]) -> None:
    brightness._model.output.clear()
    with pytest.raises(KeyError):
        brightness.run([brightness.prepare(photo())])


def test_two_models_may_have_files_of_one_name(tmp_path: Path) -> None:
    answers = []
    for name in ("one", "two"):
        write_model(tmp_path / name, ASKS_HELPERS, helper="from words import WHO", words=f"WHO = {name!r}")
        answers.append(load(write_conf(tmp_path / name, "Mine", "mine")))
    assert [servable.run([Upload(b"?")]) for servable in answers] == [["one, one"], ["two, two"]]


def test_a_model_that_is_loaded_anew_gets_its_helpers_anew(tmp_path: Path) -> None:
    results = []
    for word in ("old", "new"):
        write_model(tmp_path, ASKS_HELPERS, helper="from words import WHO", words=f"WHO = {word!r}")
        servable = load(write_conf(tmp_path, "Mine", "mine"))
        results += servable.run([Upload(b"?")])
        servable.close()
    assert results == ["old, old", "new, new"]


def test_a_helper_goes_before_a_library_of_its_name_for_its_own_model_only(tmp_path: Path) -> None:
    write_model(tmp_path, ASKS_HELPERS, helper="from colorsys import WHO", words="WHO = 'me'", colorsys="WHO = 'me'")
    assert load(write_conf(tmp_path, "Mine", "mine")).run([Upload(b"?")]) == ["me, me"]
    sys.modules.pop("colorsys", None)
    import colorsys

    assert colorsys.rgb_to_hsv


def test_a_folder_without_python_in_it_hides_no_library(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    write_model(tmp_path, ASKS_HELPERS, helper="import json\nWHO = json.dumps(1)", words="WHO = 2")
    assert load(write_conf(tmp_path, "Mine", "mine")).run([Upload(b"?")]) == ["1, 2"]


def test_packages_beside_the_file_and_circles_of_imports_work_as_in_a_script(tmp_path: Path) -> None:
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "__init__.py").touch()
    (tmp_path / "nets" / "small.py").write_text(
        "from . import large\nimport tensorflow as tf\nWHO = tf.Session and large.WHO"
    )
    (tmp_path / "nets" / "large.py").write_text("import nets.small\nWHO = 'large'")
    write_model(
        tmp_path,
        ASKS_HELPERS,
        helper="import nets.small as net\nWHO = net.WHO",
        words="import helper\nWHO = helper.WHO",
    )
    assert load(write_conf(tmp_path, "Mine", "mine")).run([Upload(b"?")]) == ["large, large"]


def test_a_model_that_is_closed_or_does_not_load_leaves_no_modules(tmp_path: Path) -> None:
    before = set(sys.modules)
    write_model(tmp_path, ASKS_HELPERS, helper="WHO = 1", words="WHO = 2")
    load(write_conf(tmp_path, "Mine", "mine")).close()
    with pytest.raises(UsageError):
        load(write_conf(tmp_path, "Yours", "mine"))
    assert [name for name in set(sys.modules) - before if not name.startswith("uai")] == []


def test_a_file_may_have_dataclasses_and_postponed_annotations(tmp_path: Path) -> None:
    write_model(tmp_path, "from __future__ import annotations\n" + HAS_DATACLASS)
    assert load(write_conf(tmp_path, "Mine", "mine")).run([Upload(b"?")]) == [3]


def test_a_class_that_calls_exit_fails_on_the_request_and_answers_the_next(
    tmp_path: Path, photo: Callable[..., bytes]
) -> None:
    write_model(tmp_path, EXITS)
    servable = load(write_conf(tmp_path, "Mine", "mine"))
    with ThreadPoolExecutor(1) as pool:
        batcher = Batcher(servable.prepare, servable.run, BatchLimits(1, 0.0, 8), pool)
        exits, answers = batcher.submit([photo("PNG"), photo("JPEG")])
        with pytest.raises(RuntimeError, match="Mine.execute raised SystemExit"):
            exits.result(60)
        assert answers.result(60) == "JPEG"
        batcher.close()


def test_tensorflow_elsewhere_stays_what_it_was(brightness: Any) -> None:
    import tensorflow

    assert not hasattr(tensorflow, "Session")
    assert tensorflow.executing_eagerly()


def test_an_upload_is_a_file_and_its_bytes() -> None:
    upload = Upload(b"abc")
    assert (upload.read(2), upload.body) == (b"ab", b"abc")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print 'Python 2'", "mine.py.*does not load.*print"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("x = 1", "no attribute 'Mine'"),
        ("raise SystemExit", "SystemExit"),
        ("class Mine:\n    def __init__(self, conf):\n        conf['gone']", "gone"),
    ],
)
def test_a_file_that_does_not_load_is_named_with_the_reason(tmp_path: Path, code: str, message: str) -> None:
    (tmp_path / "checkpoint_dir").mkdir()
    (tmp_path / "mine.py").write_text(code)
    with pytest.raises(UsageError, match=message):
        load(write_conf(tmp_path, "Mine", "mine"))


def test_a_class_that_is_nowhere_is_refused_with_those_built_in(tmp_path: Path) -> None:
    (tmp_path / "checkpoint_dir").mkdir()
    with pytest.raises(UsageError, match="Did you mean slimModel"):
        UaiSource(None, write_conf(tmp_path, "SlimModel", "sliminfer"), 50)


def test_the_retrain_example_is_built_in(tmp_path: Path, photo: Callable[..., bytes]) -> None:
    folder = tmp_path / "code" / "checkpoint_dir"
    folder.mkdir(parents=True)
    with tf.Graph().as_default() as graph:
        pixels = tf.placeholder(tf.float32, [None, 32, 48, 3], name="Placeholder")
        means = tf.reduce_mean(pixels, [1, 2])
        tf.identity(means / tf.reduce_sum(means, 1, keepdims=True), name="final_result")
        (folder / "frozen_inference_graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    (folder / "label_map.txt").write_text("red\ngreen\nblue\n")
    conf = write_conf(
        tmp_path, "RetrainedClassificationModel", "retrain_inference", input_width="48", input_height="32"
    )
    servable = load(conf)
    servable.warm_up(1)
    (scores,) = servable.run([servable.prepare(photo())])
    assert servable.labels == ("red", "green", "blue")
    means = np.asarray(Image.open(io.BytesIO(photo()))).mean((0, 1))
    np.testing.assert_allclose(scores, means / means.sum(), atol=0.02)


@pytest.fixture
def old_folder(mobilenet_folder: Path, tmp_path: Path) -> Path:
    """A checkpoint folder as of research/slim: no config.yaml."""
    folder = tmp_path / "checkpoint_dir"
    shutil.copytree(mobilenet_folder, folder)
    (folder / "config.yaml").unlink()
    return folder


SLIM = {"preprocessing_name": "None", "model_name": "mobilenet_v1_025", "eval_image_size": "64"}


def test_the_slim_example_is_built_in(
    old_folder: Path, mobilenet_folder: Path, tmp_path: Path, photo: Callable[..., bytes]
) -> None:
    servable = load(write_conf(tmp_path, "slimModel", "sliminfer", infor=SLIM))
    (scores,) = servable.run([servable.prepare(photo())])
    np.testing.assert_allclose(scores, load_predictor(mobilenet_folder).predict([photo()])[0], atol=1e-5)


def test_the_slim_example_has_a_class_too_many(old_folder: Path, tmp_path: Path, photo: Callable[..., bytes]) -> None:
    (old_folder / "labels.txt").write_text("0:daisy\n1:dandelion\n2:roses\n3:sunflowers\n")
    (old_folder / "info.json").write_text(json.dumps({"num_class": 4, "num_sample_train": 1, "num_sample_test": 1}))
    servable = load(write_conf(tmp_path, "slimModel", "sliminfer", infor=SLIM))
    assert servable.labels == ("daisy", "dandelion", "roses", "sunflowers", "unused 1")
    assert len(servable.run([servable.prepare(photo())])[0]) == 5


@pytest.mark.slow
def test_a_built_in_model_decodes_in_full_if_the_server_is_told_so(
    old_folder: Path, mobilenet_folder: Path, tmp_path: Path, photo: Callable[..., bytes]
) -> None:
    large = photo(size=(1200, 900))
    source = UaiSource(None, write_conf(tmp_path, "slimModel", "sliminfer", infor=SLIM), 50, "never")
    (scores,) = (servable := source.load(source.find())).run([servable.prepare(large)])
    given = ModelOverrides(scaled_decoding="never")
    np.testing.assert_allclose(scores, load_predictor(mobilenet_folder, given).predict([large])[0], atol=1e-6)


def test_a_class_of_the_user_takes_no_scaled_decoding(tmp_path: Path) -> None:
    write_model(tmp_path, "class Mine: pass\n")
    with pytest.raises(UsageError, match=r"--scaled_decoding=never: .*mine\.py of .*conf\.json decodes images itself"):
        UaiSource(None, write_conf(tmp_path, "Mine", "mine"), 50, "never")


def test_the_slim_example_needs_its_net_named(old_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"infor\.model_name must name the net"):
        load(write_conf(tmp_path, "slimModel", "sliminfer"))
    wrong = {**SLIM, "model_name": "mobilenet_v9"}
    with pytest.raises(UsageError, match=r"conf\.json: infor\.model_name: Unknown net 'mobilenet_v9'"):
        load(write_conf(tmp_path, "slimModel", "sliminfer", infor=wrong))


def test_a_folder_of_our_own_training_needs_nothing_named(mobilenet_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(mobilenet_folder, tmp_path / "checkpoint_dir")
    servable = load(write_conf(tmp_path, "slimModel", "sliminfer"))
    assert servable.describe()["height"] == 64
