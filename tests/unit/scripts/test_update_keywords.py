"""scripts/update_keywords.py: what type checkers see is what the options say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "update_keywords.py"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("update_keywords", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_keywords_are_those_of_the_options() -> None:
    script = load_script()
    assert script.FILE.read_text(encoding="utf-8") == script.source(), "run scripts/update_keywords.py"
