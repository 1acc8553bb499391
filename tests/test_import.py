from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

import mien

WATCHED = """
import sys
opened = []
def watch(event, arguments):
    if event == "socket.connect" or event == "open":
        opened.append(str(arguments[0]))
sys.addaudithook(watch)
before = set(sys.modules)
import mien
after = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print(sorted(after))
print([path for path in opened if not path.endswith((".py", ".pyc"))])
"""

ALL_NAMES = """
import sys
import mien
mien.Pipeline, mien.analyze, mien.load_model, mien.Face
import mien.reading.drawing, mien.sinks
heavy = {"torch", "streamlit", "matplotlib", "av", "rich", "click", "pandas", "sklearn", "onnx"}
print(sorted(heavy & set(sys.modules)))
"""


def fresh(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-I", "-B", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_importing_mien_loads_nothing_and_opens_nothing() -> None:
    modules, opened = fresh(WATCHED)
    assert modules == "['mien']"
    assert opened == "[]"


def test_reading_needs_nothing_heavy() -> None:
    assert fresh(ALL_NAMES) == ["[]"]


def test_the_public_names() -> None:
    assert dir(mien) == sorted(mien.__all__)
    wanted = "analyze Pipeline load_model Face Frame Detections Result Model StreamOptions Sampling draw_faces"
    assert {*wanted.split(), "MienError", "SourceError"} <= set(mien.__all__)
    for name in mien.__all__:
        assert getattr(mien, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mien.nothing


def test_the_version_is_that_of_the_package() -> None:
    assert mien.__version__ == importlib.metadata.version("mien")
