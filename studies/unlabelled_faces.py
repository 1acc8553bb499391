"""Faces that no teacher knows by heart: photographs without labels, and halves of two faces of Training put together.

    python studies/unlabelled_faces.py ask DATA GRAPH --pictures A.zip --pictures B.zip --out runs/more
    python studies/unlabelled_faces.py train studies/mien-s-7.toml DATA runs/more --out runs/mien-s-7

`ask` finds and crops the faces as `mien analyze` does and writes them with what is said of them: in head `fer2013`
0.6 of mien-s and 0.4 of the DenseNet of `studies/teacher_views.py` at T = 1.5, in `crowd` mien-s alone; the mean of
several views of each photograph, halves as they are. It begins anew each time: 13 minutes of a core. `train` is `mien
train` on the rows of DATA and on these, which have neither labels nor votes. GRAPH: see `studies/teacher_views.py`.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from teacher_views import answer, fast, load_teacher
from torch.nn import functional

from mien.artifact.input import InputSpec, prepare
from mien.errors import DataError, MienError
from mien.faces.detectors import create_detector
from mien.files import read_npz, replacing
from mien.labels import HEADS
from mien.reading.classifier import load_model
from mien.workshop.data.base import NO_LABEL, SPLITS, FaceDataset
from mien.workshop.data.factory import load_dataset
from mien.workshop.data.image_folder import LabelledPhotos
from mien.workshop.evaluation.evaluate import find_faces
from mien.workshop.training.augment import augment
from mien.workshop.training.config import AugmentConfig
from mien.workshop.training.distill import TeacherPredictions, digests_of, write_predictions
from mien.workshop.training.train import train

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

SHARE, TEMPERATURE = 0.4, 1.5
"""Of the DenseNet; `teacher_views.py beside` has 73.2 % of PublicTest with it, and 73.6 with 0.3."""

PICTURES = (".jpg", ".jpeg", ".png")
CROP = InputSpec(48, 48, 1)
FACES = "faces.npz"
VIEW = AugmentConfig(erase=0.0, rotation=10, shift=0.05, zoom=0.08, shear=0.05, brightness=0.15, contrast=0.2)


def crops_of(archive: Path) -> UInt8:
    """The largest face of each picture of a zip file, uint8 (N, 48, 48).

    Raises:
        DataError: it is not a zip file, or holds no face, or a picture that cannot be read.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            names = tuple(sorted(name for name in opened.namelist() if name.lower().endswith(PICTURES)))
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{archive} is not a whole zip of pictures: {error}") from error
    unknown = np.zeros(len(names), np.int64)
    photos = LabelledPhotos(archive.stem, names, unknown, np.zeros(len(names), np.int8), names, archive)
    found = find_faces(photos, create_detector("auto"), CROP)
    return prepare(found.dataset.images, CROP)[:, 0]


def halves_of(faces: UInt8, count: int, seed: int = 0) -> UInt8:
    """Eyes of one face above the mouth of another, uint8 (count, 48, 48); they meet over eight rows below the eyes."""
    generator = np.random.default_rng(seed)
    # Each face once where there are enough of them.
    again = count > len(faces)
    upper, lower = (faces[generator.choice(len(faces), count, replace=again)].astype(np.float32) for _ in range(2))
    # As light as the upper half, or the seam would be what is seen.
    lower += (upper[:, 20:32].mean((1, 2)) - lower[:, 20:32].mean((1, 2)))[:, None, None]
    share = np.clip((np.arange(48) - 22) / 8, 0, 1)[None, :, None]
    return ((1 - share) * upper + share * lower).round().clip(0, 255).astype(np.uint8)


def views_of(faces: UInt8, count: int, seed: int = 0) -> list[UInt8]:
    """The faces as they are, mirrored, and turned and lit a little otherwise; each uint8 (N, 1, 64, 64)."""
    plain = prepare(faces, InputSpec(64, 64, 1))
    generator = torch.Generator().manual_seed(seed)
    more = [
        augment(torch.from_numpy(plain).float(), VIEW, generator).round().clamp(0, 255).byte().numpy()
        for _ in range(count - 2)
    ]
    return [plain, np.ascontiguousarray(plain[..., ::-1]), *more][:count]


