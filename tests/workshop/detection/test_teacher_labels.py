from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from toy_faces import nothing, seen

from mien.errors import DataError
from mien.workshop.detection import teacher_labels


def test_what_the_teacher_saw_is_kept(tmp_path: Path) -> None:
    faces = [seen(0.9), nothing(), seen(0.8)]
    teacher_labels.save_seen(tmp_path / "folder" / "seen.npz", {"faces": faces})
    loaded = teacher_labels.load_seen(tmp_path / "folder" / "seen.npz")["faces"]
    for one, other in zip(faces, loaded, strict=True):
        for name, value in vars(one).items():
            np.testing.assert_array_equal(value, getattr(other, name))
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["seen.npz"]


def test_a_kind_without_pictures_is_kept_as_such(tmp_path: Path) -> None:
    """As crops are where there is no FER2013."""
    teacher_labels.save_seen(tmp_path / "seen.npz", {"crops": [], "scenes": [nothing()]})
    loaded = teacher_labels.load_seen(tmp_path / "seen.npz")
    assert loaded["crops"] == []
    assert [len(one) for one in loaded["scenes"]] == [0]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_cut_file_is_told_in_one_line(tmp_path: Path, share: float) -> None:
    path = tmp_path / "seen.npz"
    teacher_labels.save_seen(path, {"faces": [seen()]})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"seen.npz is not a whole file .* remove it"):
        teacher_labels.load_seen(path)


def test_counts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "seen.npz"
    one = seen()
    np.savez(path, faces_counts=np.array([2]), **{f"faces_{name}": value for name, value in vars(one).items()})
    with pytest.raises(DataError, match="2 faces are counted, 1 are there"):
        teacher_labels.load_seen(path)


def test_another_file_of_fer2013_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "fer2013.npz", pictures=np.zeros((2, 48, 48), np.uint8))
    with pytest.raises(DataError, match=r"not FER2013 as an npz file: no array images"):
        teacher_labels._read_crops(tmp_path)


def test_archives_that_are_missing_or_damaged_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected faces.zip in .* there is none"):
        teacher_labels.load_material(tmp_path, tmp_path / "teacher.onnx", tmp_path / "seen.npz")
    archive = tmp_path / "faces.zip"
    archive.write_bytes(b"PK\x03\x04cut")
    with pytest.raises(DataError, match=r"faces.zip is not a whole zip of pictures"):
        teacher_labels.load_material(tmp_path, tmp_path / "teacher.onnx", tmp_path / "seen.npz")
    for content in (b"", b"no picture"):
        with zipfile.ZipFile(archive, "w") as pictures:
            pictures.writestr("faces/0.jpg", content)
        with pytest.raises(DataError, match=r"faces.zip, faces/0.jpg: expected a JPEG or PNG"):
            teacher_labels.read_archive(archive)
