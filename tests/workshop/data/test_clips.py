from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip

from mien.errors import DataError
from mien.images.pictures import write
from mien.workshop.data.clip_folder import read_clips, write_clips
from mien.workshop.data.clips import Clip, ClipDataset, iter_frames

FRAMES = np.random.default_rng(0).integers(0, 255, (5, 8, 8)).astype(np.uint8)


def make_clip(name: str = "a", **changes: object) -> Clip:
    return replace(Clip(name, 0, FRAMES, person="anna", labels=np.array([6, 6, 3, -1, 3])), **changes)


def table(folder: Path, *lines: str, frames: str = "") -> Path:
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    if frames:
        (folder / "frames.csv").write_text(frames)
    return folder


def test_written_clips_are_read_again(tmp_path: Path) -> None:
    valence = np.float32([0.5, np.nan, -1, 0, 1])
    clips = (make_clip(valence=valence, times_s=np.array([0, 0.1, 0.2, 0.5, 0.6])), make_clip("b", split=1, person="b"))
    found = read_clips(write_clips(ClipDataset("toy", clips), tmp_path / "clips"))
    assert [(clip.id, clip.split, clip.person) for clip in found.clips] == [("a", 0, "anna"), ("b", 1, "b")]
    first = found.clips[0]
    np.testing.assert_array_equal(first.labels, clips[0].labels)
    np.testing.assert_allclose(first.valence, valence)
    assert first.arousal is None
    times_s, images = zip(*iter_frames(first), strict=True)
    assert times_s == (0, 0.1, 0.2, 0.5, 0.6)
    np.testing.assert_array_equal(np.stack(images), FRAMES)
    assert [time_s for time_s, _ in iter_frames(found.clips[1])] == [0, 0.04, 0.08, 0.12, 0.16]
    assert len(found.part("validation")) == 1


def test_a_folder_of_images_and_a_video(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    for number in (1, 2, 10):
        write(tmp_path / "faces" / f"{number}.png", np.full((4, 4, 3), number, np.uint8))
    write_clip(tmp_path / "film.mp4", [0.0, 0.04, 0.2])
    head = "clip,source,split,label,rate_hz,cropped"
    table(tmp_path, head, "a,faces,Training,Happiness,10,1", "b,film.mp4,val,,,0", frames="clip,frame,label\nb,1,sad\n")
    first, second = read_clips(tmp_path).clips
    assert (first.label, first.cropped, second.cropped) == (3, True, False)
    assert [(time_s, int(image[0, 0, 0])) for time_s, image in iter_frames(first)] == [(0, 1), (0.1, 2), (0.2, 10)]
    assert [round(time_s, 3) for time_s, _ in iter_frames(second)] == [0, 0.04, 0.2]
    assert second.labels.tolist() == [-1, 4]


@pytest.mark.parametrize(
    ("lines", "frames", "message"),
    [
        (["clip,source", "a,a.npz"], "", "no column 'split'"),
        (["clip,source,split,mood", "a,a.npz,train,x"], "", "unknown column 'mood'"),
        (["clip,source,split"], "", "there is no clip"),
        (["clip,source,split", "a,gone.mp4,train"], "", "line 2: .*gone.mp4: no such file"),
        (["clip,source,split", "a,a.npz,later"], "", "expected the split train, validation, test, not 'later'"),
        (["clip,source,split,label", "a,a.npz,train,bored"], "", "line 2: unknown label 'bored'"),
        (["clip,source,split,rate_hz", "a,a.npz,train,0"], "", "expected a rate above 0"),
        (["clip,source,split", "a,a.npz,train", "a,a.npz,train"], "", "2 clips are called 'a'"),
        (["clip,source,split", "a,a.npz,train,x"], "", "line 2: 4 cells under 3 columns"),
        (["clip,source,split,person", "a,a.npz,train,x", "b,a.npz,test,x"], "", "a person belongs in one split"),
        (["clip,source,split", "a,a.npz,train"], "clip,frame,label\nz,0,sad\n", "clip 'z' is not in clips.csv"),
        (["clip,source,split", "a,a.npz,train"], "clip,frame\na,-1\n", "line 2: expected the number of a frame"),
        (["clip,source,split", "a,a.npz,train"], "clip,frame\na,0\na,0\n", "line 3: frame 0 of 'a' is there twice"),
        (["clip,source,split", "a,a.npz,train"], "clip,frame,valence\na,0,2\n", "expected valence from -1 to 1"),
        (["clip,source,split", "a,a.npz,train"], "clip,frame,time_s\na,1,2\n", "1 of 2 frames have a time_s"),
    ],
)
def test_a_wrong_table(tmp_path: Path, lines: list[str], frames: str, message: str) -> None:
    np.savez(tmp_path / "a.npz", frames=FRAMES)
    with pytest.raises(DataError, match=message):
        read_clips(table(tmp_path, *lines, frames=frames))


def test_parts_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="5 frames but labels of shape"):
        make_clip(labels=np.array([1, 2]))
    with pytest.raises(DataError, match="times that rise"):
        make_clip(times_s=np.array([0, 0.1, 0.1, 0.2, 0.3]))
    with pytest.raises(DataError, match="expected labels in -1–7"):
        make_clip(label=9)


def test_a_damaged_source_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    (clip,) = read_clips(table(tmp_path, "clip,source,split", "a,a.npz,train")).clips
    with pytest.raises(DataError, match=r"clip 'a'.*not a whole npz"):
        list(iter_frames(clip))


def test_the_hash_is_of_labels_and_sources(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", frames=FRAMES)
    hashes = {read_clips(table(tmp_path, "clip,source,split,label", f"a,a.npz,train,{x}")).sha256 for x in ("sad", "")}
    np.savez(tmp_path / "a.npz", frames=FRAMES[:4])
    hashes.add(read_clips(tmp_path).sha256)
    assert len(hashes) == 3
