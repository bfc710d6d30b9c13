import dataclasses

import pytest

from slim_train.config import (
    Options,
    flag_specs,
    option,
    read_yaml,
    refuse_code_of_training_folder,
    with_values,
    write_yaml,
)
from slim_train.errors import UsageError
from slim_train.evaluation.options import EvalOptions
from slim_train.training_options import TrainOptions


@dataclasses.dataclass(frozen=True)
class _Inner(Options):
    """Inner."""

    rate: float = option(0.5, "A rate.", at_least=0)
    kind: str = option("red", "A color.", choices=("red", "green"))


@dataclasses.dataclass(frozen=True)
class _Outer(Options):
    """Outer."""

    inner: _Inner = dataclasses.field(default_factory=_Inner)
    count: int | None = option(None, "A count.", aliases=("number",), at_least=1)
    loud: bool = option(False, "Whether to shout.")
    folder: str | None = option(None, "A folder.")
    once: bool = option(False, "Not for the next run.", saved=False)


def _yaml(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_nested_options_flatten_to_flags_with_their_types():
    specs = {spec.name: spec for spec in flag_specs(_Outer())}
    assert list(specs) == ["rate", "kind", "count", "loud", "folder", "once"]
    assert (specs["count"].type, specs["count"].optional, specs["count"].default) == (int, True, None)
    assert (specs["rate"].type, specs["rate"].group) == (float, "Inner.")


def test_no_two_options_of_a_command_share_a_name():
    for options in (TrainOptions(), EvalOptions()):
        names = [name for spec in flag_specs(options) for name in (spec.name, *spec.info.aliases)]
        assert len(names) == len(set(names))


def test_with_values_replaces_at_any_depth_and_leaves_the_original():
    before = _Outer()
    after = with_values(before, {"rate": 2.0, "loud": True})
    assert (after.inner.rate, after.loud, before.inner.rate) == (2.0, True, 0.5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"rate": -1.0}, r"--rate=-1.0 must be at least 0\.$"),
        ({"kind": "gren"}, r"must be one of red, green; did you mean green\?$"),
        ({"kind": "vast"}, r"must be one of red, green\.$"),
    ],
)
def test_a_value_out_of_bounds_is_refused_and_named(values, words):
    with pytest.raises(UsageError, match=words):
        with_values(_Outer(), values)


def test_nan_is_out_of_every_bound():
    with pytest.raises(UsageError, match="finite"):
        _Inner(rate=float("nan"))


def test_an_unquoted_yaml_true_is_the_word_where_the_flag_takes_that(tmp_path):
    path = _yaml(tmp_path, "freeze_batch_norm: true\n")
    assert read_yaml(path, TrainOptions()) == {"freeze_batch_norm": "true"}


def test_written_options_read_back_the_same(tmp_path):
    options = with_values(_Outer(), {"rate": 1e-5, "count": 3, "folder": "Gesichter/表情"})
    path = tmp_path / "config.yaml"
    write_yaml(path, options)
    assert with_values(_Outer(), read_yaml(path, _Outer())) == options
    assert list(tmp_path.iterdir()) == [path]


def test_options_of_one_run_only_are_not_written(tmp_path):
    write_yaml(tmp_path / "config.yaml", with_values(_Outer(), {"once": True}))
    assert "once" not in read_yaml(tmp_path / "config.yaml", _Outer())


def test_yaml_takes_aliases_scientific_notation_and_lists(tmp_path):
    path = _yaml(tmp_path, "number: 4\nrate: 1e-4\nfolder: [a, b]\n")
    assert read_yaml(path, _Outer()) == {"count": 4, "rate": 1e-4, "folder": "a,b"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rat: 1\n", "unknown key 'rat'. Did you mean rate?"),
        ("count: many\n", "count must be a whole number, got 'many'"),
        ("count: true\n", "count must be a whole number, got True"),
        ("loud: 1\n", "loud must be true or false, got 1"),
        ("rate: null\n", "rate must be a number, got None"),
        ("count: 0\n", "count: 0 must be at least 1"),
        ("count: 1\nnumber: 2\n", "second value"),
        ("- 1\n", "must hold 'flag: value' lines"),
        ("a: [\n", "is not valid YAML"),
    ],
)
def test_a_bad_yaml_file_is_refused_naming_the_file_and_the_key(tmp_path, text, words):
    path = _yaml(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_yaml(path, _Outer())
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_yaml_cannot_build_python_objects(tmp_path):
    path = _yaml(tmp_path, "folder: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(UsageError, match="not valid YAML"):
        read_yaml(path, _Outer())


def test_a_missing_yaml_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.yaml"):
        read_yaml(tmp_path / "nowhere.yaml", _Outer())


def test_code_that_the_config_of_a_training_folder_names_must_be_named_again(tmp_path):
    path = tmp_path / "config.yaml"
    values = {"model_file": "net.py", "model_name": "net"}
    refuse_code_of_training_folder(path, values, TrainOptions(), [])  # a file that the user wrote
    (tmp_path / "checkpoint").touch()
    with pytest.raises(UsageError, match=r"names code to run\. If you trust it, also give --model_file=net\.py\."):
        refuse_code_of_training_folder(path, values, TrainOptions(), [])
    refuse_code_of_training_folder(path, values, TrainOptions(), ["model_file"])
    refuse_code_of_training_folder(path, {**values, "model_file": None}, TrainOptions(), [])


@pytest.mark.parametrize("url", ["gs://bucket/run", "s3://bucket/run", "hdfs://host/run", "no-such-scheme://a"])
def test_a_url_that_no_file_system_serves_is_refused_with_its_flag(url):
    with pytest.raises(UsageError, match=f"--folder={url} .*{url.partition('//')[0]}.*[Ii]nstall"):
        _Outer(folder=url)


def test_a_file_url_is_the_path_that_it_names():
    assert _Outer(folder="file:///data/my%20run").folder == "/data/my run"


def test_a_configuration_file_at_a_url_that_nothing_serves_is_refused():
    with pytest.raises(UsageError, match="--config=swift://bucket/recipe.yaml .*nstall"):
        read_yaml("swift://bucket/recipe.yaml", _Outer())
