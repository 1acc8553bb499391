"""Ask the expression network of an npm package about augmented views of the training faces, for days if need be.

    npm pack faceplugin-face-recognition-js@0.0.1 && tar xzf faceplugin-face-recognition-js-0.0.1.tgz
    python studies/teacher_views.py ask DATA package/model/fr_expression.onnx --views 32 --out runs/teacher-views
    python studies/teacher_views.py pack runs/teacher-views --out studies/views

The teacher is a DenseNet-121 of 7.0 M parameters (package under MIT; very likely the one of the Residual Masking
Network's repository, also MIT, which is inferred). Its weights are read from the graph and run by torch in bfloat16.
`check` compares that with the graph and measures a split at several input sizes. `ask` goes on where it was
stopped, view after view, so that whatever there is, is whole views but for the last; `pack` writes what is there, and
`unpack studies/views/fr-expression-views-*.npz --out runs/teacher-views` lets `ask` go on from it elsewhere. `beside`
and `probe` tell what the teacher knows that models of Mien do not, of the labels and of the votes.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from mien.artifact.input import InputSpec, prepare
from mien.reading.classifier import load_model
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.factory import load_dataset
from mien.workshop.data.fer2013 import distribution, majority
from mien.workshop.training.config import AugmentConfig
from mien.workshop.training.distill import digests_of
from mien.workshop.training.teacher_views import (
    STEP,
    ViewAnswers,
    ViewSpec,
    iter_view,
    join_answers,
    order_digest,
    quantise,
    read_answers,
    view_order,
    write_answers,
)

SHA256 = "88959314d9dc14d6c968cca31dc068e4350bf1944154e3bdd2eece5d0f318d05"
SPEC = ViewSpec(
    AugmentConfig(
        rotation=10, shift=0.06, zoom=0.1, shear=0.05, brightness=0.2, contrast=0.3, erase=0.3, erase_area=(0.02, 0.15),
        degrade=0.1, mixup=1.0,
    ),
    seed=17,
)  # fmt: skip
"""So far that the teacher, which knows its training faces by heart, is in doubt, and not so far that it guesses: `ask`
prints how often it is right."""

BATCH = 8
PART = 4
"""Blocks of a view in a file: what a kill costs at most."""
VIEWS_A_FILE = 8


class Layer(nn.Module):
    """Adds 32 channels to what it is given; its second norm is part of the first convolution in the graph."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.reduce = nn.Conv2d(channels, 128, 1)
        self.grow = nn.Conv2d(128, 32, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        new = self.grow(functional.relu(self.reduce(functional.relu(self.norm(x)))))
        return torch.cat([x, new], dim=1)


class Transition(nn.Module):
    """Halves channels and sides; the mean comes before the 1×1 convolution, which is the same for a quarter of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.reduce = nn.Conv2d(channels, channels // 2, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.reduce(functional.avg_pool2d(functional.relu(self.norm(x)), 2))
        return out


class DenseNet121(nn.Module):
    """Huang et al. 2017, as the graph has it: faces float (N, 3, S, S) in 0–1 to logits (N, 7) in FER2013's order."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        body: list[nn.Module] = []
        channels = 64
        for number, layers in enumerate((6, 12, 24, 16)):
            for _ in range(layers):
                body.append(Layer(channels))
                channels += 32
            if number < 3:
                body.append(Transition(channels))
                channels //= 2
        self.body = nn.Sequential(*body)
        self.norm = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(self.features(x))
        return logits

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the classifier sees, (N, 1024)."""
        x = functional.max_pool2d(functional.relu(self.stem(x)), 3, 2, 1)
        return functional.relu(self.norm(self.body(x))).mean((2, 3))


def load_teacher(path: Path) -> DenseNet121:
    """The network with the graph's weights, whose nodes stand in the order of the network's layers."""
    import hashlib

    import onnx
    from onnx import numpy_helper

    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise SystemExit(f"{path}: not the file of faceplugin-face-recognition-js 0.0.1")
    graph = onnx.load(path).graph
    weights = {entry.name: torch.from_numpy(numpy_helper.to_array(entry).copy()) for entry in graph.initializer}
    nodes = [node for node in graph.node if node.op_type in ("Conv", "BatchNormalization", "Gemm")]
    network = DenseNet121().eval()
    layers = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.BatchNorm2d | nn.Linear)]
    for layer, node in zip(layers, nodes, strict=True):
        own = [layer.weight] + ([] if layer.bias is None else [layer.bias])
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            own += [layer.running_mean, layer.running_var]
        for tensor, name in zip(own, node.input[1:], strict=True):
            assert tensor.shape == weights[name].shape, (node.name, tensor.shape, weights[name].shape)
            tensor.data.copy_(weights[name])
    return network


def fast(network: DenseNet121) -> DenseNet121:
    """The same in bfloat16, channels last."""
    return network.to(memory_format=torch.channels_last).to(torch.bfloat16)


def answer(network: DenseNet121, faces: torch.Tensor, side: int, *, features: bool = False) -> torch.Tensor:
    """Logits float32 (N, 7), or features (N, 1024), for grey faces uint8 (N, 1, S, S), enlarged to `side`."""
    found = []
    for part in torch.split(faces, BATCH):
        large = functional.interpolate(part.float() / 255, size=(side, side), mode="bilinear", align_corners=False)
        rgb = large.expand(-1, 3, -1, -1).to(next(network.parameters()).dtype)
        run = network.features if features else network
        found.append(run(rgb.contiguous(memory_format=torch.channels_last)).float())
    return torch.cat(found)


def faces_of(rows: FaceDataset) -> torch.Tensor:
    """Faces uint8 (N, 1, S, S) as views begin with them."""
    return torch.from_numpy(prepare(rows.images, InputSpec(SPEC.size, SPEC.size, 1)))


def ask(given: argparse.Namespace) -> None:
    """Write the logits of part after part."""
    network = fast(load_teacher(given.graph))
    rows = load_dataset(given.data).part("train")
    digests = digests_of(rows)
    order = view_order(digests)
    faces, labels = faces_of(rows)[torch.from_numpy(order)], rows.labels[order]
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "pictures.txt").write_text(f"{order_digest(digests)} {len(rows)} {given.side}\n")
    blocks = -(-len(faces) // SPEC.block)
    for view in range(given.first, given.views):
        for start in range(0, blocks, PART):
            path = given.out / f"view-{view:03d}-{start // PART:03d}.npy"
            if path.exists():
                continue
            begun = time.perf_counter()
            found = [answer(network, part, given.side) for part in _blocks(faces, view, start)]
            logits = torch.cat(found).half().numpy()
            np.save(path.with_suffix(".part.npy"), logits)
            path.with_suffix(".part.npy").rename(path)
            each = 1e3 * (time.perf_counter() - begun) / len(logits)
            right = 100 * np.mean(logits.argmax(1) == labels[start * SPEC.block :][: len(logits)])
            print(
                f"view {view}, part {start // PART}: {right:.1f} % of {len(logits)} faces, {each:.1f} ms each",
                flush=True,
            )


def _blocks(faces: torch.Tensor, view: int, start: int) -> Iterator[torch.Tensor]:
    for number, (seen, _) in enumerate(iter_view(faces, {}, SPEC, view, start=start)):
        if number == PART:
            return
        yield seen


def pack(given: argparse.Namespace) -> None:
    """Write the answers there are, a byte a logit."""
    if not (listed := given.folder / "pictures.txt").is_file():
        raise SystemExit(f"{given.folder}: expected the folder that `ask` writes, and it holds no pictures.txt")
    pictures, count, side = listed.read_text().split()
    asked: dict[int, np.ndarray] = {}
    for view in range(given.views):
        paths = [
            given.folder / f"view-{view:03d}-{part:03d}.npy" for part in range(-(-int(count) // (SPEC.block * PART)))
        ]
        # Answers are counted from the first face on: what comes after a gap waits for it.
        whole = list(itertools.takewhile(Path.exists, paths))
        if whole:
            asked[view] = quantise(np.concatenate([np.load(path) for path in whole]))
    told = {
        "teacher": "faceplugin-face-recognition-js 0.0.1, fr_expression.onnx", "sha256": SHA256, "licence": "MIT",
        "input": int(side), "precision": "bfloat16",
    }  # fmt: skip
    given.out.mkdir(parents=True, exist_ok=True)
    for number, group in itertools.groupby(asked, lambda view: view // VIEWS_A_FILE):
        views = tuple(group)
        answered = tuple(len(asked[view]) for view in views)
        steps = np.stack([np.pad(asked[view], ((0, int(count) - len(asked[view])), (0, 0))) for view in views])
        path = given.out / f"fr-expression-views-{number}.npz"
        write_answers(path, ViewAnswers("fer2013", SPEC, pictures, views, answered, steps, told))
        size = path.stat().st_size / 1e6
        print(f"{path}: views {', '.join(map(str, views))}, {sum(answered):,} answers, {size:.2f} MB")


def unpack(given: argparse.Namespace) -> None:
    """Write packed answers as the parts that `ask` goes on from."""
    answers = join_answers([read_answers(path) for path in given.files])
    if answers.spec != SPEC:
        raise SystemExit("these answers are to views made otherwise than this script makes them")
    given.out.mkdir(parents=True, exist_ok=True)
    told = f"{answers.pictures} {answers.steps.shape[1]} {answers.told['input']}\n"
    (given.out / "pictures.txt").write_text(told)
    rows = SPEC.block * PART
    for view, count, steps in zip(answers.views, answers.counts, answers.steps, strict=True):
        # A part that is not whole is asked again.
        whole = len(steps) if count == len(steps) else count // rows * rows
        for start in range(0, whole, rows):
            logits = -STEP * steps[start : start + rows].astype(np.float16)
            np.save(given.out / f"view-{view:03d}-{start // rows:03d}.npy", logits)


def check(given: argparse.Namespace) -> None:
    """Parity with the graph, and a split by FER2013's labels at several input sizes."""
    import onnxruntime

    network = load_teacher(given.graph)
    rows = load_dataset(given.data).part(given.split)
    faces = torch.from_numpy(prepare(rows.images, InputSpec(48, 48, 1)))
    session = onnxruntime.InferenceSession(str(given.graph), providers=["CPUExecutionProvider"])
    large = functional.interpolate(faces[:8].float() / 255, size=(224, 224), mode="bilinear").expand(-1, 3, -1, -1)
    theirs = np.concatenate([session.run(None, {"input": face[None].numpy()})[0] for face in large])
    print(f"largest difference of a logit, float32: {np.abs(network(large).numpy() - theirs).max():.1e}")
    network = fast(network)
    for begun_with in given.begin:
        kept = torch.from_numpy(prepare(rows.images, InputSpec(begun_with, begun_with, 1)))
        for side in given.sides:
            begun = time.perf_counter()
            logits = answer(network, kept, side)
            each = 1e3 * (time.perf_counter() - begun) / len(rows)
            hits = logits.argmax(1).numpy() == rows.labels
            loss = functional.cross_entropy(logits / 1.5, torch.from_numpy(rows.labels).long())
            print(
                f"{given.split}, {begun_with} px to {side}: {hits.sum()} of {len(hits):,}, {100 * hits.mean():.2f} %, "
                f"log-loss at T = 1.5 {loss:.3f}, {each:.1f} ms a face"
            )


def beside(given: argparse.Namespace) -> None:
    """How near models of Mien are to the teacher on PublicTest, and what the mean of both knows."""
    rows = load_dataset(given.data).part("validation")
    theirs = functional.softmax(
        answer(fast(load_teacher(given.graph)), faces_of(rows), given.side) / 1.5, dim=1
    ).numpy()
    for name in given.models:
        model = load_model(name)
        ours = model.calibrate(model.run(model.prepare(rows.images))["fer2013"], "fer2013")
        same = np.mean(theirs.argmax(1) == ours.argmax(1))
        divergence = np.mean((theirs * (np.log(theirs + 1e-9) - np.log(ours + 1e-9))).sum(1))
        print(f"{name}: the same label in {100 * same:.1f} %, KL divergence {divergence:.3f} nats")
        print_mixed("fer2013", ours, theirs, rows.labels)


def probe(given: argparse.Namespace) -> None:
    """What the teacher's features know of the votes, and what that is worth beside a model of Mien, on PublicTest."""
    network, dataset = fast(load_teacher(given.graph)), load_dataset(given.data)
    train, public = dataset.part("train"), dataset.part("validation")
    assert train.votes is not None
    assert public.votes is not None
    order = view_order(digests_of(train))
    views = iter_view(faces_of(train)[torch.from_numpy(order)], {}, SPEC, view=4)
    seen = torch.cat([faces for faces, _ in itertools.islice(views, given.blocks)])
    shares, enough = (values[order][: len(seen)] for values in distribution(train.votes))
    known = torch.from_numpy(enough)
    features = answer(network, seen, given.side, features=True)[known]
    mean, scale = features.mean(0), features.std(0) + 1e-3
    head = fit_head((features - mean) / scale, torch.from_numpy(shares)[known].float())
    shown = (answer(network, faces_of(public), given.side, features=True) - mean) / scale
    theirs = functional.softmax(shown @ head[:-1] + head[-1], dim=1).numpy()
    for name in given.models:
        model = load_model(name)
        ours = model.calibrate(model.run(model.prepare(public.images))["crowd"], "crowd")
        print(name)
        print_mixed("crowd", ours, theirs, majority(public.votes))


def print_mixed(head: str, ours: np.ndarray, theirs: np.ndarray, truth: np.ndarray) -> None:
    """Per cent right where the teacher's probabilities have so large a share."""
    clear = truth >= 0
    for share in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0):
        right = np.mean(((1 - share) * ours + share * theirs).argmax(1)[clear] == truth[clear])
        print(f"  {head}, {share:.0%} of the teacher's: {100 * right:.2f} % of {clear.sum():,} faces")


