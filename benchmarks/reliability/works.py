"""Long work in miniature, each a command that a user would give: what it needs, how it resumes, what it makes."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from forked import Forked
from fuzz_targets import PORTRAIT

from mien.apps.cli.main import main
from mien.errors import ConfigError, MienError

OUT = "out"
"""Everything is written into this folder beside the material."""

STUDY = """
name = "toy"
title = "Two"
question = "Which?"
method = "Adam"
seeds = [0]
[base.model]
arch = "shallow_cnn"
options = { widths = [8, 8], dense = 8 }
[base.heads]
crowd = 0
[base.fit]
epochs = 3
batch_size = 32
[[entries]]
name = "plain"
[[entries]]
name = "wider"
[entries.model]
options = { widths = [8, 16], dense = 8 }
"""

SEARCH = """
name = "toy"
title = "One range"
[base.model]
arch = "shallow_cnn"
options = { widths = [8, 8], dense = 8 }
[base.heads]
crowd = 0
[base.fit]
epochs = 3
batch_size = 32
[search]
trials = 5
startup = 2
pruner = "none"
heartbeat_seconds = 1
[ranges]
optim.lr = { low = 1e-4, high = 1e-2, log = true }
"""

TRAINING = """
[model]
arch = "shallow_cnn"
options = { widths = [8, 8, 8], dense = 8 }
[heads]
crowd = 0
[fit]
epochs = 6
batch_size = 32
seed = 3
"""


@dataclass(frozen=True)
class Work:
    """One piece of work.

    Args:
        command: what follows `mien`, in the folder with the material; or `decide` and a reviewer.
        result: what came out of it, to compare, from the folder that it was written to.
        again: after a kill; the same command, if not given.
        prepare: what has to be done before, undisturbed.
        replace: a command that would replace or extend the finished result.
    """

    command: list[str]
    result: Callable[[Path], Any]
    again: list[str] = field(default_factory=list)
    prepare: list[str] = field(default_factory=list)
    replace: list[str] = field(default_factory=list)

    @property
    def resumed(self) -> list[str]:
        """The command after a kill."""
        return self.again or self.command


def start(command: list[str], folder: Path) -> Forked:
    """Begin a piece of work in a process of its own."""
    if command[0] == "decide":
        return Forked(lambda: decide(command[1]), folder)
    return Forked(lambda: main(command), folder)


def decide(reviewer: str) -> None:
    """Drop every issue, as the page of `mien data review` sends it, and write down what was confirmed."""
    from mien.apps.review.desk import Desk, open_bench

    try:
        bench = open_bench(Path(OUT, "issues.csv"), reviewer=reviewer)
    except MienError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    desk = Desk(bench)
    mine = desk.standing.by_reviewer.get(reviewer, {})
    confirmed: int | None = None
    # After a loss the page sends its newest decision again: here the last one that was written.
    for issue in sorted(mine)[-1:] + [number for number in sorted(bench.cards.issues) if number not in mine]:
        event = {"token": f"{reviewer}{issue}", "action": "drop", "issue": issue, "reviewer": reviewer}
        desk.receive({"events": [event]})
        if desk.error:
            sys.stderr.write(f"error: {desk.error}\n")
            sys.exit(ConfigError.exit_code)
        if confirmed is None:
            confirmed = os.open(f"{OUT}/confirmed.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(confirmed, f"{issue}\n".encode())
        time.sleep(0.02)


def make_material(folder: Path) -> None:
    """Photos, a clip, faces, the two sources of `hybrid`, and settings."""
    import av

    from mien.images.pictures import read, resize, write

    portrait = resize(read(PORTRAIT), 240, 240)
    (folder / "photos").mkdir()
    for number in range(12):
        write(folder / "photos" / f"{number:02}.png", np.roll(portrait, 7 * number, axis=1))
    with av.open(str(folder / "clip.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 480, 240
        stream.pix_fmt = "yuv420p"
        for number in range(150):
            wide = np.full((240, 480, 3), 120, np.uint8)
            wide[:, number : number + 240] = portrait
            frame = av.VideoFrame.from_ndarray(wide, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    draw = np.random.default_rng(0)
    labels = np.arange(640) % 7
    faces = (draw.normal(90, 30, (640, 48, 48)) + 12 * labels[:, None, None]).clip(0, 255).astype(np.uint8)
    np.savez(folder / "faces.npz", images=faces, label=labels, usage=np.repeat([0, 1, 2], [512, 64, 64]))
    for name, text in {"study": STUDY, "search": SEARCH, "train": TRAINING}.items():
        (folder / f"{name}.toml").write_text(text)
    _make_sources(folder, portrait)


def _make_sources(folder: Path, portrait: np.ndarray[Any, Any]) -> None:
    """What `mien data build hybrid` asks for: FER2013 with its votes, and photographs of named people."""
    import zipfile

    from mien.images.pictures import encode, resize
    from mien.labels import VOTE_COLUMNS

    draw = np.random.default_rng(1)
    (folder / "fer2013").mkdir()
    pixels, votes = ["emotion,pixels,Usage"], [f"Usage,Image name,{','.join(VOTE_COLUMNS)}"]
    face = resize(portrait[20:130, 60:170], 48, 48).mean(axis=2)
    for number in range(200):
        usage = ("Training", "PublicTest", "PrivateTest")[number % 10 - 7 if number % 10 > 7 else 0]
        noisy = (np.roll(face, number % 13, axis=1) + draw.normal(0, 25, (48, 48))).clip(0, 255).astype(int)
        pixels.append(f"3,{' '.join(map(str, noisy.ravel()))},{usage}")
        counts = [10 if column == number % 7 else 0 for column in range(len(VOTE_COLUMNS))]
        votes.append(f"{usage},fer{number:07}.png,{','.join(map(str, counts))}")
    (folder / "fer2013" / "fer2013.csv").write_text("\n".join(pixels) + "\n")
    (folder / "fer2013" / "ferplus.csv").write_text("\n".join(votes) + "\n")
    (folder / "web").mkdir()
    names = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    with zipfile.ZipFile(folder / "web" / "images.zip", "w") as archive:
        rows = ["image,emotion"]
        for number in range(60):
            noisy = (portrait + draw.normal(0, 20, portrait.shape)).clip(0, 255).astype(np.uint8)
            name = f"Person{number % 12:02}_{number:04}.png"
            archive.writestr(name, encode(np.roll(noisy, 3 * number, axis=1)))
            rows.append(f"{name},{names[number % 7]}")
    (folder / "web" / "labels.csv").write_text("\n".join(rows) + "\n")


def rows_of(path: Path, columns: int | None = None) -> Any:
    """The cells of a table, the first columns of each row."""
    with path.open(encoding="utf-8", newline="") as file:
        return [row[:columns] for row in csv.reader(file)]


def weights_of(folder: Path) -> Any:
    """The best network of each run below a folder, by its run, to the bit."""
    from mien.workshop.networks.checkpoint import load_tensors

    return {
        str(path.parent.relative_to(folder)): {
            name: hashlib.sha256(value.numpy().tobytes()).hexdigest() for name, value in load_tensors(path)[0].items()
        }
        for path in sorted(folder.rglob("best.safetensors"))
    }


def trials_of(folder: Path) -> Any:
    """The trials that count of a search, in the order of their choice: settings, state, value; how many folders."""
    import optuna

    from mien.workshop.experiments.search_storage import counted, origin

    study = optuna.load_study(study_name="toy", storage=f"sqlite:///{folder / 'search.db'}")
    trials = sorted(counted(study), key=origin)
    found = [(trial.params, trial.state.name, trial.value) for trial in trials]
    return found, sum(1 for _ in (folder / "trials").iterdir())


def files_of(folder: Path) -> Any:
    """The bytes of all files below a folder, as hashes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def is_named_anew(path: str) -> bool:
    """Files whose names differ from run to run: SQLite's own, and trials of a search, which count on after a kill."""
    return path.endswith(("-wal", "-shm")) or path.startswith("found/trials/")


