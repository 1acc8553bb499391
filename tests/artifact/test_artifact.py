from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mien.artifact.artifact import (
    FORMAT,
    GRAPH_FILE,
    MANIFEST_FILE,
    Head,
    Manifest,
    Reading,
    load_artifact,
    load_manifest,
    write_artifact,
)
from mien.artifact.calibration import Calibration
from mien.artifact.input import InputSpec
from mien.errors import ArtifactError
from mien.labels import SEVEN

GRAPH, OTHER_GRAPH = b"\x08\x08", b"\x08\x07"
"""ONNX files that hold a version's number alone."""


def make_manifest(**changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "name": "mine", "version": "1.2.0", "created": "2026-01-31", "licence": "Apache-2.0",
        "input": InputSpec(48, 48, 1, 0.95), "heads": {"fer2013": Head(SEVEN, Calibration(1.7))},
        "default_head": "fer2013", "parameters": 12,
        "scores": [{"data": "fer2013", "split": "test", "rows": 3589, "accuracy": 0.7}],
        "training": {"seed": 1, "widths": [32, 64]}, "data": {"sha256": "ab"}, "notes": "größer",
    }  # fmt: skip
    return Manifest(**(values | changes))


@pytest.fixture
def copied(toy_artifact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_artifact, tmp_path / "copied"))


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / MANIFEST_FILE
    raw = json.loads(path.read_text(encoding="utf-8"))
    change(raw)
    path.write_text(json.dumps(raw), encoding="utf-8")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    manifest = make_manifest()
    folder = write_artifact(tmp_path / "deep" / "mine", GRAPH, manifest)
    artifact = load_artifact(folder)
    assert artifact.graph == GRAPH
    assert artifact.manifest == replace(manifest, sha256=artifact.manifest.sha256)
    assert len(artifact.manifest.sha256) == 64
    assert sorted(path.name for path in folder.iterdir()) == [MANIFEST_FILE, GRAPH_FILE]
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


def test_a_calibration_is_written_and_read_whole(tmp_path: Path) -> None:
    full = Calibration(2.5, 0.2, (1.0, 0.5, 2.0, 1.0, 1.0, 1.0, 1.0), (0.0, -0.5, 0.1, 0.0, 0.0, 0.0, 0.2))
    for calibration in (full, Calibration(0.9), Calibration(4.0, 0.1)):
        manifest = make_manifest(heads={"fer2013": Head(SEVEN, calibration)})
        folder = write_artifact(tmp_path / "mine", GRAPH, manifest, overwrite=True)
        assert load_manifest(folder).heads["fer2013"].calibration == calibration


def test_a_prior_is_written_and_read(tmp_path: Path) -> None:
    prior = (0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
    manifest = make_manifest(heads={"fer2013": Head(SEVEN, Calibration(2.0), prior)})
    assert load_manifest(write_artifact(tmp_path / "mine", GRAPH, manifest)).heads["fer2013"].prior == prior


def test_the_rule_of_reading_is_written_and_read(tmp_path: Path) -> None:
    heads = {"fer2013": Head(SEVEN, prior=(0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1))}
    folder = write_artifact(tmp_path / "mine", GRAPH, make_manifest(heads=heads, reading=Reading(0.3)))
    assert load_manifest(folder).reading == Reading(balance=0.3)
    edit(folder, lambda raw: raw.pop("reading"))
    assert load_manifest(folder).reading == Reading(balance=0.0)


def test_an_artifact_of_the_first_format_is_read_and_written_anew(copied: Path, tmp_path: Path) -> None:
    edit(copied, lambda raw: raw.update(format=1))
    artifact = load_artifact(copied)
    assert artifact.manifest.heads["crowd"].calibration == Calibration(1.5)
    folder = write_artifact(tmp_path / "again", artifact.graph, artifact.manifest)
    written = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    assert written["format"] == FORMAT
    assert written["heads"]["crowd"].keys() == {"labels", "temperature"}


def test_an_artifact_is_replaced_only_when_asked_to(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "mine", OTHER_GRAPH, make_manifest())
    with pytest.raises(ArtifactError, match="there already"):
        write_artifact(folder, GRAPH, make_manifest())
    assert load_artifact(folder).graph == OTHER_GRAPH
    write_artifact(folder, GRAPH, make_manifest(), overwrite=True)
    assert load_artifact(folder).graph == GRAPH
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_of_other_things_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="is no artifact"):
        write_artifact(tmp_path, GRAPH, make_manifest(), overwrite=True)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_nothing_is_left_when_the_manifest_is_not_plain(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="plain finite JSON"):
        write_artifact(tmp_path / "mine", GRAPH, make_manifest(scores=[{"accuracy": float("nan")}]))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_graph_is_refused(copied: Path) -> None:
    graph = copied / GRAPH_FILE
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match=r"model\.onnx: sha256 is .* the manifest says"):
        load_artifact(copied)


@pytest.mark.parametrize("name", [GRAPH_FILE, MANIFEST_FILE])
def test_a_missing_file_is_named(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} is missing"):
        load_artifact(copied)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is no artifact"):
        load_artifact(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"format": NaN}'])
