"""Nets and recipes of users' files by the flags that name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from slim_train.errors import UsageError
from slim_train.nets import factory
from slim_train.nets.network_fn import network_fn_of
from slim_train.tf_compat import tf
from slim_train.training_options import NetCodeOptions, UserCodeOptions
from slim_train.user_code.load import load_module, load_net, load_nets, load_recipe, parse_arguments

NET = """
import tensorflow as tf
import tensorflow.contrib.slim as slim
from helper import WIDTH

def small(images, num_classes=10, is_training=True, depth=1):
    net = images
    for index in range(depth):
        net = slim.conv2d(net, WIDTH, [3, 3], stride=2, scope='conv%d' % index)
    net = tf.reduce_mean(net, [1, 2])
    return slim.fully_connected(net, num_classes, activation_fn=None, scope='logits'), {}

small.default_image_size = 32
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "helper.py").write_text("WIDTH = 4\n")
    path = tmp_path / "my_nets.py"
    path.write_text(NET)
    return str(path)


def test_a_net_of_a_file_is_complete(file: str) -> None:
    record = load_net(NetCodeOptions(model_file=file), "small")
    assert record is not None
    assert record.head_scopes == ("logits",)
    assert record.feature_width == 4
    assert [Path(path).name for path in record.files] == ["my_nets.py", "helper.py"]


def test_arguments_reach_the_net(file: str) -> None:
    record = load_net(NetCodeOptions(model_file=file, model_args="depth=2"), "small")
    assert record is not None
    with tf.Graph().as_default():
        network_fn_of(record, 3)(tf.zeros([1, 32, 32, 3]))
        assert "conv1/weights" in [variable.op.name for variable in tf.global_variables()]


def test_the_digest_follows_the_files_beside_it(file: str) -> None:
    before = load_net(NetCodeOptions(model_file=file), "small")
    Path(file).with_name("helper.py").write_text("WIDTH = 5\n")
    after = load_net(NetCodeOptions(model_file=file), "small")
    assert before and after and before.digest != after.digest
    assert after.feature_width == 5


def test_the_digest_follows_the_arguments(file: str) -> None:
    digests = set()
    for arguments in (None, "depth=1", "depth=2"):
        record = load_net(NetCodeOptions(model_file=file, model_args=arguments), "small")
        assert record is not None
        digests.add(record.digest)
    assert len(digests) == 3


def test_a_net_may_have_the_name_of_one_of_ours(file: str) -> None:
    Path(file).write_text(NET.replace("small", "lenet"))
    record = load_net(NetCodeOptions(model_file=file), "lenet")
    assert record is not None
    assert record.feature_width == 4


def test_all_nets_of_a_file_are_listed(file: str) -> None:
    Path(file).write_text(f"{NET}\ndef other(images, num_classes):\n    return small(images, num_classes)\n")
    assert [record.name for record in load_nets(NetCodeOptions(model_file=file), ())] == ["other", "small"]


def test_a_module_of_the_working_directory_is_found(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(file).parent
    package = folder / "my_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "nets.py").write_text(NET.replace("from helper", "from my_package.helper"))
    (folder / "helper.py").rename(package / "helper.py")
    monkeypatch.chdir(folder)
    record = load_net(NetCodeOptions(model_module="my_package.nets"), "small")
    assert record is not None
    assert record.feature_width == 4


def test_a_record_in_a_file_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factory._NETS, "_registered", {})
    file = tmp_path / "modern.py"
    file.write_text(
        "import slim_train as st\n"
        "from slim_train.tf_compat import slim, tf\n"
        "def build(images, num_classes):\n"
        "    net = tf.reduce_mean(slim.conv2d(images, 6, [3, 3], scope='conv'), [1, 2])\n"
        "    return slim.fully_connected(net, num_classes, scope='logits'), {}\n"
        "MINE = st.NetRecord('mine', build, default_image_size=16)\n"
        "st.register_net(st.NetRecord('registered', build, default_image_size=24))\n"
    )
    for name, size in (("MINE", 16), ("registered", 24)):
        record = load_net(NetCodeOptions(model_file=str(file)), name)
        assert record is not None
        assert (record.name, record.default_image_size, record.feature_width) == (name, size, 6)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = (\n", r"--model_file=.*my_nets\.py cannot be loaded\. .*my_nets\.py, line 1: '\(' was never closed"),
        ("import numpy\nimport nothing_here\n", r"my_nets\.py, line 2: No module named 'nothing_here'"),
        ("import sys\nsys.exit(3)\n", r"my_nets\.py, line 2: SystemExit: 3"),
        ("def smal(images, num_classes):\n    pass\n", r"Unknown net 'small'\. Did you mean smal\? Valid: smal\."),
        (
            "import tensorflow as tf\n\ncell = tf.contrib.rnn.LSTMCell\n",
            r"my_nets\.py, line 3: .*tf\.contrib\.rnn",
        ),
        (NET.replace("fully_connected", "fully_conected"), r"cannot be built on images of 32x32x3\. .*line 11: Attri"),
        (
            NET.replace("for index", "import sys; sys.exit(4)\n    for index"),
            r"cannot be built .*line 8: SystemExit: 4",
        ),
        (NET.replace("for index", "assert depth > 1\n    for index"), r"line 8: AssertionError: assert depth > 1$"),
        (NET.replace(", num_classes, act", ", 3, act"), r"must return logits of shape \[batch, 11\]"),
    ],
)
def test_a_file_that_does_not_work_is_one_sentence(source: str, message: str, file: str) -> None:
    Path(file).write_text(source)
    with pytest.raises(UsageError, match=message):
        load_net(NetCodeOptions(model_file=file), "small")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_file": "gone.py"}, r"--model_file=gone\.py: there is no such Python file"),
        ({"model_module": "gone_module"}, "--model_module=gone_module: there is no Python module 'gone_module'"),
        ({"model_file": "a.py", "model_module": "b"}, "--model_file and --model_module cannot be combined"),
        ({"model_args": "depth=1"}, "--model_args requires --model_file"),
        ({"arg_scope": "none"}, "--arg_scope requires --model_file"),
    ],
)
def test_flags_that_do_not_fit_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_net(NetCodeOptions(**options), "small")


