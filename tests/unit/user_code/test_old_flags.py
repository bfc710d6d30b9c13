"""Flags that users' files define."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from absl import flags

from slim_train.user_code.files import UserFiles
from slim_train.user_code.old_flags import flags_of


def _load(folder: Path, source: str) -> Any:
    (folder / "written.py").write_text(source)
    return UserFiles(folder).load("written")


@pytest.mark.parametrize(
    "line",
    [
        "import tensorflow as tf; flags = tf.app.flags",
        "import tensorflow as tf; flags = tf.flags",
        "from tensorflow import flags",
        "from absl import flags",
        "import absl.flags; flags = absl.flags",
        "import absl.flags as flags",
    ],
)
def test_flags_have_their_defaults_each_time_a_file_is_loaded(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train_image_classifier", "--depth=9", "--of_slim_train=1"])
    for depth in (3, 4):
        module = _load(tmp_path, f"{line}\nflags.DEFINE_integer('depth', {depth}, 'layers')\nFLAGS = flags.FLAGS\n")
        assert module.FLAGS.depth == depth
    assert "depth" not in flags.FLAGS


def test_old_names_of_arguments_are_taken(tmp_path: Path) -> None:
    module = _load(
        tmp_path,
        "import tensorflow as tf\n"
        "tf.app.flags.DEFINE_float(flag_name='decay', default_value=0.5, docstring='factor')\n"
        "decay = tf.app.flags.FLAGS.decay\n",
    )
    assert module.decay == 0.5


def test_a_flag_of_another_program_is_named() -> None:
    with pytest.raises(AttributeError, match=r"FLAGS\.train_dir is not defined in your files"):
        _ = flags_of("mine").FLAGS.train_dir


def test_files_beside_each_other_share_their_flags(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("from absl import flags\nflags.DEFINE_string('mode', 'fast', '')\n")
    module = _load(tmp_path, "import config\nimport tensorflow as tf\nmode = tf.app.flags.FLAGS.mode\n")
    assert module.mode == "fast"


def test_the_rest_of_absl_is_as_ever(tmp_path: Path) -> None:
    module = _load(tmp_path, "import absl\nfrom absl import app, logging\nfrom absl.testing import absltest\n")
    assert module.logging is __import__("absl.logging").logging
    assert module.absl.app is module.app
