"""The programs of docs/guide/runtimes.md that can be run: Python without Mien, and JavaScript."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx", reason='needs pip install "mien[train]"')

import mien
from mien.artifact.artifact import load_manifest
from mien.images.pictures import read
from mien.labels import SEVEN
from mien.workshop import TargetOptions, export_model_to

REPOSITORY = Path(__file__).resolve().parents[3]
GUIDE = REPOSITORY / "docs" / "guide" / "runtimes.md"
PHOTO = Path(mien.__file__).parent / "apps/web/examples/astronaut.jpg"
WEB = REPOSITORY / "web"


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", GUIDE.read_text("utf-8"), re.M | re.S)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("guide")
    shutil.copy(PHOTO, place / "photo.jpg")
    export_model_to("mien-s", "onnx", place / "mien-s-onnx", TargetOptions(probabilities=True))
    return place


def test_python_without_mien(folder: Path) -> None:
    program = f"import sys\nsys.modules['mien'] = None\n{block('python')}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.splitlines()
    assert last == "happy"
    assert int(first.split()[1]) > 90


def test_javascript(folder: Path) -> None:
    if shutil.which("node") is None or not (WEB / "node_modules").is_dir():
        pytest.skip("needs Node and npm ci in web/")
    spec = load_manifest(folder / "mien-s-onnx").input
    photo = read(folder / "photo.jpg")[60:170, 170:270]
    grey = cv2.resize(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), (spec.width, spec.height))
    model = json.dumps(str(folder / "mien-s-onnx" / "model.onnx"))
    # In web/, where its packages are.
    program = (
        f"{block('js').replace('export ', '')}\nimport {{ readFileSync }} from 'node:fs';\n"
        f"console.log(JSON.stringify(await read(new Uint8Array(readFileSync({model})), "
        f"Uint8Array.from({grey.ravel().tolist()}))));\nprocess.exit(0);"
    )
    done = subprocess.run(
        ["node", "--input-type=module"], input=program, cwd=WEB, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert SEVEN[int(np.argmax(found))] == "happy"
    assert sum(found) == pytest.approx(1, abs=1e-4)
