"""The examples in the docstrings hold, in whatever module there are any."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import mien

PACKAGE = Path(mien.__file__).parent


def _module(path: Path) -> str:
    return ".".join(("mien", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


EXAMPLES = sorted(_module(path) for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "mien":
            raise
        pytest.skip(f"needs {error.name}, which is not installed")
    found = doctest.testmod(module)
    assert found.attempted, "the module has examples that are not found: they stand outside a docstring"
    assert not found.failed
