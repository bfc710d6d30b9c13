from __future__ import annotations

import pytest

from slim_train import config
from slim_train.cli import retrain

# What TF-Hub's script has.
DEFAULTS = {
    "output_graph": "/tmp/output_graph.pb",
    "intermediate_output_graphs_dir": "/tmp/intermediate_graph/",
    "intermediate_store_frequency": 0,
    "output_labels": "/tmp/output_labels.txt",
    "summaries_dir": "/tmp/retrain_logs",
    "how_many_training_steps": 4000,
    "learning_rate": 0.01,
    "testing_percentage": 10,
    "validation_percentage": 10,
    "eval_step_interval": 10,
    "train_batch_size": 100,
    "test_batch_size": -1,
    "validation_batch_size": 100,
    "print_misclassified_test_images": False,
    "bottleneck_dir": "/tmp/bottleneck",
    "final_tensor_name": "final_result",
    "flip_left_right": False,
    "random_crop": 0,
    "random_scale": 0,
    "random_brightness": 0,
    "tfhub_module": "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/3",
    "logging_verbosity": "INFO",
}


@pytest.mark.parametrize("flag", DEFAULTS)
def test_flags_have_the_defaults_of_the_script(flag: str):
    assert {spec.name: spec.default for spec in config.flag_specs(retrain.COMMAND.defaults)}[flag] == DEFAULTS[flag]


def fails(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert retrain.COMMAND.main(list(argv)) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "--image_dir is required"),
        (["--testing_percentage=60", "--validation_percentage=40"], "leave no images to train on"),
        (["--testing_percentage=100"], "--testing_percentage=100 must be at most 99"),
        (["--validation_batch_size=0"], "--validation_batch_size=0 must be a number of images, or -1"),
        (["--model_name=lenet"], "--model_name=lenet requires --checkpoint_path"),
        (["--logging_verbosity=LOUD"], "must be one of DEBUG"),
    ],
)
def test_mistakes_are_told_in_a_line(capsys: pytest.CaptureFixture[str], argv: list[str], words: str):
    given = argv if not argv else ["--image_dir=pictures", *argv]
    assert words in fails(capsys, *given)
