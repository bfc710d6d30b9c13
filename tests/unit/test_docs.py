"""What the pages in docs/ tell people to type must be there."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from slim_train import config

ROOT = Path(__file__).resolve().parents[2]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
MODULES = [
    importlib.import_module(f"slim_train.cli.{path.stem}") for path in (ROOT / "slim_train/cli").glob("[a-z]*.py")
]
COMMANDS = {module.COMMAND.name: module.COMMAND for module in MODULES if hasattr(module, "COMMAND")}


def flags_of(command: str) -> set[str]:
    specs = config.flag_specs(COMMANDS[command].defaults)
    return {name for spec in specs for name in (spec.name, *spec.info.aliases)} | {"config", "help"}


def command_lines() -> Iterator[list[str]]:
    """Those of our commands; of one that runs another after ``--``, both."""
    for page in PAGES.values():
        for block in re.findall(r"^```bash\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
            for line in block.replace("\\\n", " ").splitlines():
                own, _, command = line.partition(" -- ")
                words = [shlex.split(part, comments=True) for part in (own, command)]
                yield from (part for part in words if part and part[0] in COMMANDS)


@pytest.mark.parametrize("words", list(command_lines()), ids=" ".join)
def test_command_lines_have_only_flags_of_their_command(words: list[str]) -> None:
    free = COMMANDS[words[0]].words  # words that are no flags
    flags = [word for word in words[1:] if word != "..." and not (free and not word.startswith("-"))]
    given = {word.removeprefix("--").partition("=")[0] for word in flags}
    assert given <= flags_of(words[0])


@pytest.mark.parametrize("page", PAGES)
def test_linked_files_exist(page: str) -> None:
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", PAGES[page]) if "://" not in link]
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
