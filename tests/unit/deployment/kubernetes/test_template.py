import pytest
import yaml

from deployment.kubernetes.template import fill, to_yaml


def test_placeholders_are_replaced_and_keys_without_a_value_left_out():
    template = {"whole": "${number}", "part": "a-${name}", "none": "${nothing}", "list": "${words}", "plain": 1}
    values = {"number": 3, "name": "b", "nothing": None, "words": ["c", "d"]}
    assert fill([template], values) == [{"whole": 3, "part": "a-b", "list": ["c", "d"], "plain": 1}]


@pytest.mark.parametrize(
    "text",
    [
        "a: b",
        "x\n- y",
        "'\"",
        "# no comment",
        "*alias",
        "{x: 1}",
        "y",
        "1e3",
        "0o17",
        "null",
        "${name}",
        "$$",
        "é\u2028",
    ],
)
def test_no_value_is_read_as_yaml_or_as_a_placeholder(text):
    written = to_yaml([fill({"one": "${text}", "several": "${texts}"}, {"text": text, "texts": [text]})])
    assert list(yaml.safe_load_all(written)) == [{"one": text, "several": [text]}]
    # For YAML parsers that take more plain words than PyYAML for numbers or truth.
    assert 'one: "' in written
