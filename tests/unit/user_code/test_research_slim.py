"""Modules of research/slim made of ours; what files import of them is tested with :mod:`old_packages`."""

from __future__ import annotations

import pytest

from slim_train.nets import factory
from slim_train.tf_compat import slim, tf
from slim_train.user_code import research_slim


def test_every_family_of_nets_has_a_module() -> None:
    for family, records in factory.families().items():
        assert family in research_slim.module_names("nets")
        if not hasattr(research_slim.module("nets", family), records[0].name):
            assert family in ("inception", "resnet", "vgg", "alexnet", "overfeat")  # those of tf_slim, otherwise named


def test_a_module_that_there_is_not_is_none() -> None:
    assert research_slim.module("nets", "s3dg") is None
    assert research_slim.module("deployment", "model_deploy") is None


@pytest.mark.parametrize("use_batch_norm", [True, False])
def test_the_arg_scope_of_inception_nets_normalizes_if_asked(use_batch_norm: bool) -> None:
    scope = research_slim.inception_arg_scope(weight_decay=0.1, use_batch_norm=use_batch_norm)
    with tf.Graph().as_default(), slim.arg_scope(scope):
        slim.conv2d(tf.zeros([1, 4, 4, 3]), 2, [1, 1], scope="conv")
        names = {variable.op.name for variable in tf.global_variables()}
        assert ("conv/BatchNorm/moving_mean" in names) is use_batch_norm
        assert len(tf.losses.get_regularization_losses()) == 1


def test_a_hyperparameter_is_added_once_and_set_only_if_it_is_there() -> None:
    params = research_slim.HParams(depth=1)
    with pytest.raises(ValueError, match="depth"):
        params.add_hparam("depth", 2)
    with pytest.raises(KeyError):
        params.set_hparam("width", 2)
    assert "depth" in params
    assert params.get("width", 7) == 7


def test_blocks_of_resnets_are_stacked_with_the_arguments_of_research_slim() -> None:
    utils = research_slim.module("nets", "resnet_utils")
    assert utils is not None
    unit = {"num_outputs": 4, "kernel_size": 1, "stride": 2}
    blocks = [utils.Block("block", slim.conv2d, [unit])]
    with tf.Graph().as_default(), slim.arg_scope([utils.stack_blocks_dense], outputs_collections="mine"):
        net = utils.stack_blocks_dense(tf.zeros([1, 8, 8, 3]), blocks, None, False)
        assert net.shape.as_list() == [1, 4, 4, 4]
        assert tf.get_collection("mine")
        with pytest.raises(ValueError, match="store_non_strided_activations"):
            utils.stack_blocks_dense(net, blocks, None, True)
