"""Curated lists in `fit`, studies and searches."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from toy_study import run, stripes, write_study

from mien.errors import ConfigError, DataError
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.lists import Drop, Relabel, RowList, label_name, picture_digest, save_list
from mien.workshop.experiments.study_run import measure_missing
from mien.workshop.networks.checkpoint import load_header
from mien.workshop.training.config import parse_config
from mien.workshop.training.display import SilentDisplay
from mien.workshop.training.fit import fit
from mien.workshop.training.state import start_run

STUDY = """
name = "toy"
title = "All rows and a list"
[base.model]
arch = "shallow_cnn"
options = { widths = [4, 8], dense = 16 }
size = 16
[base.heads]
crowd = 0
[base.fit]
epochs = 1
batch_size = 16
[[entries]]
name = "all"
[[entries]]
name = "listed"
[entries.data]
lists = ["toy@1"]
"""


def keep_list(dataset: FaceDataset, drops: tuple[int, ...] = (0, 2), relabels: tuple[int, ...] = (3,)) -> RowList:
    """toy@1, which drops rows and calls others sad."""

    def named(row: int) -> tuple[str, str]:
        return str(dataset.ids[row]), picture_digest(dataset.images[row])

    rows = RowList(
        "toy", 1, "2026-01-01T00:00:00+00:00", dataset.name, dataset.sha256, len(dataset),
        tuple(Drop(*named(row)) for row in drops),
        tuple(Relabel(*named(row), label_name(int(dataset.labels[row])), "sad") for row in relabels),
    )  # fmt: skip
    save_list(rows)
    return rows


def listed(settings: dict[str, Any], *lists: str, epochs: int = 1) -> Any:
    return parse_config(
        settings | {"data": {"lists": list(lists or ["toy@1"])}, "fit": settings["fit"] | {"epochs": epochs}}
    )


def test_the_rows_of_train_are_curated_and_no_others(dataset: FaceDataset, settings: dict[str, Any]) -> None:
    keep_list(dataset, drops=(0, 2, 4))
    start = start_run(listed(settings), dataset)
    assert not {"row 0", "row 2"} & set(start.dataset.ids)
    assert "row 4" in start.dataset.ids
    assert start.dataset.labels[start.dataset.ids == "row 3"] == 4
    assert start.lists == ["list toy@1: 2 rows dropped, 1 relabelled, 1 in other splits left alone"]
    assert np.array_equal(start.dataset.part("validation").ids, dataset.part("validation").ids)


class Notes(SilentDisplay):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def note(self, text: str) -> None:
        self.heard.append(text)


def test_a_run_tells_its_lists_and_trains_on_what_they_leave(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path
) -> None:
    rows = keep_list(dataset)
    notes = Notes()
    result = fit(listed(settings), dataset, tmp_path / "run", device="cpu", display=notes)
    assert notes.heard[0].startswith("list toy@1: 2 rows dropped, 1 relabelled")
    told = {
        "name": "toy@1", "sha256": rows.sha256, "dropped": 2, "relabelled": 1, "elsewhere": 0, "absent": 0,
    }  # fmt: skip
    data = load_header(result.checkpoint)["training"]["data"]
    assert data["lists"] == [told]
    assert data["rows"] == len(dataset.part("train")) - 2
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert history["lists"] == [told]
    assert history["identity"]["lists"] == {"toy@1": f"toy@1 {rows.sha256}"}


def test_a_run_does_not_go_on_with_a_changed_list(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path
) -> None:
    keep_list(dataset)
    fit(listed(settings, epochs=2), dataset, tmp_path / "run", device="cpu", stop_after=1)
    keep_list(dataset, drops=(0,))
    with pytest.raises(ConfigError, match=r"belongs to another run \(lists\.toy@1 was toy@1 .*, now toy@1"):
        fit(listed(settings, epochs=2), dataset, tmp_path / "run", device="cpu")
    keep_list(dataset)
    assert len(fit(listed(settings, epochs=2), dataset, tmp_path / "run", device="cpu").history) == 2


def test_a_newer_version_under_a_bare_name_is_a_changed_list(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path
) -> None:
    rows = keep_list(dataset)
    fit(listed(settings, "toy", epochs=2), dataset, tmp_path / "run", device="cpu", stop_after=1)
    save_list(replace(rows, version=2))
    with pytest.raises(ConfigError, match=r"lists\.toy was toy@1 .*, now toy@2"):
        fit(listed(settings, "toy", epochs=2), dataset, tmp_path / "run", device="cpu")


def test_a_run_from_before_there_were_lists_goes_on(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path
) -> None:
    from mien.workshop.networks.checkpoint import load_tensors, save_tensors

    config = parse_config(settings | {"fit": settings["fit"] | {"epochs": 2}})
    fit(config, dataset, tmp_path / "run", device="cpu", stop_after=1)
    tensors, header = load_tensors(tmp_path / "run" / "last.safetensors")
    del header["identity"]["config"]["data"]
    save_tensors(tmp_path / "run" / "last.safetensors", tensors, header)
    assert len(fit(config, dataset, tmp_path / "run", device="cpu").history) == 2


def test_lists_that_cannot_be_used_are_errors(dataset: FaceDataset, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="no list 'toy@1'"):
        start_run(listed(settings), dataset)
    keep_list(dataset)
    with pytest.raises(ConfigError, match="names a list twice"):
        start_run(listed(settings, "toy@1", "toy@1"), dataset)
    with pytest.raises(DataError, match=r"3 of 3 entries .* do not fit"):
        start_run(listed(settings), replace(dataset, ids=dataset.ids[::-1]))
    keep_list(dataset, drops=tuple(np.flatnonzero(dataset.split == 0).tolist()), relabels=())
    with pytest.raises(DataError, match="no row of train is left after the lists toy@1"):
        start_run(listed(settings), dataset)


def test_a_study_compares_lists_and_measures_on_the_same_rows(tmp_path: Path) -> None:
    study = write_study(tmp_path, STUDY)
    with pytest.raises(ConfigError, match="no list 'toy@1'"):
        run(study, tmp_path)
    keep_list(stripes())
    outcomes = run(study, tmp_path)
    assert [(outcome.state, outcome.main and outcome.main.rows) for outcome in outcomes] == [("trained", 14)] * 2
    assert [outcome.state for outcome in run(study, tmp_path)] == ["there", "there"]
    measure_missing(study, stripes(), tmp_path)
    record = json.loads((tmp_path / "toy" / "listed" / "seed-0" / "training.json").read_text())
    assert record["data"]["lists"][0]["dropped"] == 2
    # A run from before there was a section for lists is still the same.
    path = tmp_path / "toy" / "all" / "seed-0" / "history.json"
    history = json.loads(path.read_text())
    del history["identity"]["config"]["data"]
    path.write_text(json.dumps(history))
    assert [outcome.state for outcome in run(study, tmp_path)] == ["there", "there"]
    keep_list(stripes(), drops=(0,))
    with pytest.raises(ConfigError, match=r"lists\.toy@1 was"):
        run(study, tmp_path)


def test_a_search_does_not_go_on_with_a_changed_list(dataset: FaceDataset, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason='needs pip install "mien[search]"')
    from mien.workshop.experiments.search_plan import Search
    from mien.workshop.experiments.search_run import identify_search

    search = Search(
        name="toy", title="toy", base={"data": {"lists": ["toy@1"]}}, ranges={"optim": {"lr": {"low": 0.1, "high": 1}}}
    )
    keep_list(dataset)
    before = identify_search(search, dataset)
    assert before == identify_search(search, dataset)
    keep_list(dataset, drops=(0,))
    assert before != identify_search(search, dataset)
    bare = search.model_copy(update={"base": {}})
    assert "lists" not in identify_search(bare, dataset)
