"""Dlib's weights as a checkpoint of Mien in half precision: half of the megabytes where a queue takes them along.

    python studies/dlib_half.py dlib_face_recognition_resnet_model_v1.dat FER2013/ runs/dlib/half.safetensors

The statistics of the batch norms, and the scales that undo them, are those of training faces at 112×112 pixels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mien.datasets.factory import load_dataset
from mien.models.checkpoint import save_network
from mien.training.config import ModelConfig, TrainingConfig
from mien.training.start import start_network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    model = ModelConfig(arch="dlib_resnet", weights=given.weights, size=112)
    config = TrainingConfig(name="dlib", model=model)
    network = start_network(config, load_dataset(given.data).part("train"), fresh=True)
    known = {key: value for key, value in network.state_dict().items() if not key.startswith("heads.")}
    halved = {key: value.half() if value.ndim > 1 else value for key, value in known.items()}
    save_network(given.out, halved, arch=model.arch, options={}, spec=model.spec, heads=(), training={})
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
