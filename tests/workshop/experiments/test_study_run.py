from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from stripes import make_dataset
from toy_study import BROKEN, TOML, run, stripes, write_study

from mien.errors import ConfigError
from mien.workshop.evaluation.stored import PROBABILITIES, SCORES
from mien.workshop.experiments.study_plan import StudyOptions
from mien.workshop.experiments.study_records import FAILURE, RECORD
from mien.workshop.experiments.study_run import limited, measure_missing, run_study
from mien.workshop.networks.checkpoint import load_tensors
from mien.workshop.training.display import SilentDisplay
from mien.workshop.training.fit import fit
from mien.workshop.training.run_folder import hold


class Impatient(SilentDisplay):
    """Interrupts, as Ctrl-C does, at the end of an epoch."""

    def epoch(self, row: dict[str, float], epochs: int, best: bool) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt


def test_every_entry_is_trained_and_measured_with_every_seed(tmp_path: Path) -> None:
    outcomes = run(write_study(tmp_path), tmp_path)
    assert [(o.run.entry.name, o.run.seed, o.state) for o in outcomes] == [
        ("plain", 0, "trained"), ("wider", 0, "trained"), ("plain", 1, "trained"), ("wider", 1, "trained"),
    ]  # fmt: skip
    for outcome in outcomes:
        folder = tmp_path / "toy" / outcome.run.entry.name / f"seed-{outcome.run.seed}"
        assert {path.name for path in folder.iterdir()} == {
            "best.safetensors", "last.safetensors", "history.json", SCORES, PROBABILITIES, RECORD,
        }  # fmt: skip
        assert outcome.main is not None
        assert (outcome.main.faces.key, outcome.main.rows) == ("fer2013-test", 14)
        record = json.loads((folder / RECORD).read_text())
        assert len(record["sessions"]) == 1
        assert record["from_scratch"] == ""


def test_what_is_done_is_left_as_it_is(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    run(study, tmp_path, seeds=(0,))
    before = {path: path.read_bytes() for path in tmp_path.rglob("seed-0/*")}
    outcomes = run(study, tmp_path)
    assert [outcome.state for outcome in outcomes] == ["there", "there", "trained", "trained"]
    assert {path: path.read_bytes() for path in before} == before


def test_interrupted_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_study(
            study,
            stripes(),
            tmp_path / "cut",
            StudyOptions(device="cpu"),
            create_display=lambda name: nullcontext(Impatient()),
        )
    place = Path("toy/plain/seed-0")
    assert len(json.loads((tmp_path / "cut" / place / "history.json").read_text())["history"]) == 3
    assert not (tmp_path / "cut" / place / FAILURE).exists()
    assert run(study, tmp_path / "cut", only=("plain",), seeds=(0,))[0].state == "trained"
    run(study, tmp_path / "whole", only=("plain",), seeds=(0,))
    cut, whole = (load_tensors(tmp_path / name / place / "best.safetensors")[0] for name in ("cut", "whole"))
    assert all(cut[key].equal(whole[key]) for key in whole)


def test_a_run_trained_elsewhere_is_measured_and_not_trained_again(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    folder = tmp_path / "toy" / "plain" / "seed-0"
    fit(study.config(study.entries[0], 0), stripes(), folder, device="cpu")
    history = json.loads((folder / "history.json").read_text())
    del history["identity"]["config"]["heads"]["focal"]
    (folder / "history.json").write_text(json.dumps(history))
    weights = (folder / "best.safetensors").read_bytes()
    assert run(study, tmp_path, only=("plain",), seeds=(0,))[0].state == "measured"
    assert (folder / "best.safetensors").read_bytes() == weights
    (folder / SCORES).unlink()
    measure_missing(study, stripes(), tmp_path)
    assert (folder / SCORES).exists()


def test_a_failed_run_leaves_its_reason_and_the_others_go_on(tmp_path: Path) -> None:
    study = write_study(tmp_path, TOML.replace("seeds = [0, 1]", "") + BROKEN + BROKEN.replace("broken", "again"))
    outcomes = run(study, tmp_path, only=("broken", "plain"))
    assert [(o.run.entry.name, o.state) for o in outcomes] == [("plain", "trained"), ("broken", "failed")]
    failure = json.loads((tmp_path / "toy/broken/seed-0" / FAILURE).read_text())
    assert failure["reason"] == outcomes[1].reason
    assert "the loss became" in failure["reason"]
    assert str(tmp_path) not in failure["reason"]
    (tmp_path / "toy/plain/seed-0" / FAILURE).write_text('{"reason": "of an earlier try"}')
    run(study, tmp_path, only=("plain",))
    assert not (tmp_path / "toy/plain/seed-0" / FAILURE).exists()


def test_weights_that_cannot_be_had_are_done_without_where_the_entry_allows_it(tmp_path: Path) -> None:
    wanting = '\n[[entries]]\nname = "{0}"\nor_from_scratch = {1}\n[entries.model]\nweights = "gone.safetensors"\n'
    study = write_study(tmp_path, TOML + wanting.format("may", "true") + wanting.format("must", "false"))
    may, must = run(study, tmp_path, only=("may", "must"), seeds=(0,))
    assert (may.state, must.state) == ("trained", "failed")
    assert "no such file of weights" in must.reason
    record = json.loads((tmp_path / "toy/may/seed-0" / RECORD).read_text())
    assert "no such file of weights" in record["from_scratch"]
    (there,) = run(study, tmp_path, only=("may",), seeds=(0,))
    assert there.state == "there"
    (forced,) = run(study, tmp_path, only=("must",), seeds=(0,), from_scratch=True)
    assert forced.state == "trained"
    assert json.loads((tmp_path / "toy/must/seed-0" / RECORD).read_text())["from_scratch"] == "asked for"


def test_another_run_in_the_folder_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    run(study, tmp_path, only=("wider",), seeds=(0,))
    changed = write_study(tmp_path, TOML.replace("lr = 0.01", "lr = 0.02"))
    with pytest.raises(ConfigError, match=r"wider.seed-0 holds another run \(optim\.lr is 0\.01, not 0\.02\)"):
        run(changed, tmp_path)
    with pytest.raises(ConfigError, match="other data"):
        run(study, tmp_path, dataset=make_dataset(seed=5))
    assert not (tmp_path / "toy" / "plain").exists()


def test_a_folder_in_which_another_trains_is_left_to_it(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    folder = tmp_path / "toy" / "plain" / "seed-0"
    with hold(folder):
        outcomes = run(study, tmp_path, seeds=(0,))
        assert [outcome.state for outcome in outcomes] == ["failed", "trained"]
        assert "is training in" in outcomes[0].reason
        assert not (folder / FAILURE).exists()


def test_unknown_entries_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no entry 'other': expected one of plain, wider"):
        run(write_study(tmp_path), tmp_path, only=("other",))


def test_limited_keeps_every_split() -> None:
    dataset = limited(stripes(), 40)
    assert [len(dataset.part(split)) for split in ("train", "validation", "test")] == [40, 10, 10]
    assert dataset.name == "60 rows of stripes"