def fit_head(features: torch.Tensor, shares: torch.Tensor, decay: float = 0.01) -> torch.Tensor:
    """Weights (D + 1, K) of a multinomial logistic regression on shares (N, K); the last row is the constant."""
    with torch.inference_mode(False), torch.enable_grad():
        # Tensors of inference mode take no part in gradients, their copies do.
        features, shares = features.clone(), shares.clone()
        weights = torch.zeros(features.shape[1] + 1, shares.shape[1], requires_grad=True)
        optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            found = functional.cross_entropy(features @ weights[:-1] + weights[-1], shares)
            found = found + decay / 2 * weights[:-1].square().sum()
            found.backward()
            return found

        optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(required=True)
    one = steps.add_parser("ask")
    one.add_argument("--views", type=int, default=32)
    one.add_argument("--first", type=int, default=0, help="view to begin with, where another process asks about others")
    one.add_argument("--side", type=int, default=224, help="pixels a side that the teacher sees")
    one.add_argument("--out", type=Path, required=True)
    one.set_defaults(work=ask)
    two = steps.add_parser("check")
    two.add_argument("--split", choices=["validation", "test"], default="validation")
    two.add_argument("--begin", type=int, nargs="+", default=[48, SPEC.size], help="pixels a side before enlarging")
    two.add_argument("--sides", type=int, nargs="+", default=[112, 128, 160, 224])
    two.set_defaults(work=check)
    five = steps.add_parser("probe")
    five.add_argument("--blocks", type=int, default=72, help=f"of {SPEC.block} faces of view 4 to learn from")
    five.set_defaults(work=probe)
    six = steps.add_parser("beside")
    six.set_defaults(work=beside)
    for step in (five, six):
        step.add_argument("--side", type=int, default=224)
        step.add_argument("--models", nargs="+", default=["mien-s"])
    for step in (one, two, five, six):
        step.add_argument("data", type=Path)
        step.add_argument("graph", type=Path)
    three = steps.add_parser("pack")
    three.add_argument("folder", type=Path)
    three.add_argument("--views", type=int, default=32, help="view to end before")
    three.add_argument("--out", type=Path, required=True)
    three.set_defaults(work=pack)
    four = steps.add_parser("unpack")
    four.add_argument("files", type=Path, nargs="+")
    four.add_argument("--out", type=Path, required=True)
    four.set_defaults(work=unpack)
    given = parser.parse_args()
    with torch.inference_mode():
        given.work(given)


if __name__ == "__main__":
    main()
