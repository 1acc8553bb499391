"""The house: no circles, few rooms at the top, no two files of one name in a wing."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grimp
import networkx
import pytest

import mien

# grimp leaves a directory iterator open.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PACKAGE = Path(mien.__file__).parent
WINGS = (
    ("artifact",),
    ("images", "sources", "faces", "reading", "sinks"),
    ("workshop",),
    ("client",),
    ("apps/cli",),
    ("apps/desktop",),
    ("apps/service",),
    ("apps/web",),
    ("apps/review",),
)


@pytest.fixture(scope="module")
def imports() -> Iterator[grimp.ImportGraph]:
    yield grimp.build_graph("mien", cache_dir=None)
    gc.collect()


def test_no_modules_import_one_another_in_a_circle(imports: grimp.ImportGraph) -> None:
    graph = networkx.DiGraph(
        (module, other) for module in imports.modules for other in imports.find_modules_directly_imported_by(module)
    )
    circles = [sorted(group) for group in networkx.strongly_connected_components(graph) if len(group) > 1]
    assert not circles


def test_the_top_of_the_package_fits_on_a_screen() -> None:
    assert len([path for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]) <= 20


@pytest.mark.parametrize("wing", WINGS, ids=lambda wing: wing[0])
def test_a_file_name_stands_once_in_its_wing(wing: tuple[str, ...]) -> None:
    files = [path.name for folder in wing for path in (PACKAGE / folder).rglob("*.py") if path.name != "__init__.py"]
    assert not [name for name, count in Counter(files).items() if count > 1]


def test_a_command_is_short_and_imports_no_other_command(imports: grimp.ImportGraph) -> None:
    from mien.apps.cli.main import COMMANDS

    for path in (PACKAGE / "apps" / "cli").rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 150, path.name
    commands = {f"mien.apps.cli.{name}" for name in COMMANDS} & imports.modules
    for command in commands:
        assert not imports.find_modules_that_directly_import(command) - {"mien.apps.cli.main"}, command
