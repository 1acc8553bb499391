from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pydantic", reason='needs pip install "mien[train]"')

from mien.training.config import load_config
from mien.training.study.plan import load_study

STUDIES = Path(__file__).resolve().parents[1] / "studies"

SCRIPT = """
import json, sys
sys.modules["pydantic"] = None
from pathlib import Path
from mien.errors import ConfigError
from mien.training.config import load_config, parse_config
from mien.training.study.plan import load_study
found = {}
for path in map(Path, sys.argv[1:]):
    text = path.read_text()
    if "[[entries]]" in text:
        study = load_study(path)
        found[path.name] = [study.config(entry, 3).model_dump(mode="json") for entry in study.entries]
        found[path.name] += [entry.model_dump(mode="json") for entry in study.entries]
    elif "[ranges" not in text:
        config = load_config(path)
        changed = config.model_copy(update={"fit": config.fit.model_copy(update={"seed": 9})})
        assert changed != config and changed.fit.seed == 9 and load_config(path) == config
        found[path.name] = [config.model_dump(mode="json")]
errors = []
for values in ({"fit": {"epoch": 3}}, {"optim": {"freeze_epochs": 9}, "fit": {"epochs": 3}}, {"fit": 3}):
    try:
        parse_config(values, name="x")
    except ConfigError as error:
        errors.append(str(error))
try:
    parse_config({}).fit.seed = 3
except AttributeError:
    errors.append("frozen")
assert "pydantic" not in [name for name, module in sys.modules.items() if module]
print(json.dumps([found, errors]))
"""


def test_without_pydantic_every_study_and_training_reads_the_same() -> None:
    paths = [path for path in sorted(STUDIES.rglob("*.toml")) if "[[sources]]" not in path.read_text("utf-8")]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *map(str, paths)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, errors = json.loads(done.stdout)
    assert {"queue.toml", "mien-s.toml"} <= found.keys()
    for path in paths:
        if path.name not in found:
            continue
        if "[[entries]]" in path.read_text(encoding="utf-8"):
            study = load_study(path)
            wanted = [study.config(entry, 3).model_dump(mode="json") for entry in study.entries]
            wanted += [entry.model_dump(mode="json") for entry in study.entries]
        else:
            wanted = [load_config(path).model_dump(mode="json")]
        assert found[path.name] == wanted
    assert errors[0].startswith("x: unknown key fit.epoch: expected one of epochs, batch_size")
    assert errors[1].startswith("x: optim.freeze_epochs = 9 is above fit.epochs = 3")
    assert errors[2].startswith("x: fit: Input should be a valid dictionary")
    assert errors[3] == "frozen"
