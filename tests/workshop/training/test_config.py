from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pydantic", reason='needs pip install "mien[train]"')

from mien.errors import ConfigError
from mien.workshop.experiments.search_plan import load_search
from mien.workshop.training.config import TrainingConfig, load_config, parse_config

STUDIES = Path(__file__).resolve().parents[3] / "studies"


@pytest.mark.parametrize("name", ["mien-s", "shallow-cnn"])
def test_the_recipes_are_valid_configurations(name: str) -> None:
    path = STUDIES / f"{name}.toml"
    assert load_config(path).name == path.stem


def test_a_resolved_configuration_reads_back_the_same() -> None:
    config = parse_config({"fit": {"epochs": 7}, "optim": {"name": "adamw"}})
    assert parse_config(config.model_dump(mode="json")) == config


def test_without_its_key_an_option_is_off() -> None:
    config = load_config(STUDIES / "mien-s.toml")
    assert (config.heads.class_weights, config.heads.focal, config.augment.cutmix) == ("none", 0, 0)
    assert (config.fit.sampling, config.optim.schedule) == ("shuffle", "cosine")


def test_a_head_of_weight_zero_is_left_out() -> None:
    assert parse_config({"heads": {"crowd": 0}}).heads.weights == {"fer2013": 1.0}
    assert TrainingConfig().heads.weights == {"fer2013": 1.0, "crowd": 1.0}


@pytest.mark.parametrize("text", ["", "[fit]\nepochs = 9\nseed = 2\nema = 0.5"])
def test_epochs_and_seed_take_the_place_of_those_of_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "given.toml"
    path.write_text(text)
    plain, given = load_config(path), load_config(path, epochs=4, seed=None)
    assert given.fit == plain.fit.model_copy(update={"epochs": 4})
    assert load_config(path, epochs=None, seed=0).fit.seed == 0
    with pytest.raises(ConfigError, match=r"given\.toml, with epochs 0: fit\.epochs: "):
        load_config(path, epochs=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[fit]\nepoch = 3", r"unknown key fit\.epoch: expected one of epochs, batch_size"),
        ("[fitt]\nepochs = 3", r"unknown key fitt: expected one of name, model"),
        ("[fit]\nepochs = 0", r"fit\.epochs: .*greater than or equal to 1, not 0"),
        ("[optim]\nname = 'adagrad'", r"optim\.name: .*'adamw', 'sgd' or 'svm', not 'adagrad'"),
        ("[optim]\nschedule = 'linear'", r"optim\.schedule: .*'one_cycle' or 'plateau', not 'linear'"),
        ("[optim]\nplateau_factor = 1.5", r"optim\.plateau_factor: .*less than 1, not 1\.5"),
        ("[heads]\nclass_weights = 'balanced'", r"heads\.class_weights: .*'inverse' or 'effective', not 'balanced'"),
        ("[heads]\nbeta = 1.0", r"heads\.beta: .*less than 1, not 1\.0"),
        ("[heads]\nfocal = -1", r"heads\.focal: .*greater than or equal to 0, not -1"),
        ("[fit]\nsampling = 'uneven'", r"fit\.sampling: .*'shuffle' or 'balanced', not 'uneven'"),
        ("[augment]\ncutmix = -0.5", r"augment\.cutmix: .*greater than or equal to 0, not -0\.5"),
        ("name = 'a/../b'", "name: "),
        ("[fit", "not valid TOML"),
    ],
)
def test_bad_files_name_key_and_value(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.toml")


def test_a_search_file_is_told_from_a_training_file() -> None:
    with pytest.raises(ConfigError, match=r"mien-s\.toml: has no \[ranges\]: expected a search"):
        load_search(STUDIES / "mien-s.toml")


def test_a_key_that_is_missing_is_named_without_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "search.toml"
    path.write_text('name = "a"\n[ranges]\n')
    with pytest.raises(ConfigError, match=r"search\.toml: title is missing$"):
        load_search(path)
