"""`python -m mien.workshop.geometry`: ask the teacher, train, export, report. Only steps; the work is beside it."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict
from pathlib import Path

import click
import cv2
import numpy as np

from mien.errors import DataError, MienError
from mien.faces.detectors import create_detector
from mien.faces.geometry import COVERABLE, GRAPHS, INPUT_PX, WEIGHTS, GeometryReader
from mien.images.pictures import decode, to_grey
from mien.labels import percent
from mien.reading.classifier import load_model
from mien.structures import Detections
from mien.workshop.data.factory import load_dataset
from mien.workshop.evaluation.compare import measure_in_turns
from mien.workshop.geometry import answers, fusing, teaching
from mien.workshop.geometry.student import CloseupNet, GeometryNet
from mien.workshop.geometry.teacher import Teacher, load_canonical, mirror_of
from mien.workshop.geometry.views import CloseupViewer, UInt8, Viewer

PHOTOGRAPHS, CROPS, FOREIGN, HELD_CROPS = "photographs.npz", "crops.npz", "foreign.npz", "held-crops.npz"
HELD_PEOPLE = 250
"""So many of the photographs, the last by name, are for evaluation alone: each is of somebody else."""
CROP_PX, PHOTOGRAPH_PX, SCENE_PX = 128, 192, 128
SCENES = 300
CALIBRATION = 512

_folder = click.option(
    "--answers", "folder", type=click.Path(path_type=Path), required=True, help="folder of the answers"
)
_file = click.Path(exists=True, path_type=Path)


@click.group(help=__doc__)
def main() -> None:
    """Steps of the geometry network."""


@main.command()
@_folder
@click.option("--teacher", type=_file, required=True, help="face_landmarker.task")
@click.option("--photographs", type=_file, required=True, help="zip of photographs of one person each")
@click.option("--foreign", type=_file, help="zip of photographs of another source, for evaluation")
@click.option("--fer2013", type=_file, help="folder with fer2013.csv")
@click.option("--crops", type=int, default=9000, show_default=True, help="rows of FER2013's Training to ask about")
def label(
    folder: Path, teacher: Path, photographs: Path, foreign: Path | None, fer2013: Path | None, crops: int
) -> None:
    """Ask the teacher about every face, once."""
    asked = Teacher(teacher)
    detector = create_detector("yunet")
    for archive, name in ((photographs, PHOTOGRAPHS), (foreign, FOREIGN)):
        if archive is not None:
            found = answers.ask_photographs(archive, detector, asked, side=PHOTOGRAPH_PX)
            answers.save_faces(found, folder / name)
            click.echo(f"{len(found)} faces of {archive}")
    if fer2013 is None:
        return
    rows = load_dataset(fer2013)
    for split, name, limit in (("train", CROPS, crops), ("validation", HELD_CROPS, 1000)):
        part = rows.part(split)
        chosen = np.random.default_rng(0).permutation(len(part))[:limit]
        found = answers.ask_crops(part.images[chosen], part.ids[chosen], asked, side=CROP_PX)
        answers.save_faces(found, folder / name)
        click.echo(f"{len(found)} of {len(chosen)} faces of FER2013's {split}")


@main.command()
@click.argument("config", type=_file)
@_folder
@click.option("--teacher", type=_file, required=True, help="face_landmarker.task, for its canonical head")
@click.option("--scenes", type=_file, required=True, help="zip of pictures to put behind faces")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of the training")
def train(config: Path, folder: Path, teacher: Path, scenes: Path, out: Path) -> None:
    """Train, or go on where the folder's checkpoint is."""
    settings = teaching.read_config(config)
    mirror = mirror_of(load_canonical(teacher))
    behind = _read_scenes(scenes) if settings.stage == "face" else np.zeros((0, SCENE_PX, SCENE_PX), np.uint8)
    photographs, _ = split_people(answers.load_faces(folder / PHOTOGRAPHS))
    sources = {"photographs": photographs}
    if settings.shares.get("crops", 0) > 0:
        sources["crops"] = answers.load_faces(folder / CROPS)
    viewers: dict[str, Viewer | CloseupViewer] = {
        name: Viewer(faces, behind, mirror) if settings.stage == "face" else CloseupViewer(faces, mirror)
        for name, faces in sources.items()
    }
    teaching.train(settings, viewers, out)


