"""The `MLmodel` file beside a registered artifact, by which MLflow itself loads, serves and describes the model."""

from __future__ import annotations

import json

from mien.artifact.artifact import GRAPH_FILE
from mien.artifact.manifest import Manifest

MLMODEL_FILE, REQUIREMENTS_FILE = "MLmodel", "requirements.txt"
LOADER = "mien.reading.mlflow_pyfunc"
PYTHON = "3.11"
ANY = -1


def mlflow_files(manifest: Manifest) -> dict[str, str]:
    """The texts of `MLmodel` and `requirements.txt`, by name.

    Two flavours: `python_function` takes face crops and gives calibrated probabilities of the default head, by Mien's
    own code; `onnx` is the bare graph, prepared crops to logits.
    """
    import yaml

    spec = manifest.input
    crops = [ANY, ANY, ANY, *([3] if spec.channels == 3 else [])]
    labels = manifest.heads[manifest.default_head].labels
    model = {
        "flavors": {
            "onnx": {
                "data": GRAPH_FILE, "onnx_version": _version("onnx"), "onnx_session_options": None,
                "providers": ["CUDAExecutionProvider", "CPUExecutionProvider"], "code": None,
            },
            "python_function": {
                "loader_module": LOADER, "env": {"virtualenv": "python_env.yaml"}, "python_version": PYTHON,
            },
        },
        "metadata": {
            "name": manifest.name, "version": manifest.version, "licence": manifest.licence, "labels": list(labels),
            "head": manifest.default_head, "onnxruntime": _version("onnxruntime"),
            "python_function": "face crops to calibrated probabilities, in the order of the labels",
            "onnx": f"faces uint8 (N, {spec.channels}, {spec.height}, {spec.width}) to logits, an output a head",
        },
        "signature": {
            "inputs": _tensor("uint8", crops),
            "outputs": _tensor("float32", [ANY, len(labels)]),
            "params": json.dumps([{"name": "head", "type": "string", "default": manifest.default_head, "shape": None}]),
        },
        "utc_time_created": f"{manifest.created} 00:00:00",
    }  # fmt: skip
    requirements = f"mien=={_version('mien')}"
    environment = {"python": PYTHON, "dependencies": ["-r requirements.txt"]}
    return {
        MLMODEL_FILE: yaml.safe_dump(model, sort_keys=False, allow_unicode=True),
        REQUIREMENTS_FILE: f"{requirements}\n",
        "python_env.yaml": yaml.safe_dump(environment, sort_keys=False),
    }


def _tensor(kind: str, shape: list[int]) -> str:
    """A tensor as MLflow's signatures hold it: JSON in a string; without a name, so that an array is taken."""
    return json.dumps([{"type": "tensor", "tensor-spec": {"dtype": kind, "shape": shape}}])


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return ""