def test_without_flags_there_is_nothing_to_load() -> None:
    assert load_net(NetCodeOptions(), "lenet") is None
    assert load_nets(NetCodeOptions(), ()) == []
    assert load_recipe(UserCodeOptions()) is None


def test_arguments_are_split_outside_of_brackets_and_quotes() -> None:
    assert parse_arguments("a=1, b=[1, 2],c='x,y'") == {"a": "1", "b": "[1, 2]", "c": "'x,y'"}
    with pytest.raises(UsageError, match=r"--model_args=a must be NAME=VALUE"):
        parse_arguments("a")


def test_a_recipe_is_loaded_with_its_digest(tmp_path: Path) -> None:
    file = tmp_path / "prep.py"
    file.write_text(
        "import tensorflow as tf\n"
        "def preprocess_image(image, output_height, output_width, is_training):\n"
        "    image = tf.image.resize_bilinear(tf.expand_dims(image, 0), [output_height, output_width])[0]\n"
        "    return image\n"
    )
    recipe = load_recipe(UserCodeOptions(preprocessing_file=str(file)))
    assert recipe is not None
    assert (recipe.name, recipe.files, recipe.gives_pixels) == ("prep", (str(file),), False)
    assert len(recipe.digest) == 64
    file.write_text(file.read_text().replace("return image", "return image + 1"))
    changed = load_recipe(UserCodeOptions(preprocessing_file=str(file)))
    assert changed is not None
    assert changed.digest != recipe.digest


def test_a_recipe_without_its_function_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "prep.py"
    file.write_text("def preprocess(image):\n    return image\n")
    with pytest.raises(UsageError, match=r"must define preprocess_image\(image, output_height"):
        load_recipe(UserCodeOptions(preprocessing_file=str(file)))


def test_a_module_is_loaded_by_any_flag(tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text("SIZE = 3\n")
    assert load_module("dataset_file", str(tmp_path / "data.py")).SIZE == 3
    with pytest.raises(UsageError, match=r"--dataset_file=none\.py: there is no such Python file"):
        load_module("dataset_file", "none.py")


def test_what_preprocessing_imports_when_it_runs_counts(tmp_path: Path) -> None:
    (tmp_path / "scaling.py").write_text("SCALE = 2.0\n")
    file = tmp_path / "prep.py"
    file.write_text(
        "import tensorflow as tf\n"
        "def preprocess_image(image, output_height, output_width, is_training):\n"
        "    from scaling import SCALE\n"
        "    image = tf.image.resize_bilinear(tf.expand_dims(image, 0), [output_height, output_width])[0]\n"
        "    return image * SCALE\n"
    )
    before = load_recipe(UserCodeOptions(preprocessing_file=str(file)))
    assert before is not None
    assert [Path(path).name for path in before.files] == ["prep.py", "scaling.py"]
    (tmp_path / "scaling.py").write_text("SCALE = 99.0\n")
    after = load_recipe(UserCodeOptions(preprocessing_file=str(file)))
    assert after is not None
    assert before.digest != after.digest


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("image[..., :1]", r"must return an image \[224, 224, 3\]\. It returned \(224, 224, 1\)"),
        ("sys.exit(3)", r"preprocess_image fails\. .*line 5: SystemExit: 3"),
    ],
)
def test_a_recipe_that_does_not_work_is_one_sentence(tmp_path: Path, returned: str, message: str) -> None:
    file = tmp_path / "prep.py"
    file.write_text(
        "import sys\nimport tensorflow as tf\n"
        "def preprocess_image(image, output_height, output_width, is_training):\n"
        "    image = tf.image.resize_bilinear(tf.expand_dims(image, 0), [output_height, output_width])[0]\n"
        f"    return {returned}\n"
    )
    with pytest.raises(UsageError, match=message):
        load_recipe(UserCodeOptions(preprocessing_file=str(file)))


def test_a_file_that_is_a_link_finds_the_files_beside_it(file: str, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "linked.py"
    link.parent.mkdir()
    link.symlink_to(file)
    record = load_net(NetCodeOptions(model_file=str(link)), "small")
    assert record is not None
    assert record.feature_width == 4


def test_arguments_that_nothing_takes_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "modern.py"
    file.write_text(
        "import slim_train as st\nfrom slim_train.tf_compat import slim, tf\n"
        "MINE = st.NetRecord('MINE', lambda images, n: (slim.fully_connected(slim.flatten(images), n), {}))\n"
    )
    with pytest.raises(UsageError, match="--model_args is for functions in research/slim's convention"):
        load_net(NetCodeOptions(model_file=str(file), model_args="depth=1"), "MINE")
    with pytest.raises(UsageError, match="gives depth two values"):
        parse_arguments("depth=1,depth=2")


def test_what_a_file_prints_is_no_result_of_a_command(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(file).write_text(
        NET.replace("    net = images", "    print('building')\n    net = images") + "print('loading')\n"
    )
    load_net(NetCodeOptions(model_file=file), "small")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("loading\nbuilding\n")


def test_a_file_without_nets_is_refused(file: str) -> None:
    Path(file).write_text("WIDTH = 3\n")
    with pytest.raises(UsageError, match=r"--model_file=.*my_nets\.py has no net: no function takes images"):
        load_nets(NetCodeOptions(model_file=file), ())
