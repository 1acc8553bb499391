"""All commands: their names, where they are implemented, and the line that the help shows of each.

Plain data, so that `mien --help` and a misspelt command import nothing else.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A command: its one line of help, its module in this package, and the click command's name there."""

    line: str
    module: str
    attribute: str = "app"


READING = {
    "analyze": Entry("Analyze photos, videos, cameras and streams.", "analyze"),
    "batch": Entry("Analyze millions of files, on many machines.", "batch"),
    "watch": Entry("Open a window with a camera or video and its faces.", "surfaces", "watch"),
    "app": Entry("Open the web page: photos, videos, models, reports.", "surfaces"),
    "serve": Entry("Start the REST API.", "surfaces", "serve"),
    "worker": Entry("Read the video jobs of several services.", "surfaces", "worker"),
    "doctor": Entry("Check the installation: versions, model, detector, folders.", "doctor"),
}

TRAINING = {
    "train": Entry("Train a model.", "train"),
    "study run": Entry("Train and measure every entry of a study.", "study", "run"),
    "study report": Entry("Write a study's report.", "study", "report"),
    "tune": Entry("Search for better settings.", "study", "tune_settings"),
}

DATA = {
    "data show": Entry("Count and draw faces by class and split.", "data", "show"),
    "data augment": Entry("Draw faces as training sees them.", "data", "augment"),
    "data build": Entry("Build a data set from several sources.", "data", "build"),
    "data curate": Entry("Find copies, doubtful labels and bad pictures.", "curate", "curate"),
    "data review": Entry("Decide about findings one by one, in the browser.", "curate", "review"),
    "data apply": Entry("Turn decisions into a list of rows to drop and relabel.", "curate", "apply"),
}

MODEL = {
    "model list": Entry("List models, and files to fetch.", "models", "list_models"),
    "model show": Entry("Show a model's heads, input and scores.", "models", "show"),
    "model pull": Entry("Fetch a file, verified by its sha256.", "models", "pull"),
    "model arch": Entry("List architectures and their cost.", "networks", "arch"),
    "model evaluate": Entry("Score a model on a data set.", "evaluate"),
    "model compare": Entry("Compare models on the same faces.", "compare", "compare"),
    "model export": Entry("Export a training run, or a model for another runtime.", "export", "export"),
    "model quantize": Entry("Make a smaller int8 or float16 model.", "refine", "quantize"),
    "model calibrate": Entry("Fit a model's probabilities to labelled faces.", "refine", "calibrate"),
    "model average": Entry("Average the weights of several training runs.", "networks", "average"),
    "model distill": Entry("Save teacher predictions for distillation.", "networks", "distill"),
    "model register": Entry("Register an artifact as a new version.", "compare", "register"),
    "model promote": Entry("Make a version the champion if it is no worse.", "compare", "promote"),
    "model rollback": Entry("Restore the previous champion.", "compare", "roll_back"),
}

COMMANDS = READING | DATA | TRAINING | MODEL
"""By name, of one word or two."""

GROUPS = {
    "data": "Inspect, build and clean data sets.",
    "study": "Run several trainings by the same rules and compare them.",
    "model": "Export, measure, compare and version models.",
}
"""The first words of two, with a line of help."""

MOVED = {
    "models": "model",
    "curate": "data curate",
    "curate find": "data curate",
    "curate apply": "data apply",
    "review": "data review",
} | {name.removeprefix("model "): name for name in MODEL}
"""Earlier spellings, for the hint only: they no longer run."""
