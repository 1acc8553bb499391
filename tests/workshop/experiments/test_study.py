from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from mien.errors import ConfigError
from mien.workshop.experiments.study_plan import differences, load_study, run_folder, seed_folders
from mien.workshop.networks.architectures import create_network
from mien.workshop.training.config import load_config

STUDIES = Path(__file__).resolve().parents[3] / "studies"
FILES = [path for path in sorted(STUDIES.glob("*.toml")) if "[[entries]]" in path.read_text(encoding="utf-8")]

STUDY = """
name = "toy"
title = "Toy"
seeds = [2, 5]
[base.model]
arch = "shallow_cnn"
options = { widths = [4, 8] }
[base.optim]
freeze_epochs = 3
[[entries]]
name = "a"
published = { accuracy = 0.6 }
[[entries]]
name = "b"
or_from_scratch = true
[entries.model]
options = { dense = 16 }
weights = "imagenet.safetensors"
[entries.optim]
lr = 0.02
layer_decay = 0.5
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "toy.toml"
    path.write_text(STUDY)
    return path


def test_an_entry_is_the_base_with_its_changes(file: Path) -> None:
    study = load_study(file)
    a, b = study.entries
    assert study.config(a, 2).model.options == {"widths": [4, 8]}
    config = study.config(b, 5)
    assert (config.name, config.fit.seed, config.optim.lr, config.optim.freeze_epochs) == ("b", 5, 0.02, 3)
    assert config.model.options == {"dense": 16}
    assert a.published.accuracy == 0.6


def test_from_scratch_leaves_out_what_is_for_pretrained_weights(file: Path) -> None:
    study = load_study(file)
    config = study.config(study.entries[1], 2, from_scratch=True)
    assert (config.model.weights, config.optim.freeze_epochs, config.optim.layer_decay) == (None, 0, 1.0)
    assert (config.optim.lr, config.model.options) == (0.02, {"dense": 16})


def test_fewer_epochs_freeze_no_longer_than_they_are(file: Path) -> None:
    study = load_study(file)
    config = study.config(study.entries[1], 2, epochs=1)
    assert (config.fit.epochs, config.optim.freeze_epochs) == (1, 1)
    assert "fit.epochs is 1, not 30" in differences(config, study.config(study.entries[1], 2))


def test_runs_lie_by_study_entry_and_seed(file: Path, tmp_path: Path) -> None:
    study = load_study(file)
    for seed in (10, 2):
        run_folder(tmp_path, study, study.entries[0], seed).mkdir(parents=True)
    (tmp_path / "toy" / "a" / "seed-old").mkdir()
    assert list(seed_folders(tmp_path, study, study.entries[0])) == [2, 10]
    assert seed_folders(tmp_path, study, study.entries[1]) == {}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "b"', 'name = "a"', "two entries are called 'a'"),
        ('name = "b"', 'name = "../b"', "entries.1.name"),
        ("title", "titel", "unknown key titel: expected one of name, title, question"),
        ("or_from_scratch = true", "or_scratch = true", "unknown key entries.1.or_scratch"),
        ("layer_decay = 0.5", "layer_decays = 0.5", "entry b: unknown key optim.layer_decays"),
        ("accuracy = 0.6", "accuracy = 60", "entries.0.published.accuracy"),
        ("[[entries]]", "[entries", "not valid TOML"),
    ],
)
def test_bad_files_are_named(file: Path, old: str, new: str, message: str) -> None:
    file.write_text(STUDY.replace(old, new))
    with pytest.raises(ConfigError) as raised:
        load_study(file)
    assert message in str(raised.value)
    assert str(file) in str(raised.value) or "study toy" in str(raised.value)


def test_a_file_for_another_command_names_that_command(file: Path) -> None:
    with pytest.raises(ConfigError, match="mien study run"):
        load_config(file)
    with pytest.raises(ConfigError, match="mien train"):
        load_study(STUDIES / "mien-s.toml")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_entry_of_every_study_can_be_built(path: Path) -> None:
    study = load_study(path)
    assert study.name == path.stem
    with torch.device("meta"):
        for entry in study.entries:
            model: Any = study.config(entry, study.seeds[0]).model
            if model.arch.startswith("timm:"):
                pytest.importorskip("timm")
            network = create_network(model.arch, spec=model.spec, heads=("fer2013",), **model.options)
            faces = torch.zeros(2, model.channels, model.size, model.size)
            assert network.eval()(faces)["fer2013"].shape == (2, 7)
