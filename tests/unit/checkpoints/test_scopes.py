import pytest

from slim_train.checkpoints.scopes import auxiliary_scope, in_scope, select, split_scopes, top_scopes
from slim_train.errors import UsageError

NAMES = [
    "resnet_v2_101/conv1/weights",
    "resnet_v2_101/logits/weights",
    "resnet_v2_101/logits/biases",
    "resnet_v2_101/logits2/weights",
]


@pytest.mark.parametrize(
    ("text", "scopes"),
    [(None, ()), ("", ()), ("a", ("a",)), ("a/b/, c ,", ("a/b", "c")), ("/", ())],
)
def test_scopes_are_separated_by_commas(text, scopes):
    assert split_scopes(text) == scopes


def test_a_scope_ends_at_a_slash():
    assert select(NAMES, ["resnet_v2_101/logits"], "trainable_scopes") == NAMES[1:3]


def test_a_scope_may_be_one_whole_variable():
    assert in_scope("a/weights", "a/weights")


def test_a_variable_in_two_scopes_is_listed_once():
    assert select(NAMES, ["resnet_v2_101", "resnet_v2_101/logits"], "trainable_scopes") == NAMES


def test_a_scope_that_matches_nothing_is_an_error_with_near_names():
    with pytest.raises(UsageError, match=r"--trainable_scopes.*'resnet_v2_101/logit'.*resnet_v2_101/logits"):
        select(NAMES, ["resnet_v2_101/logit"], "trainable_scopes")


def test_a_scope_like_none_of_the_net_lists_what_there_is():
    with pytest.raises(UsageError, match="resnet_v2_101/conv1"):
        select(NAMES, ["XYZ"], "trainable_scopes")


def test_top_scopes_keep_their_order():
    assert top_scopes(NAMES) == ["resnet_v2_101/conv1", "resnet_v2_101/logits", "resnet_v2_101/logits2"]


def test_auto_stands_for_the_classification_head():
    heads = ("InceptionV3/Logits", "InceptionV3/AuxLogits")
    assert split_scopes("auto", heads) == heads
    assert split_scopes("InceptionV3/Mixed_7c, auto", heads) == ("InceptionV3/Mixed_7c", *heads)


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("InceptionV4/AuxLogits/Conv2d_1b_1x1/weights", "InceptionV4/AuxLogits"),
        ("aux_11/aux_logits/FC/biases", "aux_11"),
        ("InceptionV4/Logits/Logits/weights", None),
    ],
)
def test_variables_of_an_auxiliary_head_are_told_by_their_scope(name: str, scope: str | None) -> None:
    assert auxiliary_scope(name) == scope
