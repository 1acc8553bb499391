"""What the page in the browser reads: all graphs in ORT format, the manifest, and the constants of Mien's reading."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mien import __version__
from mien.artifact.artifact import INPUT_NAME, Artifact
from mien.artifact.runtime import to_ort_format
from mien.faces import detection, mien_detector, quality, tracking, verification
from mien.labels import AFFECT, AFFECT_HEADS, NOT_SURE, USER_LABELS
from mien.reading import affect, following, smoothing
from mien.reading.classifier import Model
from mien.reading.results import AFTER, BEFORE
from mien.workshop.export.targets.described import with_metadata
from mien.workshop.export.targets.runtime_format import write_ort
from mien.workshop.export.targets.target import Request, Written

FORMAT = 2
"""Raised by every change of `reading.json`'s keys: the page then asks for another export."""

RULES_FILE, DETECTOR_FILES = "reading.json", ("detector.ort", "verifier.ort")


def write_web(request: Request, folder: Path) -> Written:
    """`model.ort`, `detector.ort`, `verifier.ort`, `manifest.json` and `reading.json`."""
    written = write_ort(request, folder)
    found = mien_detector.DetectorManifest.read(mien_detector.BUNDLED / "manifest.json")
    metadata = {"mien.name": found.name, "mien.version": found.version, "mien.licence": found.licence}
    for name in DETECTOR_FILES:
        graph = (mien_detector.BUNDLED / name).with_suffix(".onnx").read_bytes()
        (folder / name).write_bytes(to_ort_format(with_metadata(graph, metadata)))
    names = (written.name, *DETECTOR_FILES)
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    model = Model(Artifact(folder, request.manifest, request.graph))
    text = json.dumps(list_rules(found, model) | {"files": digests}, indent=2, ensure_ascii=False)
    (folder / RULES_FILE).write_text(text + "\n", encoding="utf-8")
    return written


def list_rules(found: mien_detector.DetectorManifest, model: Model) -> dict[str, Any]:
    """The constants by which Python reads, for whoever reads as it does elsewhere."""
    return {
        "format": FORMAT,
        "mien": __version__,
        "input": INPUT_NAME,
        "labels": USER_LABELS,
        "not_sure": NOT_SURE,
        "columns": {"before": BEFORE, "after": AFTER},
        "detector": {
            "name": mien_detector.MienDetector.name,
            "input": mien_detector.INPUT_NAME,
            "output": mien_detector.OUTPUT_NAME,
            "min_score": found.min_score,
            "strides": mien_detector.STRIDES,
            "longest_px": mien_detector.LONGEST_PX,
            "close_up_px": verification.CLOSE_UP_PX,
            "smallest_px": mien_detector.SMALLEST_PX,
            "largest_face_px": mien_detector.LARGEST_FACE_PX,
            "same_face": mien_detector.SAME_FACE,
            "unseen": mien_detector.UNSEEN,
            "low_costs": mien_detector.LOW_COSTS,
            "min_face_px": detection.MIN_FACE_PX,
            "largest_px": detection.LARGEST_PX,
            "least_gain": detection.LEAST_GAIN,
            "max_overlap": mien_detector.MAX_OVERLAP,
            "candidates": mien_detector.CANDIDATES,
        },
        "crop": {"upright_deg": detection.UPRIGHT_DEG, "aspect": detection.ASPECT},
        "verifier": {
            "input": verification.INPUT_NAME,
            "output": verification.OUTPUT_NAME,
            "side_px": verification.SIDE_PX,
            "surroundings": verification.SURROUNDINGS,
            "most": verification.MOST,
            "close_up_px": verification.CLOSE_UP_PX,
            "candidate_score": found.candidate_score,
            "fusion": found.fusion,
        },
        "tracking": {
            "max_gap_s": tracking.MAX_GAP_S,
            "min_overlap": tracking.MIN_OVERLAP,
            "min_likeness": tracking.MIN_LIKENESS,
            "thumb_px": tracking.THUMB_PX,
            "noise": tracking.NOISE,
            "agility": tracking.AGILITY,
            "coast_s": tracking.COAST_S,
        },
        "stream": {
            "smooth_s": smoothing.SMOOTH_S,
            "hold_s": smoothing.HOLD_S,
            "floor": smoothing.FLOOR,
            "search_every": following.SEARCH_S,
            "face_px": following.FACE_PX,
            "size_step_px": following.SIZE_STEP_PX,
            "full_look_s": following.FULL_LOOK_S,
            "detection_share": following.DETECTION_SHARE,
            "max_skipped": following.MAX_SKIPPED,
            "near": following.NEAR,
            "near_px": following.NEAR_PX,
            "same_face": following.SAME_FACE,
        },
        "quality": {
            "good": quality.GOOD,
            "small": vars(quality.SMALL),
            "faint": vars(quality.FAINT),
            "blurred": vars(quality.BLURRED),
            "profile": vars(quality.PROFILE),
            "turn_by_nose": quality.TURN_BY_NOSE,
        },
        "affect": {
            "names": list(AFFECT),
            "heads": AFFECT_HEADS,
            "words": model.head_of_words,
            "source": model.affect_source,
            "circumplex": affect.CIRCUMPLEX,
            "residual": affect.RESIDUAL,
            "annotators": affect.ANNOTATORS,
            "neutral": "neutral",
        },
    }
