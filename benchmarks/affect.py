"""What valence, arousal and intensity cost beside all else that is done for a face.

    python benchmarks/affect.py PHOTO [--model mien-s] [--rounds 300] [--threads 1]

In turns: a whole photo in memory (detection, crop, network, description), its network alone (one prepared crop, and 64
of them), and what is added for the values. Medians of processor time, so that a busy machine changes little.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mien.images.pictures import read
from mien.reading.affect import to_affect
from mien.reading.classifier import load_model
from mien.reading.pipeline import Pipeline
from mien.structures import Frame


def measure_in_turns(parts: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of processor time of each part."""
    times: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, part in parts.items():
            started = time.process_time()
            part()
            times[name].append(1000 * (time.process_time() - started))
    return {name: statistics.median(found) for name, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--model", default="mien-s")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    model = load_model(given.model, threads=given.threads)
    pipeline = Pipeline(model)
    frame = Frame(read(given.photo), str(given.photo))
    faces = len(pipeline.analyze_frame(frame))
    if not faces:
        parser.error(f"{given.photo}: no face in it, give a photo with one")
    random = np.random.default_rng(0)
    spec = model.spec
    shape = (spec.channels, spec.height, spec.width)
    inputs = {count: random.integers(0, 256, (count, *shape), np.uint8) for count in (1, 64)}
    outputs = {count: model.run(crops) for count, crops in inputs.items()}

    def add(count: int) -> Callable[[], object]:
        shares = model.shares(outputs[count]["crowd"], "crowd")

        def made() -> object:
            return [
                to_affect(r, model.affect_source) for r in model.estimate_affect(outputs[count], shares=shares).tolist()
            ]

        return made

    found = measure_in_turns(
        {
            "photo": lambda: pipeline.analyze_frame(frame),
            "network, 1 crop": lambda: model.run(inputs[1]),
            "values of 1": add(1),
            "network, 64 crops": lambda: model.run(inputs[64]),
            "values of 64": add(64),
        },
        given.rounds,
    )
    print(f"{model.name} {model.version}, {given.threads} thread, {given.photo.name}, {faces} face(s)\n")
    print("| part | ms of a core | values, share of it |\n|---|---:|---:|")
    for name, ms in found.items():
        values = found["values of 64" if "64" in name else "values of 1"] * (faces if name == "photo" else 1)
        print(f"| {name} | {ms:.3f} | {'' if name.startswith('values') else f'{100 * values / ms:.2f} %'} |")


if __name__ == "__main__":
    main()
