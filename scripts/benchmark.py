#!/usr/bin/env python3
"""Measure something: ``python scripts/benchmark.py WHAT [--option ...]`` prints one JSON line per measurement.

WHAT is a file in scripts/benchmarks/. Each measurement compares two things that ran in turn on this machine, so that
what counts is their ratio. A benchmark file has ``add_arguments(parser)``, which adds its own options, and
``run(args)``, which yields one dict per measurement.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

_ROOT = Path(__file__).resolve().parent.parent
_BENCHMARKS = Path(__file__).resolve().parent / "benchmarks"


def main() -> int:
    """Run one benchmark."""
    sys.path.insert(0, str(_ROOT))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, add_help=False
    )
    names = sorted(path.stem for path in _BENCHMARKS.glob("*.py") if not path.stem.startswith("_"))
    parser.add_argument("what", choices=names, nargs="?")
    what = parser.parse_known_args()[0].what
    if what is None:
        parser.print_help()
        return 2
    benchmark = _load(what)
    options = argparse.ArgumentParser(prog=f"{parser.prog} {what}", description=benchmark.__doc__)
    benchmark.add_arguments(options)
    arguments = sys.argv[1:]
    arguments.remove(what)
    args = options.parse_args(arguments)
    print(f"Measuring {what}; each line of JSON may take minutes.", file=sys.stderr, flush=True)
    for measurement in benchmark.run(args):
        print(json.dumps({"benchmark": what, **measurement}), flush=True)
    return 0


def _load(what: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{what}", _BENCHMARKS / f"{what}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main())
