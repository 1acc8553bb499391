from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from click.testing import CliRunner

from mien.apps.cli import queue
from mien.datasets.base import FaceDataset

TOML = """
name = "toy"
title = "One network"
[base.model]
arch = "shallow_cnn"
options = { widths = [4], dense = 8 }
[base.heads]
crowd = 0
[base.fit]
epochs = 2
batch_size = 8
[[entries]]
name = "only"
note = "to see the whole way"
minutes = 0.1
"""


def faces_of(rows: int = 40) -> FaceDataset:
    import numpy as np

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (rows, 48, 48), dtype=np.uint8)
    split = (np.arange(rows) % 4 == 3).astype(np.int8)
    ids = np.arange(rows).astype(str)
    return FaceDataset("noise", images, np.arange(rows, dtype=np.int64) % 7, split, ids)


def call(*arguments: str) -> str:
    done = CliRunner().invoke(queue.app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_from_the_study_to_a_finished_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mien.datasets.factory.load_dataset", lambda *_, **__: faces_of())
    Path("toy.toml").write_text(TOML)
    assert "to do" in call("status", "toy.toml")
    said = call("pack", "toy.toml", "DATA", "--out", "packed")
    assert "faces.npz" in said
    assert "in all, of 60" in said
    said = call("run", "packed", "--minutes", "60", "--work", "there", "--out", "parcel", "--device", "cpu")
    assert "only, seed 0: done, 2 of 2 epochs" in said
    said = call("take", "parcel", "--queue", "toy.toml")
    assert "took runs/toy/only/seed-0/best.safetensors" in said.replace("\n", "")
    assert "2/2" in call("status", "toy.toml")
