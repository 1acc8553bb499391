"""Writes the pages of the reference that are read from the code: commands, settings, columns, model cards.

`make docs` runs it before the site is built; what it writes is not kept in the repository.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from mien.apps.cli.commands import COMMANDS, DATA, MODEL, READING, TRAINING
from mien.apps.cli.main import load_command
from mien.apps.cli.parameters import Argument, Option
from mien.artifact.artifact import load_manifest
from mien.artifact.catalog import BUNDLED, list_bundled
from mien.labels import SEVEN, percent
from mien.reading.results import columns, kind_of

HERE = Path(__file__).parent / "reference"
KINDS = {"word": "text", "count": "whole number", "flag": "yes or no", "number": "number"}
MEANINGS = {
    "source": "the file or address, as it was named",
    "frame": "number of the frame, from 0; 0 for a photo",
    "time_s": "presentation time, seconds from the start of the source",
    "track_id": "who it is over time, from 1 in each source; empty in photos",
    "face": "number of the face in its frame, from 0",
    "success": "whether there is a face; a frame without one has a row of its own",
    "detection_score": "the detector's own score, 0–1",
    "x": "left side of the box, pixels of the upright frame", "y": "its upper side", "width": "its width",
    "height": "its height", "top": "the label that is shown; in a video the one that is held",
    "confidence": "the probability of `top`", "abstained": "whether the confidence is below `--min-confidence`",
    "quality": "how well the face can be seen: `good`, or what troubles it most",
    "quality_score": "the same as a number, 0–1; `good` from 0.5",
    "valence": "from -1, unpleasant, to 1, pleasant", "arousal": "from -1, calm, to 1, excited",
    "intensity": "share of annotators who see any expression, 0–1",
    "valence_sd": "standard deviation of `valence`, about the mean of many raters",
    "arousal_sd": "that of `arousal`", "intensity_sd": "that of `intensity`",
    "affect_source": "what valence, arousal and intensity come from",
    "model": "name and version of the model, with its settings", "detector": "what found the face",
    "raw_top": "the likeliest label of this frame alone", "yaw": "degrees, positive to the picture's right",
    "pitch": "degrees, positive down", "roll": "degrees, positive anti-clockwise",
    "visible": "share of the 68 landmarks that are seen",
}  # fmt: skip


def main() -> None:
    """Write all pages."""
    pages = {"cli.md": cli(), "settings.md": settings(), "columns.md": column_page(), "model-card.md": cards()}
    for name, lines in pages.items():
        (HERE / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def cli() -> Iterator[str]:
    """Every command with its arguments and options."""
    yield "# Commands"
    yield "`mien COMMAND --help` shows the same. Exit codes are those of [errors](errors.md).\n"
    for title, commands in (("Reading", READING), ("Data sets", DATA), ("Training", TRAINING), ("Models", MODEL)):
        yield f"## {title}\n"
        for name in commands:
            yield from _command(name)


def _command(name: str) -> Iterator[str]:
    command = load_command(name)
    context = click.Context(command, info_name=f"mien {name}")
    yield f"### mien {name}\n"
    yield f"```text\n{command.get_usage(context)}\n```\n"
    yield f"{_escaped(_paragraphs(command.help or COMMANDS[name].line))}\n"
    given = [(f"`{p.human_readable_name}`", p.explanation) for p in command.params if isinstance(p, Argument)]
    if given:
        yield from _table(("argument", "meaning"), given)
    options = [p for p in command.params if isinstance(p, click.Option)]
    grouped = dict.fromkeys(p.group if isinstance(p, Option) else "" for p in options)
    for group in grouped:
        mine = [p for p in options if (p.group if isinstance(p, Option) else "") == group]
        if group:
            yield f"**{group}**\n"
        yield from _table(("option", "meaning", "default"), [_option(p) for p in mine])


def _option(option: click.Option) -> tuple[str, str, str]:
    value = "" if option.is_flag else f" {option.make_metavar(click.Context(click.Command('mien')))}"
    names = ", ".join(f"`{name}{value}`" for name in (*option.opts, *option.secondary_opts))
    shown = option.show_default if isinstance(option.show_default, str) else option.default
    plain = isinstance(shown, str | int | float | Path) and not isinstance(shown, bool)
    return names, _escaped(option.help or ""), f"`{shown}`" if plain and str(shown) else ""


def settings() -> Iterator[str]:
    """The service's settings and the environment variables."""
    from mien.apps.service.settings import Settings

    yield "# Settings"
    yield "\n## Environment\n"
    yield from _table(("variable", "meaning"), [
        ("`MIEN_HOME`", "folder of Mien's own files: fetched detectors, the cache, MLflow's database, jobs"),
        ("`MIEN_PROVIDERS`", "ONNX Runtime's execution providers, by comma, in order"),
        ("`MIEN_SERVICE_…`", "a setting of the service, below, in capitals"),
        ("`MLFLOW_TRACKING_URI`", "the server of runs and versions; without it a file in `MIEN_HOME`"),
        ("`OMP_NUM_THREADS`", "how many threads the model takes by default"),
    ])  # fmt: skip
    yield "\n## The service\n"
    yield "In a TOML file for `mien serve --config FILE`, or as variables `MIEN_SERVICE_NAME`.\n"
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        rows.append((f"`{name}`", _escaped(field.description or ""), f"`{json.dumps(default, default=str)}`"))
    yield from _table(("setting", "meaning", "default"), rows)


