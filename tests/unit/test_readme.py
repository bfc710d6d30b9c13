"""What README.md tells people to type must be there."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

from slim_train import config

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
MODULES = [
    importlib.import_module(f"slim_train.cli.{path.stem}") for path in (ROOT / "slim_train/cli").glob("[a-z]*.py")
]
COMMANDS = {module.COMMAND.name: module.COMMAND for module in MODULES if hasattr(module, "COMMAND")}


def flags_of(command: str) -> set[str]:
    specs = config.flag_specs(COMMANDS[command].defaults)
    return {name for spec in specs for name in (spec.name, *spec.info.aliases)} | {"config", "help"}


def command_lines() -> list[list[str]]:
    lines = (line for block in BLOCKS for line in block.replace("\\\n", " ").splitlines())
    words = (shlex.split(line, comments=True) for line in lines)
    return [part for line in words for part in split_at_double_dash(line) if part and part[0] in COMMANDS]


def split_at_double_dash(words: list[str]) -> list[list[str]]:
    """launch_cluster --flags -- command --flags: two command lines."""
    end = words.index("--") if "--" in words else len(words)
    return [words[:end], words[end + 1 :]]


@pytest.mark.parametrize("words", command_lines(), ids=" ".join)
def test_command_lines_have_only_flags_of_their_command(words: list[str]) -> None:
    free = COMMANDS[words[0]].words  # words that are no flags
    flags = [word for word in words[1:] if word != "..." and not (free and not word.startswith("-"))]
    given = {word.removeprefix("--").partition("=")[0] for word in flags}
    assert given <= flags_of(words[0])


def test_flags_in_the_text_belong_to_a_command() -> None:
    prose = re.sub(r"^```.*?^```", "", README, flags=re.DOTALL | re.MULTILINE)
    mentioned = set(re.findall(r"`--([a-z_0-9]+)", prose))
    assert len(mentioned) > 10
    assert mentioned <= set.union(*(flags_of(command) for command in COMMANDS))


def test_the_table_of_nets_is_what_slim_models_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert COMMANDS["slim_models"].main([]) == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    models = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^\$ slim_models\n(.*?)^```", models, re.DOTALL | re.MULTILINE)
    lines = [line.split() for line in shown.splitlines()]
    assert len(lines) > 39
    assert [line for line in lines if line not in printed] == []


def test_linked_files_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_table_of_contents_links_to_headings() -> None:
    headings = re.findall(r"^## (.+)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    linked = set(re.findall(r"\]\(#([^)]+)\)", README))
    assert linked
    assert linked <= anchors


def test_the_readme_stays_short() -> None:
    assert len(README.splitlines()) <= 200


def test_git_ignores_the_folders_that_command_lines_write_into_the_checkout() -> None:
    written = "dataset_dir|train_dir|checkpoint_path|image_dir|tfhub_module|output_graph"
    folders = {f"/{name}/" for block in BLOCKS for name in re.findall(rf"--(?:{written})=([a-z_]+)(?=[/\s])", block)}
    assert len(folders) > 3
    assert folders <= set((ROOT / ".gitignore").read_text(encoding="utf-8").splitlines())
