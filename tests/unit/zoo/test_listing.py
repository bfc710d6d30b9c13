"""The nets as slim_models lists them."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from slim_train import config
from slim_train.cli.slim_models import COMMAND
from slim_train.cli.train_image_classifier import COMMAND as TRAIN
from slim_train.errors import UsageError
from slim_train.nets import factory
from slim_train.zoo import listing


def _printed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert COMMAND.main(list(argv)) == 0
    return capsys.readouterr().out


def test_no_names_mean_every_net() -> None:
    assert listing.find([]) == list(factory.net_names())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["mobilenet_v1"], ["mobilenet_v1"]),
        (["v1_0"], ["mobilenet_v1_025", "mobilenet_v1_050", "mobilenet_v1_075"]),
        (["resnet_v?_50"], ["resnet_v1_50", "resnet_v2_50"]),
        (["*xnet_v2"], ["alexnet_v2"]),
        (["overfeat", "vgg_1", "vgg_16"], ["overfeat", "vgg_16", "vgg_19"]),
    ],
)
def test_a_name_is_a_net_or_a_part_of_names_or_a_pattern(names: list[str], expected: list[str]) -> None:
    assert listing.find(names) == expected


@pytest.mark.parametrize("name", ["resnet_50", "resnet_?"])
def test_a_name_that_means_no_net_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"Did you mean resnet_v\d_50"):
        listing.find(["vgg_16", name])


def test_the_table_has_a_line_for_each_net(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.split() for line in _printed(capsys).splitlines()]
    assert [line[0] for line in lines[1:-2]] == list(factory.net_names())
    assert ["resnet_v1_50", "224", "25.6", "6.96", "75.2", "released"] in lines
    assert ["lenet", "28", "3.3", "0.0278"] in lines
    assert lines[-1][0] == "GFLOPs:"


def test_the_columns_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    head, *lines = _printed(capsys, "vgg").splitlines()[:-2]
    ends = [head.index(heading) + len(heading) for heading in ("image size", "(M)", "GFLOPs")]
    for line in lines:
        assert all(line[end - 1] != " " and line[end] == " " for end in ends)


def test_at_another_image_size_operations_are_counted_and_small_images_said_to_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = [line.split() for line in _printed(capsys, "*lex*", "lene*", "--image_size=56").splitlines()]
    assert ["lenet", "56", "12.9", "0.111"] in lines
    assert ["alexnet_v2", "56", "too", "small"] in lines


def test_a_full_name_shows_all_of_the_net(capsys: pytest.CaptureFixture[str]) -> None:
    printed = _printed(capsys, "inception_v3")
    for fact in (
        "299x299, 3 channels; at least 75x75",
        "1001, class 0 is background",
        "23,819,401",
        "11.4 at 299x299",
        "InceptionV3/Logits, InceptionV3/AuxLogits/Conv2d_2b_1x1",
        "AvgPool_1a, 2048 wide",
        "https://arxiv.org/abs/1512.00567",
        "inception_v3_2016_08_28.tar.gz",
        "78.0%",
        "--checkpoint_path=checkpoints/inception_v3",
    ):
        assert fact in printed


def test_weights_that_want_another_input_than_the_net_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    flags = "--preprocessing_name=inception --train_image_size=299"
    assert _printed(capsys, "resnet_v2_50").count(flags) == 2
    assert flags not in _printed(capsys, "resnet_v1_50")


@pytest.mark.parametrize("name", ["resnet_v2_50", "lenet"])
def test_the_training_command_has_only_flags_that_there_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(_printed(capsys, name).partition("To train ")[2].partition("\n\n")[2].replace("\\\n", " "))
    given = {word.removeprefix("--").partition("=")[0] for word in words if word.startswith("--")}
    known = {name for spec in config.flag_specs(TRAIN.defaults) for name in (spec.name, *spec.info.aliases)}
    assert {"dataset_dir", "train_dir", "model_name"} <= given
    assert given - {"download"} <= known


def test_json_holds_all_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    (net,) = json.loads(_printed(capsys, "mobilenet_v2", "--json"))
    assert net["flops"] == factory.get_record("mobilenet_v2").flops
    assert net["head_scopes"] == ["MobilenetV2/Logits"]
    assert net["imagenet_top1"] == 71.9
    assert re.fullmatch(r"https://.*mobilenet_v2_1\.0_224\.tgz", net["checkpoint_url"])
    assert [entry["name"] for entry in json.loads(_printed(capsys, "--json"))] == list(factory.net_names())


def test_a_wrong_name_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert COMMAND.main(["resnet_v3"]) == 2
    assert "Unknown net 'resnet_v3'. Did you mean resnet_v" in capsys.readouterr().err