def test_what_is_no_manifest_is_refused(copied: Path, content: bytes) -> None:
    (copied / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(ArtifactError, match=MANIFEST_FILE):
        load_manifest(copied)


def test_a_newer_format_asks_for_an_upgrade(copied: Path) -> None:
    edit(copied, lambda raw: raw.update(format=FORMAT + 1, unheard_of=True))
    with pytest.raises(ArtifactError, match="made by a newer Mien"):
        load_artifact(copied)


@pytest.mark.parametrize(
    "key", ["format", "name", "version", "created", "licence", "input", "heads", "default_head", "sha256"]
)
def test_a_missing_key_is_named(copied: Path, key: str) -> None:
    edit(copied, lambda raw: raw.pop(key))
    with pytest.raises(ArtifactError, match=f"key '{key}' is missing"):
        load_artifact(copied)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"format": "1"}, "'format' is a whole number, not str"),
    ({"format": True}, "'format' is a whole number, not bool"),
    ({"format": 0}, "format 0"),
    ({"name": 3}, "'name' is text"),
    ({"created": "yesterday"}, "created is 'yesterday', expected YYYY-MM-DD"),
    ({"name": "../up"}, "name is '../up'"),
    ({"parameters": -1}, "parameters is -1"),
    ({"scores": [1]}, "`scores` is a list of objects"),
    ({"training": []}, "'training' is an object"),
    ({"unheard_of": 1}, "unknown key 'unheard_of'"),
    ({"default_head": "other"}, "default_head is 'other'"),
    ({"sha256": "abc"}, "64 hexadecimal digits"),
    ({"heads": {}}, "`heads` and `affect` are empty"),
    ({"heads": {"crowd": ["happy"]}}, "is an object with labels"),
    ({"heads": {"crowd": {"labels": ["happy", "sad"]}}}, "'temperature' is missing"),
    ({"heads": {"crowd": {"labels": ["happy", "bored"], "temperature": 1}}}, "unknown label 'bored'"),
    ({"heads": {"crowd": {"labels": ["happy", ["sad"]], "temperature": 1}}}, "unknown label"),
    ({"heads": {"crowd": {"labels": ["happy", "happy"], "temperature": 1}}}, "each once"),
    ({"heads": {"crowd": {"labels": ["happy", "sad"], "temperature": 0}}}, "temperature 0"),
    ({"heads": {"crowd": {"labels": ["happy", "sad"], "temperature": 10**400}}}, "beyond any number"),
    ({"heads": {"crowd": {"labels": ["happy", "sad"], "temperature": 1, "bias": 2}}}, "'bias' is a list, not int"),
    (
        {"heads": {"crowd": {"labels": ["happy", "sad"], "temperature": 1, "bias": [1]}}},
        "bias of 1 numbers, expected 2",
    ),
    ({"heads": {"crowd": {"labels": ["happy", "sad"], "temperature": 1, "bias": ["1", 2]}}}, "'bias' is a number"),
    (
        {"heads": {"crowd": {"labels": ["happy", "sad"], "temperature": 1, "scale": [1, -1]}}},
        "expected numbers above 0",
    ),
    ({"heads": {"crowd": {"labels": ["happy", "sad"], "temperature": 1, "curvature": -1}}}, "curvature -1"),
    ({"heads": {"crowd": {"labels": ["happy", "sad"], "temperature": 1, "prior": [1]}}}, "prior of 1 numbers"),
    (
        {"heads": {"crowd": {"labels": ["happy", "sad"], "temperature": 1, "prior": [1, 0]}}},
        "numbers above 0 whose sum",
    ),
    ({"heads": {"crowd": {"labels": ["happy", "sad"], "temperature": 1, "prior": [0.5, 0.4]}}}, "whose sum is 1"),
    ({"heads": {"crowd": {"labels": ["happy", "sad"], "temperature": 1, "curve": 2}}}, "unknown key 'curve'"),
    ({"reading": {"balance": 1.5}}, "balance 1.5, expected a number from 0 to 1"),
    ({"reading": {"balance": 0.3}}, "the default head has no prior"),
    ({"reading": {"balance": "0.3"}}, "'balance' is a number, not str"),
    ({"reading": {"share": 0.3}}, "unknown key 'share'"),
    ({"input": {"height": 0, "width": 48, "channels": 1, "crop_scale": 1}}, "height is 0"),
    ({"input": {"height": 48, "width": 99999, "channels": 1, "crop_scale": 1}}, "width is 99999"),
    ({"input": {"height": 48, "width": 48, "channels": 4, "crop_scale": 1}}, "channels is 4"),
    ({"input": {"height": 48, "width": 48, "channels": 1, "crop_scale": -1}}, "crop_scale is -1"),
    ({"input": {"height": 48.0, "width": 48, "channels": 1, "crop_scale": 1}}, "'height' is a whole number"),
    ({"input": {"height": 48, "width": 48, "channels": 1}}, "'crop_scale' is missing"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_value_is_named(copied: Path, change: dict[str, Any], message: str) -> None:
    edit(copied, lambda raw: raw.update(change))
    with pytest.raises(ArtifactError, match="manifest") as caught:
        load_artifact(copied)
    assert message in str(caught.value)
