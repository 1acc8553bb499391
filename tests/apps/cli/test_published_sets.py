"""Published data sets through the command line: shown, trained on, evaluated; codings said, mapped and doubted."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import invoke
from layout_replicas import REPLICAS, Pen, Replica

from mien.errors import ConfigError, DataError
from mien.faces.detectors import create_detector
from mien.labels import SEVEN

BY_NAME = {replica.name: replica for replica in REPLICAS}
MAPPING = "0=neutral,1=happy,2=sad,3=surprise,4=fear,5=disgust,6=anger"
TINY = """
name = "tiny"
[model]
arch = "shallow_cnn"
options = { widths = [4, 8], dense = 16 }
size = 16
[heads]
crowd = 0
[fit]
epochs = 1
batch_size = 4
"""


def make(name: str, folder: Path) -> Path:
    replica: Replica = BY_NAME[name]
    root = folder / "data"
    root.mkdir()
    replica.write(root)
    return root


def coded(folder: Path) -> Path:
    """Folders 0–6 in AffectNet's order, of a data set whose name does not tell."""
    pen = Pen(folder)
    for number in "0123456":
        pen.put(*(f"{number}/{copy}.png" for copy in range(2)))
    return folder


def test_show_says_what_it_is_and_what_was_passed_over(tmp_path: Path) -> None:
    result = invoke("data show", make("ck_plus_48", tmp_path), "--out", tmp_path)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "Recognised as CK+ (CK+48, crops by class; face crops)."
    assert "Splits are by person: 1 train, 1 validation, 1 test." in lines
    assert "Its protocol: CK+'s peak frames (the last of every labelled sequence, all persons); here 3 faces." in lines
    assert "contempt, not one of the seven 0 3 0 3 33.3 %" in [" ".join(line.split()) for line in lines]


def test_numbers_are_told_and_may_be_mapped(tmp_path: Path) -> None:
    data = coded(tmp_path / "faces")
    plain = invoke("data show", data, "--out", tmp_path).stdout
    assert "The folders' numbers are read as FER2013's: 0 angry, 1 disgust" in plain
    mapped = invoke("data show", data, "--out", tmp_path, "--classes", f"{MAPPING[:-8]},6=none").stdout
    assert "read as given: 0 neutral, 1 happy" in mapped
    assert "2 files of 6 left out, as given." in mapped
    counts = {line.split()[0]: line.split()[1] for line in mapped.splitlines() if line.strip().startswith(SEVEN)}
    assert counts["angry"] == "0"
    assert counts["neutral"] == "2"


def test_a_name_decides_between_codings(tmp_path: Path) -> None:
    shown = invoke("data show", coded(tmp_path / "AffectNet-7"), "--out", tmp_path).stdout
    assert "read as AffectNet's: 0 neutral, 1 happy" in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [("0=hapy", "'hapy' is not a label"), ("0", "is no class: expected NAME=LABEL"), ("0=sad,0=fear", "given twice")],
)
def test_a_wrong_mapping_is_refused(text: str, message: str, tmp_path: Path) -> None:
    result = invoke("data show", coded(tmp_path / "faces"), "--classes", text)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)


def test_a_mapping_for_a_csv_changes_its_numbers(tmp_path: Path) -> None:
    root = make("icml_face_data", tmp_path)
    file = root / "fer2013" / "icml_face_data.csv"
    shown = invoke("data show", file, "--out", tmp_path, "--classes", "0=neutral,6=angry").stdout
    counts = {line.split()[0]: line.split()[4] for line in shown.splitlines() if line.strip().startswith(SEVEN)}
    assert (counts["angry"], counts["neutral"]) == ("1", "2")
    wrong = invoke("data show", file, "--classes", "7=contempt")
    assert isinstance(wrong.exception, DataError)


def test_evaluate_gives_the_protocol_by_name(tmp_path: Path, toy_artifact: Path) -> None:
    result = invoke("model evaluate", toy_artifact, make("raf_db", tmp_path))
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == "Recognised as RAF-DB (basic, aligned; face crops)."
    assert "RAF-DB's test set (basic, 3,068 faces)" in result.stdout
    # Said once, before the figures.
    assert result.stdout.count("Recognised as") == 1


def test_evaluate_measures_values_and_eight_classes(tmp_path: Path, toy_artifact: Path) -> None:
    result = invoke("model evaluate", toy_artifact, make("affectnet_npy", tmp_path))
    assert result.exit_code == 0, result.output
    assert "AffectNet labels, eight classes" in result.stdout
    assert "valence, validation" in result.stdout


def test_evaluate_warns_below_chance(tmp_path: Path, toy_artifact: Path) -> None:
    pen = Pen(tmp_path / "faces")
    pen.put(*(f"{word}/{number}.png" for word in ("happy", "sad") for number in range(30)))
    # Both words for what the model never answers: it knows no more of the copies than their noise.
    said = [
        invoke("model evaluate", toy_artifact, pen.folder, "--classes", f"happy={one},sad={one}").stdout
        for one in SEVEN
    ]  # fmt: skip
    assert 0 < sum("Warning: an accuracy of" in text and "is below chance" in text for text in said) < len(SEVEN)


@pytest.mark.parametrize("name", ["oulu_casia", "fer2013_folders"])
def test_a_tiny_epoch_on_a_copy(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    # The copies show noise, in which no detector finds a face.
    monkeypatch.setattr("mien.workshop.data.layouts.opening.create_detector", lambda name: create_detector("none"))
    (tmp_path / "tiny.toml").write_text(TINY)
    data, out = make(name, tmp_path), tmp_path / "run"
    result = invoke("train", tmp_path / "tiny.toml", data, "--out", out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert BY_NAME[name].says[0] in result.stdout
    assert (out / "best.safetensors").is_file()


def test_no_face_anywhere_is_one_line(tmp_path: Path) -> None:
    result = invoke("data show", make("jaffe", tmp_path))
    assert isinstance(result.exception, DataError)
    assert "no face is found in any of the 12 images of JAFFE" in str(result.exception)
