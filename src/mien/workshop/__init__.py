"""The workshop: from labelled faces to a trained, measured and published model. Needs the extra `train`.

    from mien import workshop

    run = workshop.train("studies/mien-s.toml", "faces/", "runs/mine")
    workshop.export_model("runs/mine", "faces/", "my-model")
    scores = workshop.evaluate_model("my-model", "faces/")
    workshop.report_model(scores, "report/")

Every command of `mien data`, `mien model`, `train`, `study` and `tune` is one of these functions; none of them prints.
Importing the package loads nothing: each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.artifact.versions import register
    from mien.workshop.curation.apply import Choice, ListOptions, apply_decisions
    from mien.workshop.curation.find import curate
    from mien.workshop.data.base import FaceDataset
    from mien.workshop.data.factory import LoadOptions, load_clips, load_dataset
    from mien.workshop.data.figures import draw_overview
    from mien.workshop.data.recipes.building import BuildOptions, build_dataset
    from mien.workshop.evaluation.models import EvaluationOptions, compare_models, compare_with_first, evaluate_model
    from mien.workshop.experiments.promotions import NotPromotedError, promote_model, roll_back
    from mien.workshop.experiments.search_plan import load_search
    from mien.workshop.experiments.search_run import SearchOptions, open_study, tune
    from mien.workshop.experiments.study_plan import StudyOptions, load_study
    from mien.workshop.experiments.study_run import train_study
    from mien.workshop.export.compact import Compaction
    from mien.workshop.export.publish import (
        CalibrationOptions,
        ExportOptions,
        calibrate_model,
        export_model,
        quantize_model,
    )
    from mien.workshop.export.targets.targets import TargetOptions, export_model_to
    from mien.workshop.reports.comparison_report import report_comparison
    from mien.workshop.reports.evaluation_report import report_model
    from mien.workshop.reports.material import ReportOptions
    from mien.workshop.reports.ranking_report import report_comparisons
    from mien.workshop.reports.search_report import report_search
    from mien.workshop.reports.study_report import report_study
    from mien.workshop.temporal.clip_config import TemporalConfig, is_clip_training
    from mien.workshop.temporal.clip_training import train_clips
    from mien.workshop.temporal.export import export_clips, is_clip_run
    from mien.workshop.training.config import TrainingConfig, load_config
    from mien.workshop.training.display import draw_augmented
    from mien.workshop.training.distill import save_teacher_predictions
    from mien.workshop.training.soup import average_runs
    from mien.workshop.training.train import TrainOptions, train

_HOMES = {
    "mien.artifact.versions": ("register",),
    "mien.workshop.curation.apply": ("Choice", "ListOptions", "apply_decisions"),
    "mien.workshop.curation.find": ("curate",),
    "mien.workshop.data.base": ("FaceDataset",),
    "mien.workshop.data.factory": ("LoadOptions", "load_clips", "load_dataset"),
    "mien.workshop.data.recipes.building": ("BuildOptions", "build_dataset"),
    "mien.workshop.data.figures": ("draw_overview",),
    "mien.workshop.evaluation.models": ("EvaluationOptions", "compare_models", "compare_with_first", "evaluate_model"),
    "mien.workshop.experiments.promotions": ("NotPromotedError", "promote_model", "roll_back"),
    "mien.workshop.experiments.search_plan": ("load_search",),
    "mien.workshop.experiments.search_run": ("SearchOptions", "open_study", "tune"),
    "mien.workshop.experiments.study_plan": ("StudyOptions", "load_study"),
    "mien.workshop.experiments.study_run": ("train_study",),
    "mien.workshop.export.compact": ("Compaction",),
    "mien.workshop.export.publish": (
        "CalibrationOptions", "ExportOptions", "calibrate_model", "export_model", "quantize_model",
    ),
    "mien.workshop.export.targets.targets": ("TargetOptions", "export_model_to"),
    "mien.workshop.reports.comparison_report": ("report_comparison",),
    "mien.workshop.reports.material": ("ReportOptions",),
    "mien.workshop.reports.ranking_report": ("report_comparisons",),
    "mien.workshop.reports.search_report": ("report_search",),
    "mien.workshop.reports.study_report": ("report_study",),
    "mien.workshop.reports.evaluation_report": ("report_model",),
    "mien.workshop.temporal.clip_config": ("TemporalConfig", "is_clip_training"),
    "mien.workshop.temporal.export": ("export_clips", "is_clip_run"),
    "mien.workshop.temporal.clip_training": ("train_clips",),
    "mien.workshop.training.config": ("TrainingConfig", "load_config"),
    "mien.workshop.training.display": ("draw_augmented",),
    "mien.workshop.training.distill": ("save_teacher_predictions",),
    "mien.workshop.training.soup": ("average_runs",),
    "mien.workshop.training.train": ("TrainOptions", "train"),
}  # fmt: skip

__all__ = [
    "BuildOptions",
    "CalibrationOptions",
    "Choice",
    "Compaction",
    "EvaluationOptions",
    "ExportOptions",
    "FaceDataset",
    "ListOptions",
    "LoadOptions",
    "NotPromotedError",
    "ReportOptions",
    "SearchOptions",
    "StudyOptions",
    "TargetOptions",
    "TemporalConfig",
    "TrainOptions",
    "TrainingConfig",
    "apply_decisions",
    "average_runs",
    "build_dataset",
    "calibrate_model",
    "compare_models",
    "compare_with_first",
    "curate",
    "draw_augmented",
    "draw_overview",
    "evaluate_model",
    "export_clips",
    "export_model",
    "export_model_to",
    "is_clip_run",
    "is_clip_training",
    "load_clips",
    "load_config",
    "load_dataset",
    "load_search",
    "load_study",
    "open_study",
    "promote_model",
    "quantize_model",
    "register",
    "report_comparison",
    "report_comparisons",
    "report_model",
    "report_search",
    "report_study",
    "roll_back",
    "save_teacher_predictions",
    "train",
    "train_clips",
    "train_study",
    "tune",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'mien.workshop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
