"""Whether our body with dlib's weights computes what dlib does: the 128 numbers by which it tells persons apart.

    pip install dlib-bin
    python studies/dlib_parity.py dlib_face_recognition_resnet_model_v1.dat PHOTO [PHOTO …]

Photos are squeezed to 150×150 pixels, whatever they show. Prints the largest difference of a number, and the largest
number.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import dlib
import numpy as np
import torch

from mien.artifact.input import InputSpec, prepare
from mien.images import pictures as images
from mien.workshop.networks.dlib_weights import _read_integer, _read_tensor, take_dlib
from mien.workshop.networks.factory import create_network

SPEC = InputSpec(150, 150, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("photos", nargs="+", type=Path)
    given = parser.parse_args()
    faces = prepare([images.read(photo) for photo in given.photos], SPEC)
    theirs = dlib.face_recognition_model_v1(str(given.weights))
    wanted = np.array([theirs.compute_face_descriptor(np.ascontiguousarray(face.transpose(1, 2, 0))) for face in faces])
    network = create_network("dlib_resnet", spec=SPEC).eval()
    take_dlib(network, given.weights, faces)
    with torch.no_grad():
        features = network.get_submodule("body")(network.get_submodule("normalize")(torch.from_numpy(faces).float()))
    found = features.numpy() @ last_layer(given.weights)
    print(f"{len(faces)} photos: differ by {np.abs(found - wanted).max():.1g} at most, of {np.abs(wanted).max():.2f}")


def last_layer(path: Path) -> np.ndarray:
    """The matrix (256, 128) after the body, which Mien has no use for."""
    data = path.read_bytes()
    name = b"\x01\x04fc_2"
    outputs, place = _read_integer(data, data.index(name) + len(name))
    inputs, place = _read_integer(data, place)
    return _read_tensor(data, place)[0].reshape(inputs, outputs)


if __name__ == "__main__":
    main()
