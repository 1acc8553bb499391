from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from runs import assert_same_run
from toy_study import stripes

from mien.errors import ConfigError, DataError
from mien.models.checkpoint import load_network, load_tensors
from mien.training.fit import fit
from mien.training.folder import hold
from mien.training.loaders import fingerprint
from mien.training.opinions import digests_of, read_opinions
from mien.training.queue.budget import Budget, Pace
from mien.training.queue.faces import load_faces, save_faces
from mien.training.queue.main import Session, run_pack
from mien.training.queue.pack import write_pack
from mien.training.queue.parcel import Limits, read_parcel, write_parcel
from mien.training.queue.pictures import decode, encode
from mien.training.queue.session import Manner, run_session
from mien.training.queue.states import standings
from mien.training.queue.take import take_parcel
from mien.training.study.plan import Study, load_study
from mien.training.study.runs import Options, plan

TOML = """
name = "toy"
title = "Two teachers and a student"
seeds = [0]
[base.model]
arch = "shallow_cnn"
options = { widths = [4, 8], dense = 8, dropout = 0.2 }
size = 48
[base.heads]
crowd = 0
[base.optim]
name = "adam"
lr = 0.01
[base.fit]
epochs = 3
batch_size = 16
ema = 0.5
selection = "fer2013"
[[panels]]
file = "runs/teachers/both.npz"
of = ["first", "second"]
views = 3
[[entries]]
name = "first"
fetch = "half"
[[entries]]
name = "second"
[[entries]]
name = "student"
seeds = [0, 1]
[entries.distill]
teachers = ["runs/teachers/both.npz"]
[[entries]]
name = "late"
round = 2
"""


