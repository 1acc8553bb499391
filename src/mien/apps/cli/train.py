"""`mien train`: a configuration and a data set in, a checkpoint with its history and curves out."""

from __future__ import annotations

from pathlib import Path

import click

from mien.apps.cli.bars import TrainingBar
from mien.apps.cli.data_argument import classes
from mien.apps.cli.parameters import PATH, Command, argument, device, need_train_extra, parse_duration
from mien.apps.cli.printing import print_line

UNFINISHED = 75
"""Exit code of a training that stopped to be resumed: the system's EX_TEMPFAIL, "try again later"."""


@click.command("train", cls=Command)
@argument(
    "paths", "The data: FER2013 in any form, a published data set as it is handed out, or images in folders by class; "
    "before it, a TOML file such as studies/mien-s.toml. Without a TOML file the defaults are trained, with the heads "
    "that the data supports.",
    nargs=-1, metavar="[CONFIG] DATA", type=PATH,
)  # fmt: skip
@click.option("--out", type=PATH, metavar="DIR", help="Run folder; an unfinished run in it is resumed.")
@click.option("--init", type=PATH, metavar="FILE", help="Write a commented TOML file to edit, and train nothing.")
@classes
@device
@click.option("--devices", type=click.IntRange(min=1), default=1, help="GPUs, or CPU processes, to share each batch.")
@click.option("--epochs", type=click.IntRange(min=1), help="Override the configuration's epochs.")
@click.option("--seed", type=click.IntRange(min=0), help="Override the configuration's seed.")
@click.option("--compile", "compiled", is_flag=True, help="Compile the network: a slow start, faster epochs.")
@click.option("--stop-after", type=click.IntRange(min=1), metavar="N", help="Stop after N more epochs.")
@click.option(
    "--time-limit", callback=parse_duration, metavar="TIME",
    help="Start no epoch that would probably end later, such as 9m or 1h30m.",
)  # fmt: skip
@click.option(
    "--journal/--no-journal", default=None,
    help="Record the run in MLflow; by default if MLFLOW_TRACKING_URI is set or the run was recorded before.",
)  # fmt: skip
@click.option("--tensorboard", is_flag=True, help="Write the curves for TensorBoard into the run's folder, too.")
def app(
    paths: tuple[Path, ...], out: Path | None, init: Path | None, classes: dict[str, str], device: str, devices: int,
    epochs: int | None, seed: int | None, compiled: bool, stop_after: int | None, time_limit: float | None,
    journal: bool | None, tensorboard: bool,
) -> None:  # fmt: skip
    """Train a network, or resume a training.

    Exits with code 75 if --stop-after or --time-limit stopped it before its end; the same command resumes it.
    """
    need_train_extra()
    from mien.artifact.mlflow_store import page
    from mien.workshop import (
        LoadOptions,
        TrainOptions,
        is_clip_training,
        load_clips,
        load_dataset,
        train,
        train_clips,
    )
    from mien.workshop.experiments.journal import wanted

    if init is not None:
        _write_template(init, paths, classes)
        return
    config, data = _split(paths)
    # Not `required=True`: --init needs none.
    if out is None:
        raise click.UsageError("Missing option '--out'.")
    options = TrainOptions(device, devices, epochs, seed, compiled, stop_after, time_limit, journal, tensorboard)
    with TrainingBar() as bar:
        bar.note(f"curves, drawn anew as it goes: {out / 'curves.png'}")
        if tensorboard:
            bar.note(f"curves in the browser: tensorboard --logdir {out / 'tensorboard'}")
        # Without a mapping both read the data themselves, after they have checked the configuration.
        if is_clip_training(config, data):
            clips = load_clips(data, classes) if classes else data
            trained = train_clips(config, clips, out, options, on_note=bar.note, display=bar)
        else:
            faces = load_dataset(data, LoadOptions(classes)) if classes else data
            trained = train(config, faces, out, options, on_note=bar.note, display=bar)
    result = trained.result
    best = result.history[result.best_epoch]
    print_line(f"kept epoch {result.best_epoch + 1}, validation score {100 * best['score']:.2f} %: {result.checkpoint}")
    print_line(f"history {out / 'history.json'}, curves {out / 'curves.png'}")
    if wanted(out, journal):
        print_line(f"the run in the browser: {page()}")
    if not trained.finished:
        print_line(f"stopped after epoch {len(result.history)}: the same command resumes")
        raise click.exceptions.Exit(UNFINISHED)


def _split(paths: tuple[Path, ...]) -> tuple[Path | None, Path]:
    """The configuration, if one is given, and the data."""
    if not paths or len(paths) > 2:
        raise click.UsageError(f"Expected DATA, or CONFIG and DATA, not {len(paths)} paths.")
    if len(paths) == 2:
        return paths
    if paths[0].suffix == ".toml":
        raise click.UsageError(f"Missing argument 'DATA': {paths[0]} is a configuration.")
    return None, paths[0]


def _write_template(path: Path, paths: tuple[Path, ...], classes: dict[str, str]) -> None:
    """A commented configuration; with DATA, one with the heads that it supports."""
    from mien.files import require_free, write_whole
    from mien.workshop import LoadOptions, TemporalConfig, TrainingConfig, is_clip_training, load_dataset
    from mien.workshop.training.config import config_toml
    from mien.workshop.training.train import default_config

    require_free(path, advice="choose another name")
    config: TrainingConfig | TemporalConfig = TrainingConfig()
    if paths:
        data = _split(paths)[1]
        config = (
            TemporalConfig()
            if is_clip_training(None, data)
            else default_config(load_dataset(data, LoadOptions(classes)))
        )
    write_whole(path, config_toml(config).encode())
    print_line(f"wrote {path}: edit it, then mien train {path} DATA --out DIR")
