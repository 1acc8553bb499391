"""What is fuzzed: for each kind of file some whole ones, how they are damaged, and what Mien does with them."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import mutations
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "src" / "mien" / "artifact" / "bundled" / "mien-xs"
PORTRAIT = ROOT / "src" / "mien" / "apps" / "web" / "examples" / "astronaut.jpg"


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Args:
        seeds: whole files.
        mutate: damages one.
        attempt: hands a damaged one to Mien, in an empty folder; a MienError is an answer.
        count: cases of a whole run.
    """

    seeds: list[bytes]
    mutate: mutations.Mutate
    attempt: Callable[[bytes, Path], object]
    count: int = 2000


def pictures() -> Target:
    from mien.images.pictures import decode, encode, read, resize

    image = resize(read(PORTRAIT), 60, 80)
    seeds = [encode(image, name) for name in ("jpeg", "png", "webp", "bmp", "tiff")]
    seeds += [_encode_with_pillow(image, name) for name in ("gif", "avif", "tiff", "png", "jpeg")]
    return Target([seed for seed in seeds if seed], mutations.damage_bytes, lambda data, folder: decode(data), 50_000)


def _encode_with_pillow(image: np.ndarray, name: str) -> bytes:
    """Other forms than OpenCV writes: palettes, CMYK, 16 bits, several frames; empty where Pillow cannot."""
    from PIL import Image

    picture = Image.fromarray(image)
    buffer = io.BytesIO()
    options: dict[str, Any] = {}
    if name == "gif":
        options = {"save_all": True, "append_images": [picture.rotate(90)]}
    elif name == "tiff":
        picture, options = picture.convert("CMYK"), {"compression": "tiff_lzw"}
    elif name == "png":
        picture = picture.convert("P")
    elif name == "jpeg":
        picture, options = picture.convert("CMYK"), {"progressive": True}
    try:
        picture.save(buffer, name, **options)
    except (OSError, KeyError, ValueError):
        return b""
    return buffer.getvalue()


def clips() -> Target:
    from mien.sources.opening import open_source

    with tempfile.TemporaryDirectory() as folder:
        forms = {"mp4": "mpeg4", "mkv": "libx264", "avi": "mjpeg", "webm": "libvpx", "mov": "mpeg4", "gif": "gif"}
        seeds = [_make_clip(Path(folder) / f"clip.{suffix}", codec) for suffix, codec in forms.items()]

    def attempt(data: bytes, folder: Path) -> None:
        # Without a suffix: what it is has to be found out, too.
        path = folder / "clip"
        path.write_bytes(data)
        with open_source(path, on_notice=lambda text: None) as source:
            for _ in islice(source, 60):
                pass

    return Target(seeds, mutations.damage_bytes, attempt, 10_000)