class Clock:
    """Each look at it takes a second, or what is told."""

    def __init__(self, step: float = 1.0) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a queue in it."""
    monkeypatch.chdir(tmp_path)
    Path("toy.toml").write_text(TOML)
    return tmp_path


@pytest.fixture
def study(place: Path) -> Study:
    return load_study(place / "toy.toml")


def session(study: Study, place: Path, minutes: float = 1e6, **manner: object) -> list[tuple[str, int, str]]:
    budget = Budget(60 * minutes, reserve_s=0, start_s=0, clock=Clock(0.001))
    chosen = Manner(device="cpu", **manner)  # type: ignore[arg-type]
    turns = run_session(study, stripes(), place / "runs", budget, chosen, base=place, say=lambda _: None)
    return [(run.entry.name, run.seed, state) for run, state in turns]


def states(study: Study, place: Path) -> list[str]:
    return [standing.state for standing in standings(study, place / "runs", base=place)]


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (40, 12, 9)])
def test_pictures_come_back_as_they_were(shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    smooth = np.cumsum(random.integers(-2, 3, shape), axis=2)
    for pictures in (random.integers(0, 256, shape), 128 + smooth, np.full(shape, 255)):
        given = pictures.astype(np.uint8)
        assert np.array_equal(decode(encode(given)), given)


def test_smooth_pictures_become_small() -> None:
    y, x = np.mgrid[:48, :48]
    random = np.random.default_rng(0)
    waves = [128 + 60 * np.sin(x / random.uniform(4, 20) + y / random.uniform(4, 20)) for _ in range(60)]
    pictures = np.array(waves).astype(np.uint8)
    assert sum(array.nbytes for array in encode(pictures).values()) < pictures.nbytes / 3


def test_packed_faces_are_the_same_to_a_training_and_hold_no_test_rows(tmp_path: Path) -> None:
    whole = stripes()
    whole = replace(whole, images=np.concatenate([whole.images[:1], whole.images[:-1]]))
    save_faces(tmp_path / "faces.npz", whole)
    for _ in range(2):
        packed = load_faces(tmp_path / "faces.npz", cache=tmp_path)
        rows = whole.part("train", "validation")
        assert not len(packed.part("test"))
        for name in ("images", "labels", "split", "ids"):
            assert np.array_equal(getattr(packed, name), getattr(rows, name))
        assert fingerprint(packed) == fingerprint(whole) != fingerprint(rows)
        assert fingerprint(packed[:5]) != fingerprint(whole)


def test_colour_faces_are_packed_too(tmp_path: Path) -> None:
    grey = replace(stripes(), images=np.ascontiguousarray(stripes().images[:, ::4, ::3]))
    colour = replace(grey, images=np.stack([grey.images, 255 - grey.images, grey.images // 2], axis=3))
    save_faces(tmp_path / "faces.npz", colour)
    packed = load_faces(tmp_path / "faces.npz")
    assert np.array_equal(packed.images, colour.part("train", "validation").images)


def test_damaged_faces_are_told(tmp_path: Path) -> None:
    path = tmp_path / "faces.npz"
    save_faces(path, stripes())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="pack it anew"):
        load_faces(path)
    with pytest.raises(DataError, match="no rows of train"):
        save_faces(path, stripes().part("test"))


def test_the_queue_goes_round_by_round(study: Study, place: Path) -> None:
    order = [(run.entry.name, run.seed) for run in plan(study, place, Options())]
    assert order == [("first", 0), ("second", 0), ("student", 0), ("student", 1), ("late", 0)]


def test_a_panel_of_an_unknown_entry_is_refused(place: Path) -> None:
    Path("toy.toml").write_text(TOML.replace('"second"]', '"third"]'))
    with pytest.raises(ConfigError, match="third"):
        load_study(place / "toy.toml")


def test_the_whole_queue(study: Study, place: Path) -> None:
    assert states(study, place) == ["to do", "to do", "waits", "waits", "to do"]
    assert session(study, place, only=("first", "second")) == [("first", 0, "done"), ("second", 0, "done")]
    assert states(study, place) == ["done", "done", "to do", "to do", "to do"]
    assert session(study, place, only=("student",)) == [("student", 0, "done"), ("student", 1, "done")]
    opinions = read_opinions(place / "runs/teachers/both.npz")
    train = stripes().part("train")
    assert np.array_equal(opinions.digests, np.unique(digests_of(train)))
    assert np.allclose(opinions.heads["fer2013"].sum(axis=1), 1, atol=2e-3)
    assert [teacher["name"] for teacher in opinions.told["teachers"]] == ["first/seed-0", "second/seed-0"]
    assert session(study, place, only=("student",)) == []
    assert {path.name for path in (place / "runs/teachers").iterdir()} == {"both.npz"}


def test_a_session_in_pieces_is_equal_to_one_that_is_whole(study: Study, place: Path) -> None:
    for minutes in (0.5, 0.5, 1e6):
        # Every look at the clock takes ten seconds, so that half a minute holds one epoch.
        budget = Budget(60 * minutes, reserve_s=0, start_s=0, clock=Clock(10 if minutes < 1 else 0.001))
        run_session(
            study, stripes(), place / "runs", budget, Manner(device="cpu", only=("first",)), base=place,
            say=lambda _: None,
        )  # fmt: skip
        assert states(study, place)[0] == ("begun" if minutes < 1 else "done")
    config = study.config(study.entries[0], 0)
    fit(config, stripes(), place / "whole", device="cpu")
    (place / "runs/toy/first/seed-0/training.json").unlink()
    assert_same_run(place / "runs/toy/first/seed-0", place / "whole")


def test_no_run_begins_when_too_little_time_is_left(study: Study, place: Path) -> None:
    said: list[str] = []
    budget = Budget(40, reserve_s=20, start_s=30, clock=Clock())
    turns = run_session(study, stripes(), place / "runs", budget, Manner(device="cpu"), base=place, say=said.append)
    assert turns == []
    assert "too little" in said[-1]


def test_the_pace_is_that_of_the_last_epochs_but_the_first() -> None:
    times = iter([0, 30, 32, 36, 36, 100])
    pace = Pace(Budget(100, reserve_s=10, clock=lambda: float(next(times))))
    pace.lap()
    assert pace.next_s == 1.25 * 30
    pace.lap()
    pace.lap()
    assert pace.next_s == 1.25 * 4
    assert pace.allows_epoch
    assert not pace.allows_epoch


def test_a_run_that_fails_is_left_with_its_reason(place: Path) -> None:
    Path("toy.toml").write_text(TOML + "[entries.optim]\nlr = 1e30\nwarmup_epochs = 0\n")
    broken = load_study(place / "toy.toml")
    assert session(broken, place, only=("late", "first")) == [("first", 0, "done"), ("late", 0, "failed")]
    standing = standings(broken, place / "runs", base=place)[-1]
    assert standing.state == "failed"
    assert "loss became" in standing.note
    assert session(broken, place, only=("late",)) == []
    assert session(broken, place, only=("late",), again=True) == [("late", 0, "failed")]


def test_a_run_that_another_process_trains_is_left_to_it(study: Study, place: Path) -> None:
    with hold(place / "runs/toy/first/seed-0"):
        assert states(study, place)[0] == "held"
        assert session(study, place, only=("first", "late")) == [("late", 0, "done")]
    assert states(study, place)[0] == "to do"


def pack(place: Path, **options: object) -> Path:
    write_pack(place / "toy.toml", stripes(), Path("runs"), place / "pack", **options)  # type: ignore[arg-type]
    return place / "pack"


def test_a_pack_that_is_too_large_is_not_written_and_names_the_largest(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"would take .* MB, and 0.1 are allowed; the largest: src .* faces.npz"):
        pack(place, limit_mb=0.1)
    assert {path.name for path in place.iterdir()} == {"toy.toml"}


def test_a_pack_is_not_overwritten_unasked(place: Path) -> None:
    pack(place)
    with pytest.raises(ConfigError, match="--overwrite"):
        pack(place)
    pack(place, overwrite=True)
    (place / "other").mkdir()
    with pytest.raises(ConfigError, match="another --out"):
        write_pack(place / "toy.toml", stripes(), Path("runs"), place / "other", overwrite=True)


def test_a_file_that_a_training_names_has_to_be_there(place: Path) -> None:
    Path("toy.toml").write_text(TOML.replace('teachers = ["runs/', 'teachers = ["else/'))
    with pytest.raises(ConfigError, match=r"student names else/teachers/both\.npz"):
        pack(place)


def test_there_and_home_again(study: Study, place: Path) -> None:
    folder = pack(place)
    assert not list(folder.rglob("model.onnx"))
    work, out = place / "there", place / "out"
    assert run_pack(Session(folder, 0.0, work, out, Manner("cpu"))).parts == ()
    first = run_pack(Session(folder, 1e6, work, out / "1", Manner("cpu", only=("first", "second"))), clock=Clock(1e-3))
    assert "toy/first/seed-0/best.safetensors" in first.packed
    limits = Limits(parts=8, part_mb=0.02)
    second = run_pack(Session(folder, 1e6, work, out / "2", Manner("cpu", only=("student",)), 1, limits))
    assert not any(name.startswith("toy/first") for name in second.packed)
    assert len(second.parts) > 1
    assert all(part.stat().st_size <= 20_000 for part in second.parts)
    for part in ("1", "2"):
        taken, left = take_parcel([out / part], place / "runs")
        assert left == []
        assert taken
    assert states(study, place) == ["done", "done", "done", "done", "to do"]
    for name in ("second", "student"):
        at = Path("toy") / name / "seed-0" / "best.safetensors"
        assert (place / "runs" / at).read_bytes() == (work / "runs" / at).read_bytes()
    half = load_network(place / "runs/toy/first/seed-0/best.safetensors")[0]
    full = load_network(work / "runs/toy/first/seed-0/best.safetensors")[0]
    faces = torch.from_numpy(stripes().images[:8, None])
    with torch.no_grad():
        assert torch.allclose(half(faces)["fer2013"], full(faces)["fer2013"], atol=0.05)
    assert session(study, place, only=("student",)) == []


def test_a_half_trained_run_travels_both_ways(study: Study, place: Path) -> None:
    config = study.config(study.entries[3], 0)
    fit(config, stripes(), place / "runs/toy/late/seed-0", device="cpu", stop_after=1)
    folder = pack(place)
    assert (folder / "runs/toy/late/seed-0/last.safetensors").is_file()
    budget = Manner("cpu", only=("late",))
    # Twenty seconds a look: one more epoch.
    run_pack(Session(folder, 1.5, place / "there", place / "out", budget), clock=Clock(20))
    taken, _ = take_parcel([place / "out"], place / "runs")
    assert "toy/late/seed-0/last.safetensors" in taken
    fit(config, stripes(), place / "runs/toy/late/seed-0", device="cpu")
    fit(config, stripes(), place / "whole", device="cpu")
    tensors = [load_tensors(f / "last.safetensors")[0] for f in (place / "runs/toy/late/seed-0", place / "whole")]
    assert all(torch.equal(tensors[0][key], tensors[1][key]) for key in tensors[1])


def test_a_parcel_takes_what_there_is_room_for(study: Study, place: Path) -> None:
    session(study, place, only=("first", "late"))
    found = standings(study, place / "runs", base=place)
    write = lambda total: write_parcel(  # noqa: E731
        study, found, place / "runs", base=place, out=place / "out", limits=Limits(total_mb=total)
    )
    small = write(0.03)
    assert small.left
    assert not any(name.endswith("best.safetensors") for name in small.packed)
    rest = write(60)
    assert set(rest.packed) == set(small.left)
    assert write(60).packed == ()


def test_a_damaged_parcel_is_not_taken(study: Study, place: Path) -> None:
    session(study, place, only=("late",))
    found = standings(study, place / "runs", base=place)
    limits = Limits(parts=99, part_mb=0.003)
    parcel = write_parcel(study, found, place / "runs", base=place, out=place / "out", limits=limits)
    assert len(parcel.parts) > 4
    with pytest.raises(DataError, match="a parcel's parts are"):
        read_parcel([*parcel.parts[:1], *parcel.parts[2:]])
    with pytest.raises(DataError, match=r"whole parcel|are there"):
        read_parcel(list(parcel.parts[:3]))
    with pytest.raises(DataError, match="no parcel in"):
        read_parcel([place / "runs"])
    whole = parcel.parts[1].read_bytes()
    parcel.parts[1].write_bytes(whole[:700] + bytes([whole[700] ^ 1]) + whole[701:])
    with pytest.raises(DataError):
        read_parcel([place / "out"])


def test_what_is_further_on_at_home_stays(study: Study, place: Path) -> None:
    config = study.config(study.entries[3], 0)
    for folder, epochs in (("runs", 2), ("there/runs", 1)):
        fit(config, stripes(), place / folder / "toy/late/seed-0", device="cpu", stop_after=epochs)
    there = place / "there"
    found = standings(study, there / "runs", base=there)
    write_parcel(study, found, there / "runs", base=there, out=place / "out", limits=Limits())
    before = (place / "runs/toy/late/seed-0/last.safetensors").read_bytes()
    taken, left = take_parcel([place / "out"], place / "runs")
    assert taken == []
    assert "toy/late/seed-0/history.json" in left
    assert (place / "runs/toy/late/seed-0/last.safetensors").read_bytes() == before


BARE = """
import sys
for name in ("pydantic", "av", "cv2", "onnxruntime", "onnx", "onnxscript", "rich", "click", "matplotlib", "sklearn",
             "pandas", "mlflow", "optuna"):
    sys.modules[name] = None
import runpy, torch
torch.set_num_threads(1)
sys.argv = [sys.argv[1], "--minutes", "30", "--device", "cpu", "--only", "first"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_pack_trains_with_torch_fabric_safetensors_and_numpy_alone(study: Study, place: Path) -> None:
    folder = pack(place)
    done = subprocess.run([sys.executable, "-c", BARE, str(folder / "run.py")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "first, seed 0: done, 3 of 3 epochs" in done.stdout
    take_parcel([folder / "out"], place / "runs")
    # What was trained there is the run that is configured here, where pydantic reads the same file.
    assert states(study, place)[0] == "done"
    saved = json.loads((place / "runs/toy/first/seed-0/history.json").read_text())["identity"]
    assert saved["config"] == study.config(study.entries[0], 0).model_dump(mode="json")
    assert saved["data"] == fingerprint(stripes())