def decisions_of(folder: Path) -> Any:
    """Who decided what, once each; what was confirmed has to be there."""
    from mien.workshop.curation.decisions import Decisions, decisions_path
    from mien.workshop.curation.table import read_table

    table = folder / "issues.csv"
    log = Decisions(decisions_path(table), read_table(table), create=False).log()
    confirmed = set(map(int, (folder / "confirmed.txt").read_text().split()))
    lost = confirmed - {decision.issue for decision in log}
    return [(decision.issue, decision.choice, decision.reviewer) for decision in log], sorted(lost)


def built_of(folder: Path) -> Any:
    """The data set that a recipe made, without the times on its card."""
    found = files_of(folder)
    card = json.loads((folder / "card.json").read_text())
    return {name: digest for name, digest in found.items() if not name.startswith("card")} | {"rows": card.get("rows")}


PHOTOS = ["analyze", "photos", "--out", f"{OUT}/rows.csv", "-q"]
VIDEO = ["analyze", "clip.mp4", "--out", f"{OUT}/rows.csv", "-q"]
STUDY_RUN = ["study", "run", "study.toml", "faces.npz", "--out", f"{OUT}/runs"]
TUNE = ["tune", "search.toml", "faces.npz", "--out", f"{OUT}/found"]
CURATE = ["data", "curate", "faces.npz", "--out", f"{OUT}/issues.csv"]
BUILD = ["data", "build", "hybrid", "--data", "fer2013=fer2013", "--data", "web=web", "--out", f"{OUT}/hybrid"]

WORKS: dict[str, Work] = {
    "photos": Work(
        PHOTOS,
        lambda folder: rows_of(folder / "rows.csv"),
        again=[*PHOTOS, "--resume"],
        replace=[*PHOTOS, "--overwrite"],
    ),
    "video": Work(
        VIDEO,
        # Not where exactly a face is: a resumed run searches the whole frame at other moments.
        lambda folder: rows_of(folder / "rows.csv", 6),
        again=[*VIDEO, "--resume"],
        replace=[*VIDEO, "--overwrite"],
    ),
    "training": Work(["train", "train.toml", "faces.npz", "--out", f"{OUT}/run"], weights_of),
    "study": Work(STUDY_RUN, weights_of, replace=[*STUDY_RUN, "--seed", "0", "--seed", "1"]),
    "search": Work(TUNE, lambda folder: trials_of(folder / "found"), replace=[*TUNE, "--trials", "7"]),
    "curation": Work(
        CURATE,
        lambda folder: (folder / "issues.csv").read_bytes(),
        again=[*CURATE, "--overwrite"],
        replace=[*CURATE, "--overwrite"],
    ),
    "build": Work(
        BUILD,
        lambda folder: built_of(folder / "hybrid"),
        again=[*BUILD, "--resume"],
        replace=[*BUILD, "--overwrite"],
    ),
    "review": Work(["decide", "ann"], decisions_of, prepare=CURATE, replace=["decide", "bob"]),
}