@main.command()
@click.argument("face", type=_file)
@click.argument("closeups", type=_file)
@_folder
@click.option("--views", type=int, default=3, show_default=True, help="of each face")
@click.option("--part", type=(int, int), default=(0, 1), help="ask about one of several parts of the faces only")
def fuse(face: Path, closeups: Path, folder: Path, views: int, part: tuple[int, int]) -> None:
    """Fit the last layers, from what both trainings' networks see to blendshapes; kept beside the close-ups' run."""
    from mien.workshop.geometry import fusing

    first, second = teaching.load_mean(face), teaching.load_mean(closeups, "closeups")
    assert isinstance(first, GeometryNet)
    assert isinstance(second, CloseupNet)
    photographs, _ = split_people(answers.load_faces(folder / PHOTOGRAPHS))
    # Photographs are few, sharp, and what users have: they are looked at three times as often.
    sources = [*[photographs] * 3, answers.load_faces(folder / CROPS)]
    kept = closeups / f"seen-{part[0]}-of-{part[1]}.npz"
    if not kept.is_file():
        rng = np.random.default_rng(part[0])
        seen = [fusing.look(first, second, faces[part[0] :: part[1]], rng) for faces in sources for _ in range(views)]
        fusing.save_seen(fusing.join(seen), kept)
    files = [closeups / f"seen-{number}-of-{part[1]}.npz" for number in range(part[1])]
    if not all(file.is_file() for file in files):
        click.echo("other parts are missing yet")
        return
    whole = fusing.join([fusing.load_seen(file) for file in files])
    fusing.save_fusion(fusing.fit(whole, report=True), closeups / "fusion.safetensors")