@torch.inference_mode()
def ask(given: argparse.Namespace) -> None:
    """Write `faces.npz` and what the teachers say of them, `teachers.npz`."""
    # Whatever is wrong with files is told before the faces are looked for.
    model, network = load_model("mien-s"), fast(load_teacher(given.graph))
    given.out.mkdir(parents=True, exist_ok=True)
    known = load_dataset(given.data).part("train").images
    photographs = np.concatenate([crops_of(path) for path in given.pictures])
    print(f"{len(photographs):,} faces in {', '.join(path.name for path in given.pictures)}", flush=True)
    sets = [(photographs, given.views), (halves_of(known, given.halves), 1)]
    said: dict[str, list[Float32]] = {head: [] for head in ("fer2013", "crowd")}
    for faces, count in sets:
        sums = {head: np.zeros((len(faces), len(HEADS[head])), np.float32) for head in said}
        for number, view in enumerate(views_of(faces, count)):
            begun = time.perf_counter()
            logits = model.run(view)
            ours = {head: model.calibrate(logits[head], head).astype(np.float32) for head in said}
            theirs = functional.softmax(answer(network, torch.from_numpy(view), 224) / TEMPERATURE, dim=1).numpy()
            same = 100 * np.mean(theirs.argmax(1) == ours["fer2013"].argmax(1))
            each = 1e3 * (time.perf_counter() - begun) / len(view)
            print(f"view {number} of {len(view):,}: the same label in {same:.1f} %, {each:.1f} ms each", flush=True)
            sums["fer2013"] += (1 - SHARE) * ours["fer2013"] + SHARE * theirs
            sums["crowd"] += ours["crowd"]
        for head, total in sums.items():
            said[head].append(total / count)
    images = np.concatenate([faces for faces, _ in sets])
    digests, order = np.unique(digests_of(unlabelled(images)), return_index=True)
    heads = {head: np.concatenate(parts)[order] for head, parts in said.items()}
    with replacing(given.out / FACES) as file:
        np.savez_compressed(file, allow_pickle=False, images=images)
    about = {"share": SHARE, "temperature": TEMPERATURE, "views": given.views}
    write_predictions(given.out / "teachers.npz", TeacherPredictions(digests, heads, about))


def unlabelled(images: UInt8) -> FaceDataset:
    """Rows of train without labels."""
    count = len(images)
    split = np.full(count, SPLITS.index("train"), np.int8)
    ids = np.array([f"unlabelled/{number}" for number in range(count)])
    return FaceDataset("unlabelled", images, np.full(count, NO_LABEL, np.int64), split, ids)


def joined(dataset: FaceDataset, more: FaceDataset) -> FaceDataset:
    """The rows of both; those of `more` have no votes.

    Raises:
        DataError: the data set has no votes at all.
    """
    if dataset.votes is None:
        raise DataError(
            f"{dataset.name} has no votes: expected FER2013 with FER+'s, as head `crowd` is trained on them"
        )
    return dataclasses.replace(
        dataset,
        name=f"{dataset.name} and {len(more):,} faces without labels",
        images=np.concatenate([dataset.images, more.images]),
        labels=np.concatenate([dataset.labels, more.labels]),
        split=np.concatenate([dataset.split, more.split]),
        ids=np.concatenate([dataset.ids.astype(np.str_), more.ids]),
        votes=np.concatenate([dataset.votes, np.zeros((len(more), dataset.votes.shape[1]), np.uint8)]),
        sha256="", sources=None, persons=None, contempt=None, measured=None, affect=None,
    )  # fmt: skip


def go_on(given: argparse.Namespace) -> None:
    """Train on both."""
    try:
        more = unlabelled(read_npz(given.more / FACES, ("images",))["images"])
    except (OSError, ValueError) as error:
        raise DataError(f"{given.more}: expected the folder that `ask` writes ({error})") from error
    rows = joined(load_dataset(given.data), more)
    trained = train(given.config, rows, given.out, on_note=print, display=Lines())
    print(f"epoch {trained.result.best_epoch + 1} kept" if trained.finished else "not finished: start it again")


class Lines:
    """A line an epoch."""

    def begin(self, steps: int, done: int) -> None:
        print(f"{steps:,} steps, {done:,} of them done", flush=True)

    def step(self, ask: object = None) -> None:
        pass

    def epoch(self, row: dict[str, float], epochs: int, best: bool) -> None:
        shown = {key: f"{value:.4f}" for key, value in row.items() if key not in ("epoch", "lr")}
        print(f"epoch {row['epoch'] + 1:g} of {epochs}: {shown}{' (best)' if best else ''}", flush=True)

    def note(self, text: str) -> None:
        print(text, flush=True)


def natural(text: str) -> int:
    """A number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, not {text!r}")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(required=True)
    one = steps.add_parser("ask")
    one.add_argument("data", type=Path)
    one.add_argument("graph", type=Path)
    one.add_argument("--pictures", type=Path, action="append", required=True, help="zip file, may be repeated")
    one.add_argument("--views", type=natural, default=4, help="of each photograph")
    one.add_argument("--halves", type=natural, default=6000)
    one.set_defaults(work=ask)
    two = steps.add_parser("train")
    two.add_argument("config", type=Path)
    two.add_argument("data", type=Path)
    two.add_argument("more", type=Path)
    two.set_defaults(work=go_on)
    for step in (one, two):
        step.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    try:
        given.work(given)
    except MienError as error:
        raise SystemExit(f"mien: {error}") from error


if __name__ == "__main__":
    main()