def _make_clip(path: Path, codec: str) -> bytes:
    import av

    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "rgb8" if codec == "gif" else "yuv420p"
        if codec == "mjpeg":
            stream.pix_fmt = "yuvj420p"
        for number in range(8):
            frame = av.VideoFrame.from_ndarray(np.roll(noise, 5 * number, axis=1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes()


def manifests() -> Target:
    from mien.reading.classifier import load_model

    graph = (MODEL / "model.onnx").read_bytes()

    def attempt(data: bytes, folder: Path) -> None:
        (folder / "model.onnx").write_bytes(graph)
        (folder / "manifest.json").write_bytes(data)
        model = load_model(folder)
        model.predict([np.zeros((64, 64, 3), np.uint8)])

    return Target([(MODEL / "manifest.json").read_bytes()], mutations.damage_json, attempt)


def graphs() -> Target:
    """A graph under a manifest that vouches for it: what whoever gives away a model can do."""
    from mien.reading.classifier import load_model

    manifest = json.loads((MODEL / "manifest.json").read_text("utf-8"))

    def attempt(data: bytes, folder: Path) -> None:
        (folder / "model.onnx").write_bytes(data)
        sealed = manifest | {"sha256": hashlib.sha256(data).hexdigest()}
        (folder / "manifest.json").write_text(json.dumps(sealed), "utf-8")
        load_model(folder, threads=1).predict([np.zeros((64, 64, 3), np.uint8)])

    return Target([(MODEL / "model.onnx").read_bytes()], mutations.damage_bytes, attempt)


def dataset_csv() -> Target:
    from mien.workshop.data.factory import load_dataset

    draw = np.random.default_rng(0)
    lines = ["emotion,pixels,Usage"]
    usages = ["Training"] * 6 + ["PublicTest"] * 2 + ["PrivateTest"] * 2
    for number, usage in enumerate(usages):
        lines.append(f"{number % 7},{' '.join(map(str, draw.integers(0, 256, 2304)))},{usage}")
    votes = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
    votes += "".join(f"{usage},fer{number:07}.png,4,3,0,0,1,1,0,0,1,0\n" for number, usage in enumerate(usages))

    def attempt(data: bytes, folder: Path) -> None:
        # The first byte says which of the two files was damaged.
        which, data = data[:1], data[1:]
        (folder / "fer2013.csv").write_bytes(data if which == b"0" else "\n".join(lines).encode())
        (folder / "fer2013new.csv").write_bytes(data if which == b"1" else votes.encode())
        load_dataset(folder, cache_dir=folder / "cache")

    def mutate(data: bytes, draw: random.Random) -> bytes:
        return data[:1] + mutations.damage_text(data[1:], draw)

    return Target([b"0" + "\n".join(lines).encode(), b"1" + votes.encode()], mutate, attempt)


def dataset_npz() -> Target:
    from mien.workshop.data.factory import load_dataset

    draw = np.random.default_rng(0)
    buffer = io.BytesIO()
    np.savez(
        buffer, images=draw.integers(0, 256, (20, 48, 48), np.uint8), label=np.arange(20) % 7,
        usage=np.repeat([0, 1, 2], [16, 2, 2]), votes=draw.integers(0, 6, (20, 10)),
    )  # fmt: skip

    def attempt(data: bytes, folder: Path) -> None:
        (folder / "faces.npz").write_bytes(data)
        load_dataset(folder / "faces.npz", cache_dir=folder / "cache")

    return Target([buffer.getvalue()], mutations.damage_zip, attempt)


def dataset_folder() -> Target:
    """A folder of crops with a table."""
    from mien.images.pictures import encode
    from mien.workshop.data.factory import load_dataset

    draw = np.random.default_rng(0)
    crops = {f"{number}.png": encode(draw.integers(0, 256, (48, 48, 3), np.uint8), "png") for number in range(8)}
    table = "file,label,split\n" + "".join(
        f"{name},happy,{'train' if n < 6 else 'test'}\n" for n, name in enumerate(crops)
    )

    def attempt(data: bytes, folder: Path) -> None:
        (folder / "labels.csv").write_bytes(data)
        for name, content in crops.items():
            (folder / name).write_bytes(content)
        load_dataset(folder, cache_dir=folder / "cache")

    return Target([table.encode()], mutations.damage_text, attempt)


def settings() -> Target:
    from mien.workshop.data.recipes.recipe import load_recipe
    from mien.workshop.experiments.search_plan import load_search
    from mien.workshop.experiments.study_plan import load_study
    from mien.workshop.training.config import load_config

    files = [ROOT / "studies" / f"{name}.toml" for name in ("mien-s", "se-resnet", "tune-architectures", "shallow-cnn")]
    files.append(ROOT / "src" / "mien" / "workshop" / "data" / "recipes" / "hybrid.toml")
    loaders = (load_config, load_study, load_search, lambda path: load_recipe(str(path)))

    def attempt(data: bytes, folder: Path) -> None:
        path = folder / "settings.toml"
        path.write_bytes(data)
        _all(loaders, path)

    return Target([path.read_bytes() for path in files], mutations.damage_text, attempt)


def _all(loaders: Any, path: Path) -> None:
    """Each loader by itself: one that refuses hides none of the others."""
    from mien.errors import MienError

    for load in loaders:
        try:
            load(path)
        except MienError:
            continue


def decisions() -> Target:
    """Tables of issues, row lists, and the log of a review."""
    import dataclasses

    from mien.labels import SEVEN
    from mien.workshop.curation.decisions import Decisions
    from mien.workshop.curation.issues import Issue, IssueTable
    from mien.workshop.curation.table import read_table, write_table
    from mien.workshop.data.lists import load_list

    rows = np.arange(6, dtype=np.int64)
    table = IssueTable(
        (Issue(1, "conflict", (0, 1), 1.0, "drop", "", "x"), Issue(2, "label", (2,), 0.5, "relabel", "happy", "y")),
        "faces.npz", "toy", "0" * 64, 6, {row: str(row) for row in range(6)}, "toy 1.0", "2026-01-01T00:00:00+00:00",
        SEVEN, rows, np.full((6, 7), 1 / 7, np.float32), np.zeros((6, 5), np.int64), (),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        written = write_table(table, Path(folder) / "issues.csv")
        files = {path.name: path.read_bytes() for path in written}
        log = Decisions(Path(folder) / "issues.decisions.sqlite", table)
        del log
        kept = Path(folder) / "issues.decisions.sqlite"
        if kept.is_file():
            files[kept.name] = kept.read_bytes()
    listed = json.loads((ROOT / "src/mien/workshop/data/curated/fer2013-reviewed@1.json").read_text("utf-8"))
    for key, value in listed.items():
        if isinstance(value, list):
            listed[key] = value[:5]
    files["list.json"] = json.dumps(listed).encode()
    names = sorted(files)

    def attempt(data: bytes, folder: Path) -> None:
        chosen = names[data[0] % len(names)]
        for name, content in files.items():
            (folder / name).write_bytes(data[1:] if name == chosen else content)
        if chosen == "list.json":
            load_list(folder / chosen)
            return
        found = read_table(folder / "issues.csv")
        log = Decisions(folder / "issues.decisions.sqlite", dataclasses.replace(found))
        for name in ("all", "current", "progress"):
            if callable(method := getattr(log, name, None)):
                method()

    def mutate(data: bytes, draw: random.Random) -> bytes:
        name = names[data[0] % len(names)]
        damage = {".csv": mutations.damage_text, ".json": mutations.damage_json, ".npz": mutations.damage_zip}
        return data[:1] + damage.get(Path(name).suffix, mutations.damage_bytes)(data[1:], draw)

    return Target([bytes([number]) + files[name] for number, name in enumerate(names)], mutate, attempt)


def resumed() -> Target:
    """What a killed run left of its table."""
    from mien.labels import SEVEN
    from mien.reading.results import Result
    from mien.sinks import create_sink
    from mien.sinks.resume import Writer, iter_rows, prepare_resume
    from mien.structures import Face, Frame

    shares = dict.fromkeys(SEVEN, 1 / 7)
    face = Face(
        box=(1, 2, 30, 40), detection_score=0.9, probabilities=shares, model="toy 1.0", detector="fake", track_id=1,
        raw=shares,
    )  # fmt: skip
    seeds, suffixes = [], (".csv", ".jsonl", ".parquet")
    with tempfile.TemporaryDirectory() as folder:
        for number, suffix in enumerate(suffixes):
            path = Path(folder) / f"rows{suffix}"
            with create_sink(path, SEVEN, moving=True) as sink:
                for index in range(6):
                    frame = Frame(np.zeros((50, 60, 3), np.uint8), "a.mp4", index=index, time_s=index / 10)
                    sink.write(Result("a.mp4", frame, [face]))
            seeds.append(bytes([number]) + path.read_bytes())
    writer = Writer(SEVEN, moving=True, model="toy 1.0", detector="fake")

    def attempt(data: bytes, folder: Path) -> None:
        path = folder / f"rows{suffixes[data[0] % 3]}"
        # Also as the part that the next run goes on with.
        for name in (path, path.with_name(f"{path.name}.part")):
            name.write_bytes(data[1:])
            _all((lambda one: list(iter_rows(one)), lambda one: prepare_resume(one, None, writer)), path)

    def mutate(data: bytes, draw: random.Random) -> bytes:
        damage = mutations.damage_bytes if data[0] % 3 == 2 else mutations.damage_text
        return data[:1] + damage(data[1:], draw)

    return Target(seeds, mutate, attempt)


def checkpoints() -> Target:
    from mien.artifact.input import InputSpec
    from mien.workshop.networks.architectures import create_network
    from mien.workshop.networks.checkpoint import load_network, save_network

    network = create_network("shallow_cnn", spec=InputSpec(), heads=("crowd",))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "best.safetensors"
        save_network(
            path, network.state_dict(), arch="shallow_cnn", options={}, spec=InputSpec(), heads=("crowd",),
            training={"epochs": 3},
        )  # fmt: skip
        seed = path.read_bytes()

    def attempt(data: bytes, folder: Path) -> None:
        (folder / "best.safetensors").write_bytes(data)
        load_network(folder / "best.safetensors")

    def mutate(data: bytes, draw: random.Random) -> bytes:
        if draw.random() < 0.4:
            return mutations.damage_bytes(data, draw)
        # The header by its meaning: its own JSON within safetensors' JSON.
        length = int.from_bytes(data[:8], "little")
        head = json.loads(data[8 : 8 + length])
        own = mutations.damage_json(head["__metadata__"]["mien"].encode(), draw)
        head["__metadata__"]["mien"] = own.decode("utf-8", "replace")
        text = json.dumps(head).encode()
        return len(text).to_bytes(8, "little") + text + data[8 + length :]

    return Target([seed], mutate, attempt)


def predictions() -> Target:
    """A teacher's predictions."""
    from mien.workshop.training.distill import read_predictions

    seeds = [path.read_bytes() for path in sorted((ROOT / "studies" / "teachers").glob("*.npz"))]

    def attempt(data: bytes, folder: Path) -> None:
        (folder / "teacher.npz").write_bytes(data)
        read_predictions(folder / "teacher.npz")

    return Target(seeds[:1], mutations.damage_zip, attempt, 500)


def stores() -> Target:
    """MLflow's database of runs and versions."""
    import os

    from mien.artifact.versions import fetch, list_versions, register

    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        kept = register(MODEL)[0].reference
        seed = (Path(folder) / "mlflow.db").read_bytes()

    def attempt(data: bytes, folder: Path) -> None:
        (folder / "mlflow.db").write_bytes(data)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        _all((lambda _: list_versions(), lambda _: fetch(kept)), folder)

    return Target([seed], mutations.damage_bytes, attempt, 100)


TARGETS: dict[str, Callable[[], Target]] = {
    "pictures": pictures, "clips": clips, "manifests": manifests, "graphs": graphs, "dataset-csv": dataset_csv,
    "dataset-npz": dataset_npz, "dataset-folder": dataset_folder, "settings": settings, "decisions": decisions,
    "resumed": resumed, "checkpoints": checkpoints, "predictions": predictions, "stores": stores,
}  # fmt: skip


def cases(target: Target, name: str, seed: int, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """The damaged files of these numbers: each depends on the seed and its number alone."""
    for number in range(start, stop):
        draw = random.Random(f"{seed} {name} {number}")
        yield number, target.mutate(draw.choice(target.seeds), draw)