@main.command(name="covers")
@click.argument("face", type=_file)
@click.argument("closeups", type=_file)
@_folder
@click.option("--views", type=int, default=7, show_default=True, help="of each photograph; of each crop, half as many")
def learn_covers(face: Path, closeups: Path, folder: Path, views: int) -> None:
    """Teach what covers eyes and mouth, on drawn covers; kept beside the close-ups' run."""
    from mien.workshop.geometry import covers

    first = teaching.load_mean(face)
    assert isinstance(first, GeometryNet)
    photographs, held = split_people(answers.load_faces(folder / PHOTOGRAPHS))
    rng = np.random.default_rng(0)
    drawn = []
    for faces, rounds in ((photographs, views), (answers.load_faces(folder / CROPS), max(1, views // 2))):
        rows = np.concatenate([rng.permutation(len(faces)) for _ in range(rounds)])
        drawn.append(covers.draw_views(first, faces, rows, photographs.pictures, rng))
    squares, shares = (np.concatenate([getattr(one, name) for one in drawn]) for name in ("squares", "covered"))
    net = covers.fit(covers.CoverViews(squares, shares))
    covers.save_covers(net, closeups / "covers.safetensors")
    sets = {"held-out people": held}
    if (folder / FOREIGN).is_file():
        sets["foreign photographs"] = answers.load_faces(folder / FOREIGN)
    for name, faces in sets.items():
        seen = covers.draw_views(first, faces, np.arange(len(faces)), photographs.pictures, np.random.default_rng(1))
        scores = covers.evaluate(net, seen)
        parts = zip(COVERABLE, scores.found, scores.wrongly, strict=True)
        told = ", ".join(
            f"{part} {percent(found)} found, {percent(wrongly, 1)} wrongly" for part, found, wrongly in parts
        )
        click.echo(f"{name}: {told}")


@main.command()
@click.argument("face", type=_file)
@click.argument("closeups", type=_file)
@_folder
@click.option("--out", type=click.Path(path_type=Path), default=WEIGHTS, help="folder of graphs and card")
@click.option("--version", default="0.1.0", show_default=True)
@click.option("--float", "in_float", is_flag=True, help="float16 weights rather than int8 convolutions")
def export(face: Path, closeups: Path, folder: Path, out: Path, version: str, in_float: bool) -> None:
    """Write the graphs of both trainings and of what fuses them, and their card, with scores on held-out people."""
    from mien.workshop.geometry import student as exporting
    from mien.workshop.geometry.covers import load_covers
    from mien.workshop.geometry.fusing import load_fusion

    photographs, held = split_people(answers.load_faces(folder / PHOTOGRAPHS))
    graphs = {}
    for name, run, stage in zip(GRAPHS, (face, closeups), teaching.STAGES, strict=False):
        net = teaching.load_mean(run, stage)
        squares = _calibration(photographs, stage)
        graphs[name] = exporting.build_half(net) if in_float else exporting.build_int8(net, squares)
        exporting.save_weights(net, run / name.replace(".onnx", ".safetensors"))
    graphs[GRAPHS[2]] = exporting.build_fusion(load_fusion(closeups / "fusion.safetensors"))
    graphs[GRAPHS[3]] = exporting.build_covers(
        load_covers(closeups / "covers.safetensors"), _calibration(photographs, "closeups")
    )
    exporting.save(graphs, out, version=version, further={})
    reader = GeometryReader(out, threads=1)
    scores = [asdict(fusing.evaluate(reader, held, size_px=size)) for size in fusing.SIZES_PX]
    exporting.save(graphs, out, version=version, further={"scores": {"held-out people": scores}})
    click.echo(f"{out}: {', '.join(f'{name} {len(graph)} bytes' for name, graph in graphs.items())}")


@main.command()
@_folder
@click.option("--model", type=_file, default=WEIGHTS, help="folder of graph and card")
@click.option("--json", "as_json", is_flag=True)
def report(folder: Path, model: Path, as_json: bool) -> None:
    """How far a network follows its teacher on faces that it never saw, at several sizes."""
    reader = GeometryReader(model, threads=1)
    _, held = split_people(answers.load_faces(folder / PHOTOGRAPHS))
    sets = {"held-out people": held}
    for name, file in (("foreign photographs", FOREIGN), ("FER2013 PublicTest", HELD_CROPS)):
        if (folder / file).is_file():
            sets[name] = answers.load_faces(folder / file)
    scores = {
        name: [fusing.evaluate(reader, faces, size_px=size) for size in fusing.sizes_of(faces)]
        for name, faces in sets.items()
    }
    if as_json:
        click.echo(
            json.dumps({name: [asdict(entry) for entry in entries] for name, entries in scores.items()}, indent=2)
        )
    else:
        click.echo(fusing.to_markdown(scores))


@main.command()
@_folder
@click.option("--teacher", type=_file, required=True, help="face_landmarker.task")
def ceiling(folder: Path, teacher: Path) -> None:
    """How far the teacher's blendshapes follow themselves: what no student can pass."""
    from mien.workshop.geometry import ceiling as asking

    asked = Teacher(teacher)
    _, held = split_people(answers.load_faces(folder / PHOTOGRAPHS))
    for size_px in fusing.SIZES_PX:
        still, moved, other = (
            asking.ask_again(asked, held, size_px=size_px, move=move, seed=seed)
            for move, seed in ((False, 0), (True, 1), (True, 2))
        )
        click.echo(
            f"{size_px} px, {len(held)} faces: grey copies r {asking.agreement(held.blendshapes, still):.3f}, moved "
            f"{asking.agreement(held.blendshapes, moved):.3f}, two moved ones {asking.agreement(moved, other):.3f}"
        )


@main.command()
@click.option("--model", type=_file, default=WEIGHTS, help="folder of graph and card")
def speed(model: Path) -> None:
    """Milliseconds a face on one thread, in turns with mien-s; the whole way from a picture of 720p as well."""
    reader, other = GeometryReader(model, threads=1), load_model("mien-s", threads=1)
    crops = np.random.default_rng(0).integers(0, 256, (64, INPUT_PX, INPUT_PX)).astype(np.uint8)
    picture = np.zeros((720, 1280, 3), np.uint8)
    found = Detections.from_boxes([(400, 200, 560, 400)], [1])
    timed = measure_in_turns(
        [
            reader.run, reader.run_closeups, lambda faces: other.run(faces[:, None]),
            lambda _: reader.read(picture, found),
        ],
        crops,
    )  # fmt: skip
    names = (f"{reader.name}, face", f"{reader.name}, close-ups", other.title, "a face of 200 px, all of it")
    for name, entry in zip(names, timed, strict=True):
        click.echo(f"{name}: {entry.single:.2f} ms")


def split_people(faces: answers.Faces) -> tuple[answers.Faces, answers.Faces]:
    """The photographs to train on, and the last 250 by their number in the archive, to evaluate on."""
    numbers = np.array([int(Path(str(name)).stem) for name in faces.names])
    held = numbers >= 2500 - HELD_PEOPLE
    return faces[~held], faces[held]


def _calibration(faces: answers.Faces, stage: str) -> UInt8:
    """Views whose values give the ranges of int8, (N, 1, 64, 64)."""
    rng, mirror = np.random.default_rng(0), np.arange(146)
    rows = rng.integers(len(faces), size=CALIBRATION)
    if stage == "closeups":
        return CloseupViewer(faces, mirror).draw(rows, rng).pictures[:, None]
    return Viewer(faces, np.zeros((1, SCENE_PX, SCENE_PX), np.uint8), mirror).draw(rows, rng).pictures[:, None]


def _read_scenes(archive: Path) -> UInt8:
    scenes: list[UInt8] = []
    with zipfile.ZipFile(archive) as pictures:
        for name in sorted(pictures.namelist()):
            if name.lower().endswith((".jpg", ".jpeg", ".png")) and len(scenes) < SCENES:
                grey = to_grey(decode(pictures.read(name), name=name))
                scenes.append(
                    np.asarray(cv2.resize(grey, (SCENE_PX, SCENE_PX), interpolation=cv2.INTER_AREA), np.uint8)
                )
    if not scenes:
        raise DataError(f"{archive} has no pictures")
    return np.stack(scenes)


if __name__ == "__main__":
    try:
        main(standalone_mode=True)
    except MienError as error:
        raise SystemExit(f"mien: {error}") from error
