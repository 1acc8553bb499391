"""Weights of another training put into a new network: a checkpoint of Mien, or what timm and torchvision save."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from mien.errors import ArtifactError, ConfigError, DownloadError
from mien.workshop.networks.network import Network, Normalize
from mien.workshop.networks.timm_body import BUILD_ERRORS, PREFIX, TimmBody, need_timm

Tensors = dict[str, torch.Tensor]


def take_weights(network: Network, path: Path) -> None:
    """Put the weights of a safetensors file into the body, and into the heads where they fit.

    A checkpoint of Mien brings its normalisation. Any other file is the state of the bare body as timm or torchvision
    name its layers, with or without a classifier, which is dropped; for a body of timm the normalisation becomes the
    one that timm gives for the name. A first convolution for RGB is adapted to grey and the reverse, and in a body of
    timm position embeddings are resized.

    Raises:
        ConfigError: no such file, or a format that is not read.
        ArtifactError: damaged, or the weights do not fit; the message names the first keys and shapes.
    """
    tensors, header = read_weights(path)
    if header is None:
        _fit_body(network.body, tensors, path)
        if isinstance(network.body, TimmBody):
            recipe = network.body.recipe
            # timm's figures are for pixels in 0–1.
            _normalize_by(network, *([255 * value for value in recipe[key]] for key in ("mean", "std")))
        return
    _fit_body(network.body, under("body.", tensors), path)
    for name, head in network.heads.items():
        saved = under(f"heads.{name}.", tensors)
        # A head of other classes starts anew; the body is what is worth keeping.
        if {key: value.shape for key, value in saved.items()} == {k: v.shape for k, v in head.state_dict().items()}:
            head.load_state_dict(saved)
    _normalize_by(network, *(tensors[f"normalize.{key}"].flatten().tolist() for key in ("mean", "std")))


def fetch_weights(arch: str) -> Path:
    """Timm's own pretrained weights from its hub, as a safetensors file in the hub's folder on this machine.

    Raises:
        ConfigError: there are none for this architecture.
        DownloadError: they could not be fetched.
    """
    need_timm()
    import timm
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        recipe = timm.get_pretrained_cfg(arch.removeprefix(PREFIX)) if arch.startswith(PREFIX) else None
    except RuntimeError:
        recipe = None
    if recipe is None or not recipe.hf_hub_id:
        raise ConfigError(
            f'there are no pretrained weights for {arch}: give model.weights = "file.safetensors", '
            "or leave out model.pretrained to train from scratch"
        )
    # The hub's client logs each of its attempts.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        return Path(hf_hub_download(recipe.hf_hub_id, recipe.hf_hub_filename or "model.safetensors"))
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DownloadError(
            f"the pretrained weights of {arch} could not be fetched from {recipe.hf_hub_id} on timm's hub "
            f"({type(error).__name__}: {reason.rstrip('.')}): bring them here as a file and give "
            'model.weights = "file.safetensors" instead of model.pretrained'
        ) from error


def read_weights(path: Path) -> tuple[Tensors, dict[str, Any] | None]:
    """The tensors of a safetensors file, and its header if it is a checkpoint of Mien; see `take_weights`."""
    if path.suffix != ".safetensors":
        raise ConfigError(
            f"{path}: expected weights as .safetensors; other formats can run code when they are opened "
            "(in Python: safetensors.torch.save_file(state_dict, path))"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = (file.metadata() or {}).get("mien")
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        header = None if metadata is None else json.loads(metadata)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file of weights") from error
    except (SafetensorError, ValueError, OSError) as error:
        raise ArtifactError(f"{path}: not a whole safetensors file ({error})") from error
    if header is not None and header.get("kind") != "network":
        raise ArtifactError(f"{path}: holds a {header.get('kind')}, expected a network such as best.safetensors")
    return tensors, header


def hash_weights(path: Path) -> str:
    """SHA-256 of the file, part of the identity of a run that starts from it.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file of weights") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the weights: {error.strerror or error}") from error


def _fit_body(body: nn.Module, tensors: Tensors, path: Path) -> None:
    if isinstance(body, TimmBody):
        _fit_timm(body, tensors, path)
        return
    fitting = dict(tensors)
    first = next(((name, m) for name, m in body.named_modules() if isinstance(m, nn.Conv2d)), None)
    if first and (weight := fitting.get(f"{first[0]}.weight")) is not None and weight.ndim == 4:
        fitting[f"{first[0]}.weight"] = _adapt(weight, first[1].in_channels)
    _load(body, fitting, path)


