"""Galleries: faces with their label, what the model called them, and how people voted."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from mien.images.pictures import encode, resize
from mien.labels import CROWD
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation.saliency import normalize_maps, overlay
from mien.workshop.evaluation.scores import SetScores
from mien.workshop.reports.evaluation.material import Material, Saliency

UInt8 = npt.NDArray[np.uint8]

LARGEST_PX = 96
SHOWN_VOTES = 3
_VOTE_NAMES = (*CROWD, "unknown", "no face")


def gallery(scores: SetScores, places: Iterable[int], material: Material) -> str:
    """The faces at these positions of a set; empty where pictures of people are not wanted or not at hand."""
    if material.dataset is None or not material.faces:
        return ""
    dataset = material.dataset
    cells = [_face(scores, int(at), dataset, _picture(dataset, scores, int(at))) for at in places]
    return f'<div class="faces">{"".join(cells)}</div>' if cells else ""


def saliency_gallery(scores: SetScores, found: Saliency, material: Material, places: Sequence[int]) -> str:
    """The same with each face's map laid over it."""
    if material.dataset is None or not material.faces:
        return ""
    by_place = dict(zip(found.places.tolist(), found.maps, strict=True))
    cells = [
        _face(scores, at, material.dataset, _marked(_picture(material.dataset, scores, at), by_place[at]))
        for at in places
        if at in by_place
    ]
    return f'<div class="faces">{"".join(cells)}</div>' if cells else ""


def _marked(picture: UInt8, heat: npt.NDArray[np.float32]) -> UInt8:
    """A face under its map, twice as large, RGB uint8."""
    height, width = 2 * picture.shape[0], 2 * picture.shape[1]
    grown = resize(np.ascontiguousarray(heat), height, width)
    marked: UInt8 = overlay(resize(picture, height, width)[None], normalize_maps(grown[None]))[0]
    return marked


def _face(scores: SetScores, at: int, dataset: FaceDataset, picture: UInt8) -> str:
    classes = scores.faces.classes
    truth, said = int(scores.faces.truth[at]), int(scores.predicted[at])
    sure = f"{100 * scores.confidence[at]:.0f} %"
    words = f"labelled {classes[truth]}, called {classes[said]} with {sure}"
    verdict = (
        f'<span class="right">right, {sure}</span>'
        if truth == said
        else f'<span class="called">{escape(classes[said])} {sure}</span>'
    )
    row = int(scores.faces.rows[at])
    return (
        f'<figure class="face"><img alt="Face {words}" title="{escape(str(dataset.ids[row]))}: {words}" '
        f'src="{inline_picture(picture)}"><figcaption><b>{escape(classes[truth])}</b>{verdict}{_votes(dataset, row)}'
        "</figcaption></figure>"
    )


def _votes(dataset: FaceDataset, row: int) -> str:
    """The most frequent votes of people, as bars."""
    if dataset.votes is None or not dataset.votes[row].any():
        return ""
    votes = dataset.votes[row].astype(int)
    order = [n for n in np.argsort(-votes, kind="stable")[:SHOWN_VOTES] if votes[n]]
    lines = (
        f'<span>{_VOTE_NAMES[n]} {votes[n]}</span><i style="width:{100 * votes[n] / votes.sum():.0f}%"></i>'
        for n in order
    )
    return f'<div class="votes" title="how people voted">{"".join(lines)}</div>'


def _picture(dataset: FaceDataset, scores: SetScores, at: int) -> UInt8:
    """The face, at most `LARGEST_PX` a side."""
    picture: UInt8 = dataset.images[scores.faces.rows[at]]
    height, width = picture.shape[:2]
    scale = LARGEST_PX / max(height, width)
    if scale >= 1:
        return picture
    return resize(np.ascontiguousarray(picture), max(1, round(scale * height)), max(1, round(scale * width)))


def inline_picture(picture: UInt8) -> str:
    """A picture's address: grey pictures as PNG, coloured ones as JPEG, inside the page."""
    kind = "png" if picture.ndim == 2 else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(encode(picture, kind, quality=85)).decode('ascii')}"
