"""Valence, arousal and intensity in every form of data set that carries them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from mien.errors import DataError
from mien.images.pictures import encode
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.factory import load_dataset

NAN = float("nan")
EXPECTED = np.float32([[0.5, -0.25, 1.0], [-1.0, NAN, NAN], [NAN, NAN, NAN]])


def _write_csv(folder: Path, cells: tuple[str, ...] = ("0.5,-0.25,1", "-1,nan,", ",,NA")) -> Path:
    pixels = " ".join(["7"] * 2304)
    lines = ["emotion,pixels,Usage,Valence,arousal,intensity"]
    lines += [
        f"{label},{pixels},{usage},{row}"
        for label, usage, row in zip((3, 0, 6), ("Training", "PublicTest", "PrivateTest"), cells, strict=True)
    ]
    path = folder / "fer2013.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def _write_table(folder: Path, text: str, *, zipped: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    files = {f"{name}.png": encode(np.full((20, 24, 3), 40 * place, np.uint8)) for place, name in enumerate("abc")}
    if zipped:
        with zipfile.ZipFile(folder / "images.zip", "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        for name, data in files.items():
            (folder / name).write_bytes(data)
    (folder / "labels.csv").write_text(text)
    return folder


TABLE = """image,label,split,valence,arousal,intensity
a.png,happy,train,0.5,-0.25,1
b.png,,val,-1,,
c.png,contempt,test,,,
"""


@pytest.mark.filterwarnings("ignore")
def test_the_columns_of_a_csv_are_read_and_read_again_from_the_cache(tmp_path: Path) -> None:
    path = _write_csv(tmp_path)
    for _ in range(2):
        dataset = load_dataset(path, cache_dir=tmp_path / "cache")
        assert dataset.affect is not None
        np.testing.assert_array_equal(dataset.affect, EXPECTED)
    picked = dataset.part("validation")
    assert picked.affect is not None
    assert picked.affect[0, 0] == -1


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (("0.5,0,0", "-2,0,0", "0,0,0"), r"fer2013\.csv, row 2: valence is -2, expected -1 to 1"),
        (("0,0,1.5", ",,", ",,"), r"row 1: intensity is 1\.5, expected 0 to 1"),
        ((",,", ",much,", ",,"), r"row 2: arousal is a number, or nothing, found 'much'"),
    ],
)
def test_a_value_out_of_range_is_refused_by_row_and_column(
    tmp_path: Path, cells: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(_write_csv(tmp_path, cells), cache_dir=tmp_path / "cache")


def test_the_arrays_of_an_archive_are_read(tmp_path: Path) -> None:
    path = tmp_path / "faces.npz"
    given = {"images": np.zeros((3, 48, 48), np.uint8), "label": np.int64([3, 0, 6]), "usage": np.int64([0, 1, 2])}
    np.savez(path, **given, valence=np.float64([0.5, -1, NAN]), intensity=np.float32([1, NAN, NAN]))
    affect = load_dataset(path, cache_dir=tmp_path).affect
    assert affect is not None
    np.testing.assert_array_equal(affect[:, [0, 2]], EXPECTED[:, [0, 2]])
    assert np.isnan(affect[:, 1]).all()
    np.savez(path, **given, valence=np.float32([0.5]))
    with pytest.raises(DataError, match=r"valence is a number for each of 3 faces, found float32 \(1,\)"):
        load_dataset(path, cache_dir=tmp_path)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_table_of_crops_may_lack_labels_and_values(tmp_path: Path, zipped: bool) -> None:
    dataset = load_dataset(_write_table(tmp_path / "set", TABLE, zipped=zipped))
    assert dataset.labels.tolist() == [3, -1, -1]
    assert dataset.split.tolist() == [0, 1, 2]
    assert dataset.images.shape == (3, 48, 48)
    assert dataset.images[1, 5, 5] == 40
    assert dataset.affect is not None
    np.testing.assert_array_equal(dataset.affect, EXPECTED)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("happy", "hungry", "line 2: 'hungry' is not a label"),
        ("val,", "later,", "line 3: split 'later': expected one of train"),
        ("c.png", "d.png", "files that are neither in"),
        ("b.png", "a.png", "files that several lines name"),
        ("0.5,-0.25", "5,-0.25", "row 1: valence is 5"),
        (",-1,,\n", ",-1,\n", "line 3"),
    ],
)
def test_a_wrong_table_is_refused_in_a_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(_write_table(tmp_path / "set", TABLE.replace(old, new)))


def test_a_table_of_nothing_to_learn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no row has a label, valence"):
        load_dataset(_write_table(tmp_path / "set", "image,split\na.png,train\n"))


def test_a_data_set_checks_its_values(make_dataset: object) -> None:
    images, empty = np.zeros((1, 4, 4), np.uint8), np.zeros(1, np.int64)
    with pytest.raises(DataError, match=r"toy: valence, arousal, intensity are float32 \(1, 3\), not float32 \(1, 2\)"):
        FaceDataset("toy", images, empty, np.zeros(1, np.int8), np.array(["a"]), affect=np.zeros((1, 2), np.float32))
