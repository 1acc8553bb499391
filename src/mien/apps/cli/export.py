"""`mien model export`: artifacts from trainings, and models for other runtimes."""

from __future__ import annotations

from pathlib import Path

import click

from mien.apps.cli.bars import stages
from mien.apps.cli.parameters import PATH, Command, argument, need, need_train_extra, overwrite
from mien.apps.cli.printing import clips_table, print_line, print_scores, print_table
from mien.errors import ConfigError
from mien.labels import USER_LABELS

TARGETS = ("onnx", "ort", "web", "litert", "coreml", "executorch")


@click.command("export", cls=Command)
@argument("run", "Folder of a training run, or its best.safetensors; with --to the name or folder of a model.")
@argument("data", "The data it was trained on, to calibrate and score it; not with --to.", type=PATH, required=False)
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Folder of what is written.")
@click.option("--to", "target", type=click.Choice(TARGETS), help="Write a model for this runtime instead.")
@click.option("--with-probabilities", is_flag=True, help="With --to: end the graph in calibrated probabilities.")
@click.option("--labels", type=click.Choice(list(USER_LABELS)), default="seven", help="Of these probabilities.")
@click.option("--name", help="Name of the model.", show_default="the run's")
@click.option("--version", default="0.1.0", help="Version of the model.")
@click.option("--licence", default="Apache-2.0", help="SPDX identifier of the weights' licence.")
@click.option("--crop-scale", type=click.FloatRange(0.1, 10), default=0.95, help="Side of a face crop, in box heights.")
@click.option(
    "--precision", type=click.Choice(["float32", "float16", "int8"]), default="float32",
    help="Precision of the graph; `mien model quantize` has more options.",
)  # fmt: skip
@click.option("--notes", default="", show_default=False, help="Free text for the manifest.")
@overwrite("Replace an existing artifact.")
def export(
    run: str, data: Path | None, out: Path, target: str | None, with_probabilities: bool, labels: str,
    name: str | None, version: str, licence: str, crop_scale: float, precision: str, notes: str, overwrite: bool,
) -> None:  # fmt: skip
    """Export RUN to ONNX, check it against torch, calibrate and score it on DATA, and write the artifact.

    Of a training on clips it becomes a temporal model, for `mien analyze --temporal`.

    With --to, RUN is a model, bundled or an artifact's folder: it is written for another runtime, into a folder of its
    own, and checked to answer alike.
    """
    if target is not None:
        if data is not None:
            raise ConfigError(f"--to {target} exports a model as it is: leave {data} out")
        _export_to(run, target, out, with_probabilities, labels, overwrite)
        return
    if data is None or with_probabilities:
        raise ConfigError("a training run is exported with its DATA; to write a model for another runtime, give --to")
    need_train_extra()
    from mien.workshop import ExportOptions, export_clips, export_model, is_clip_run

    if is_clip_run(Path(run)):
        if precision != "float32":
            raise ConfigError(f"a temporal model is written in float32: leave --precision {precision} out")
        with stages() as on_stage:
            found = export_clips(
                run, data, out, name=name, version=version, licence=licence, notes=notes, overwrite=overwrite,
                on_progress=on_stage("clips"),
            )  # fmt: skip
        print_table(clips_table(found.evaluation))
        print_line(f"wrote {out}, report in {out / 'report'}: mien analyze --temporal {out} VIDEO")
        return
    options = ExportOptions(name, version, licence, crop_scale, precision, notes)
    with stages() as on_stage:
        exported = export_model(
            Path(run), data, out, options, overwrite=overwrite, on_progress=on_stage("faces"), on_note=print_line
        )
    print_scores(exported.evaluation)
    print_line(f"wrote {out}: {len(exported.artifact.graph) / 1e6:.1f} MB, report in {out / 'report'}")
    if exported.journaled:
        print_line("journal: artifact, report and scores are with the run in MLflow")


def _export_to(model: str, target: str, out: Path, probabilities: bool, labels: str, overwrite: bool) -> None:
    need(("onnx",), "train")
    from mien.workshop import TargetOptions, export_model_to

    done = export_model_to(model, target, out, TargetOptions(probabilities, labels), overwrite=overwrite)
    print_line(f"wrote {done.path}: {done.size_bytes / 1e6:.1f} MB")
    if done.difference is None:
        print_line("checked: converted, not run here: this system has no runtime for it")
    else:
        kind = "at most" if done.exact else "on average"
        print_line(f"checked: probabilities differ from the model's by {done.difference:.1g} {kind}")
    if done.note:
        print_line(done.note)
