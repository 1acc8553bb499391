"""The golden files of the browser: what Python reads now, and what the package in `web/` reads of the shared photos."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mien.images.pictures import read, write
from mien.reading.pipeline import Pipeline

WEB = Path(__file__).resolve().parents[3] / "web"
GOLDEN = WEB / "tests" / "golden"


def test_golden_files_are_what_python_reads_now() -> None:
    golden = json.loads((GOLDEN / "own.json").read_text("utf-8"))
    pipeline = Pipeline(golden["model"], detector="mien")
    for name, expected in golden["photos"].items():
        faces = pipeline.analyze(GOLDEN / name).faces
        assert len(faces) == len(expected["faces"]), f"{name}: run web/tests/write_golden.py again"
        for face, told in zip(faces, expected["faces"], strict=True):
            assert face.top == told["top"]
            assert list(face.box) == pytest.approx(told["box"], abs=0.1)
            assert face.probabilities == pytest.approx(told["probabilities"], abs=0.005)


@pytest.mark.data
def test_the_shared_photos_are_read_in_node_as_in_python(shared: Path, tmp_path: Path) -> None:
    if shutil.which("node") is None or not (WEB / "node_modules").is_dir():
        pytest.skip("needs Node and npm ci in web/")
    for name in json.loads((GOLDEN / "photos.json").read_text("utf-8"))["photos"]:
        write(tmp_path / f"{name}.png", read(shared / "data" / "photos" / name))
    command = ["node", "scripts/test.mjs", "--test-name-pattern=shared photos"]
    variables = os.environ | {"MIEN_TEST_PHOTOS": str(tmp_path), "MIEN_PYTHON": sys.executable}
    done = subprocess.run(command, cwd=WEB, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pass 1" in done.stdout