def _fit_timm(body: TimmBody, tensors: Tensors, path: Path) -> None:
    """Have timm load the tensors into a twin with their classifier, then take the twin's body.

    So its own filters apply, and unlike with another number of classes it tolerates no key that is too many.
    """
    plain = under("net.", tensors) or tensors
    recipe = body.recipe
    classifiers = _names(recipe["classifier"])
    scores = [plain[f"{name}.weight"] for name in classifiers if f"{name}.weight" in plain]
    classes = len(scores[0]) if scores else 0
    # What timm's recipe says of its own file (its loader, a shifted class, colours) does not hold for these tensors.
    overlay: dict[str, Any] = {
        "state_dict": dict(plain), "num_classes": classes, "label_offset": 0, "custom_load": False,
        "input_size": (_source_channels(recipe, plain), *recipe["input_size"][1:]),
    }  # fmt: skip
    try:
        twin: Any = body.build(pretrained=True, pretrained_cfg_overlay=overlay, num_classes=classes)
        if classes:
            twin.reset_classifier(0)
        body.net.load_state_dict(twin.state_dict())
    except BUILD_ERRORS as error:
        # Raises with keys and shapes where they are the reason; what timm says seldom tells.
        _load(body.net, _without_classifier(plain, recipe, body.channels), path)
        raise ArtifactError(f"{path}: timm cannot put it into {PREFIX}{body.name}: {error}") from error


def _without_classifier(tensors: Tensors, recipe: Mapping[str, Any], channels: int) -> Tensors:
    """As timm would have fitted them to another number of classes and channels."""
    heads = tuple(f"{name}." for name in _names(recipe["classifier"]))
    stems = [f"{name}.weight" for name in _names(recipe["first_conv"])]
    kept = {key: value for key, value in tensors.items() if not key.startswith(heads)}
    source = _source_channels(recipe, tensors)
    fit = {key: _adapt(kept[key], channels) for key in stems if key in kept and kept[key].shape[1:2] == (source,)}
    return kept | fit


def _load(module: nn.Module, tensors: Tensors, path: Path) -> None:
    wanted = module.state_dict()
    # Files from before torch counted batches lack these.
    old = {key for key in wanted if key.endswith("num_batches_tracked")} - tensors.keys()
    missing = [f"{key} {tuple(wanted[key].shape)}" for key in wanted if key not in tensors and key not in old]
    unexpected = [f"{key} {tuple(tensors[key].shape)}" for key in tensors if key not in wanted]
    shapes = [
        f"{key} is {tuple(tensors[key].shape)}, expected {tuple(wanted[key].shape)}"
        for key in wanted
        if key in tensors and tensors[key].shape != wanted[key].shape
    ]
    problems = (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
    found = [f"{len(keys)} {title}: {_first(keys)}" for title, keys in problems if keys]
    if found:
        raise ArtifactError(f"{path}: its weights do not fit this architecture and its options; {'; '.join(found)}")
    module.load_state_dict({key: wanted[key] for key in old} | tensors)


def _first(keys: Sequence[str], count: int = 3) -> str:
    return ", ".join(keys[:count]) + (" …" if len(keys) > count else "")


def _source_channels(recipe: Mapping[str, Any], tensors: Tensors) -> int:
    """Colours that the file was trained on, by its first convolution."""
    for name in _names(recipe["first_conv"]):
        weight = tensors.get(f"{name}.weight")
        if weight is not None and weight.ndim == 4 and weight.shape[1] in (1, 3):
            return int(weight.shape[1])
    return int(recipe["input_size"][0])


def _names(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def _adapt(weight: torch.Tensor, channels: int) -> torch.Tensor:
    if weight.shape[1] == channels:
        return weight
    need_timm()
    from timm.models import adapt_input_conv

    adapted: torch.Tensor = adapt_input_conv(channels, weight, base_chans=weight.shape[1])
    return adapted


def _normalize_by(network: Network, mean: Sequence[float], std: Sequence[float]) -> None:
    """Take these figures, a channel each or one for all; a grey network takes the average of three."""
    channels = getattr(network.body, "channels", None)
    pair = [sum(v) / len(v) if channels == 1 or len(set(v)) == 1 else list(v) for v in (mean, std)]
    network.normalize = Normalize(*pair)


def under(prefix: str, tensors: Tensors) -> Tensors:
    """The tensors whose names start with a prefix, by the rest of their names."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
