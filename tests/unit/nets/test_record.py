"""What records say of released weights."""

from __future__ import annotations

import pytest

from slim_train.nets import factory
from slim_train.preprocessing.factory import recipe_names

RECORDS = [factory.get_record(name) for name in factory.net_names()]


def test_a_net_has_an_accuracy_if_and_only_if_its_weights_were_released() -> None:
    assert [r.name for r in RECORDS if (r.imagenet_top1 is None) != (r.checkpoint_url is None)] == []
    accuracies = [record.imagenet_top1 for record in RECORDS if record.imagenet_top1]
    assert 40 < min(accuracies) < max(accuracies) < 90


def test_each_net_has_an_archive_of_its_own() -> None:
    urls = [record.checkpoint_url for record in RECORDS if record.checkpoint_url]
    assert len(urls) == len(set(urls)) == 31
    assert [url for url in urls if not url.startswith("http") or not url.endswith((".tgz", ".tar.gz"))] == []


def test_larger_nets_of_a_family_are_better() -> None:
    for family in (
        ["mobilenet_v1_025", "mobilenet_v1_050", "mobilenet_v1_075", "mobilenet_v1"],
        ["mobilenet_v2_035", "mobilenet_v2_050", "mobilenet_v2", "mobilenet_v2_140"],
        ["resnet_v1_50", "resnet_v1_101", "resnet_v1_152"],
        ["resnet_v2_50", "resnet_v2_101", "resnet_v2_152"],
        ["inception_v1", "inception_v2", "inception_v3", "inception_v4", "inception_resnet_v2"],
        ["nasnet_mobile", "nasnet_large"],
        ["pnasnet_mobile", "pnasnet_large"],
    ):
        records = [factory.get_record(name) for name in family]
        for fact in ("imagenet_top1", "num_parameters", "flops"):
            values = [getattr(record, fact) for record in records]
            assert values == sorted(values)


def test_recipes_of_released_weights_exist() -> None:
    recipes = {record.checkpoint_preprocessing for record in RECORDS} - {None}
    assert recipes <= set(recipe_names())


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_the_paper_is_an_address(record: factory.NetRecord) -> None:
    assert record.paper.startswith("https://")
