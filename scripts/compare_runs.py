#!/usr/bin/env python3
"""The command compare_runs, for a checkout that is not installed; --help tells the rest."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from slim_train.cli.compare_runs import main

if __name__ == "__main__":
    sys.exit(main())
