"""The Node that the console is built with, for tests of its sources."""

import os
import shutil
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
WEB: Final = ROOT / "exchange" / "console" / "web"


def node(package: str) -> str:
    """Return where Node is; skip the test where it, or a package that the test needs, is not installed."""
    path = f"{ROOT / '.venv' / 'node'}{os.pathsep}{os.environ['PATH']}"
    found = shutil.which("node", path=path)
    if found is None or not (WEB / "node_modules" / package).exists():
        pytest.skip("the console is not built here: `make console` installs what it is built with")
    return found