def column_page() -> Iterator[str]:
    """The columns of every table."""
    yield "# Columns of every output"
    yield (
        "\nOne row a face, and one for a frame without. CSV, JSON Lines, Parquet, `to_df()` and the "
        "service's tables have "
        "the same columns; CSV holds no types, `mien.read_table(path)` gives them back.\n"
    )
    yield from _table(("column", "type", "meaning"), _columns(columns(SEVEN, moving=True)))
    yield "\n## With `--geometry`\n"
    further = [name for name in columns(SEVEN, geometry=True) if name not in columns(SEVEN)]
    yield from _table(("column", "type", "meaning"), _columns([name for name in further if name in MEANINGS]))
    yield (
        "\n`x_0 … x_67`, `y_0 … y_67`: the landmarks, pixels. `iris_right_x … iris_left_y`: the irises, "
        "pixels. Then 52 blendshapes, 0–1:\n"
    )
    shapes = [name for name in further if name not in MEANINGS and not name.startswith(("x_", "y_", "iris_"))]
    yield ", ".join(f"`{name}`" for name in shapes) + ".\n"
    yield "## In the columns of other tools\n"
    yield (
        "`--format openface` writes OpenFace 2's names (frames from 1, faces from 0, angles in radians; "
        "one source a file), "
        "`--format pyfeat` those of py-feat (`anger … neutral`, `FaceRectX …`, persons numbered across "
        "sources). Action units "
        "and gaze are not there.\n"
    )
    yield "## Expression intervals\n"
    yield (
        "`--episodes` writes `source, track_id, start_s, end_s, duration_s, label, mean_confidence, "
        "frames` as `.csv`, a tier a face as `.eaf` (ELAN) or `.TextGrid` (Praat)."
    )


def _columns(names: Iterable[str]) -> list[tuple[str, str, str]]:
    return [(f"`{name}`", KINDS[kind_of(name)], MEANINGS.get(name) or _probability(name)) for name in names]


def _probability(name: str) -> str:
    if name.startswith("raw_"):
        return f"probability of {name.removeprefix('raw_')} in this frame alone (videos)"
    # A KeyError for a new column, so that none is left without its meaning.
    return {label: f"probability of {label}, 0–1; in videos smoothed over time" for label in SEVEN}[name]


def cards() -> Iterator[str]:
    """What the bundled models are, from their manifests."""
    yield "# Model cards"
    yield (
        "\nEach figure is from the model's manifest, measured at export by `mien model export`; see "
        "[limits](../guide/limits.md).\n"
    )
    for name in sorted(list_bundled()):
        manifest = load_manifest(BUNDLED / name)
        spec, size = manifest.input, (BUNDLED / name / "model.onnx").stat().st_size
        yield f"## {manifest.name} {manifest.version}\n"
        yield f"{_escaped(manifest.notes)}\n"
        yield from _table(("", ""), [
            ("size", f"{size / 1e6:.1f} MB, {manifest.parameters:,} parameters"),
            ("input", f"{spec.height} × {spec.width}, {'grey' if spec.channels == 1 else 'RGB'}"),
            ("heads", "; ".join(f"`{head}`: {', '.join(entry.labels)}" for head, entry in manifest.heads.items())),
            ("licence", manifest.licence), ("exported", manifest.created), ("sha256", f"`{manifest.sha256}`"),
        ])  # fmt: skip
        rows = [
            (str(s["head"]), str(s["set"]), str(s["labels"]), f"{s['rows']:,}", _share(s), f"{s['macro_f1']:.3f}",
             f"{s['calibration_error']:.3f}")
            for s in manifest.scores
        ]  # fmt: skip
        yield from _table(("head", "faces", "labels", "rows", "accuracy (95 %)", "macro F1", "ECE"), rows)


def _share(score: Any) -> str:
    low, high = score["accuracy_95"]
    return f"{percent(score['accuracy'], 1)} ({100 * low:.1f}–{100 * high:.1f})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
    yield ""


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*")


if __name__ == "__main__":
    main()
