"""Packs a queue for a machine with an accelerator: one folder with the code, the data, the queue and what goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mien
from mien.datasets.base import FaceDataset
from mien.errors import ConfigError
from mien.training.folder import BEST, HISTORY, LAST
from mien.training.queue.faces import save_faces
from mien.training.queue.states import Standing, find_panel, panel_runs, standings
from mien.training.study.plan import Study, load_study
from mien.training.study.records import RECORD

QUEUE, FACES, NOTES, SCRIPT, CODE, RUNS = "queue.toml", "faces.npz", "pack.json", "run.py", "src", "runs"
LIMIT_MB = 60.0

_LEFT_OUT = ("apps", "batch", "client", "curation", "registry/bundled")
"""Folders of the package that no training needs."""
_ENDINGS = (".py", ".json", ".toml")
_MEGABYTE = 1_000_000
_RUN = '''"""Trains the head of the queue in this folder: python run.py --minutes 9 --out OUT (--help)."""

import sys
import time
from pathlib import Path

STARTED = time.monotonic()
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "src"))

from mien.training.queue.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(HERE, sys.argv[1:], started=STARTED))
'''


@dataclass(frozen=True)
class Pack:
    """A packed folder, and the bytes of each of its parts, the largest first."""

    folder: Path
    sizes: dict[str, int]

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(self.sizes.values())


def write_pack(
    file: Path,
    dataset: FaceDataset,
    runs: Path,
    out: Path,
    *,
    base: Path = Path(),
    limit_mb: float = LIMIT_MB,
    states: bool = True,
    overwrite: bool = False,
) -> Pack:
    """Write the folder of a queue.

    It has the package's training code, the rows of train and validation, the queue, the histories of finished runs,
    the opinions and the weights that its trainings name, the networks of teachers whose opinions are still to be asked,
    and the states of runs that are not finished.

    Args:
        file: the queue, a study.
        dataset: what it is trained on.
        runs: the folder of all runs; what is there goes on.
        out: the folder to write.
        base: the working folder, from which trainings name files.
        limit_mb: megabytes that it may take.
        states: take the states of unfinished runs along; without them they begin anew.
        overwrite: replace an older pack.

    Raises:
        ConfigError: the folder is too large, which names its largest parts, or `out` is there already, or a file that
            a training names is not.
    """
    study = load_study(file)
    if out.exists() and not (overwrite and (out / NOTES).is_file()):
        raise ConfigError(f"{out} is there already: give another --out{', or --overwrite' * (out / NOTES).is_file()}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as temporary:
        place = Path(temporary) / "pack"
        place.mkdir()
        _fill(place, file, study, dataset, _Sources(runs, base, states))
        pack = Pack(out, _sizes(place))
        _require_small(pack, limit_mb)
        if out.exists():
            shutil.rmtree(out)
        place.rename(out)
    return pack


@dataclass(frozen=True)
class _Sources:
    """Where runs and named files are, and whether the states of unfinished runs go along."""

    runs: Path
    base: Path
    states: bool


def _fill(place: Path, file: Path, study: Study, dataset: FaceDataset, sources: _Sources) -> None:
    (place / SCRIPT).write_text(_RUN, encoding="utf-8")
    shutil.copyfile(file, place / QUEUE)
    _copy_code(place / CODE)
    found = standings(study, sources.runs, base=sources.base)
    for source in dict.fromkeys(_of_runs(study, found, sources)):
        _copy(source, place / RUNS / source.relative_to(sources.runs))
    for named in dict.fromkeys(_named(study, found, sources.base)):
        _copy(sources.base / named, place / named)
    save_faces(place / FACES, dataset)
    notes: dict[str, Any] = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": mien.__version__, "commit": _commit(file),
        "queue": study.name, "data": dataset.name, "rows": len(dataset.part("train", "validation")),
    }  # fmt: skip
    (place / NOTES).write_text(json.dumps(notes, indent=1) + "\n", encoding="utf-8")


def _copy_code(place: Path) -> None:
    package = Path(mien.__file__).parent
    for source in sorted(package.rglob("*")):
        name = source.relative_to(package)
        if source.suffix in _ENDINGS and not any(name.is_relative_to(part) for part in _LEFT_OUT):
            _copy(source, place / package.name / name)


def _of_runs(study: Study, found: list[Standing], sources: _Sources) -> Iterator[Path]:
    """Files of the runs that go along."""
    missing = [panel for panel in study.panels if not (sources.base / panel.file).is_file()]
    teachers = {folder for panel in missing for _, folder in panel_runs(study, panel, sources.runs)}
    for standing in found:
        folder = standing.run.folder
        goes_on = sources.states and standing.state != "done" and standing.epochs > 0
        names = [HISTORY, RECORD] if standing.state == "done" or goes_on else []
        names += [BEST] if goes_on or (standing.state == "done" and folder in teachers) else []
        names += [LAST] if goes_on else []
        yield from (folder / name for name in names if (folder / name).is_file())


def _named(study: Study, found: list[Standing], base: Path) -> Iterator[Path]:
    """Files that the trainings name, as they name them.

    Raises:
        ConfigError: one is not there, or would lie outside of the folder.
    """
    for standing in found:
        model, distill = standing.run.config.model, standing.run.config.distill
        opinions = [file for file in distill.teachers if (base / file).is_file() or not find_panel(study, file)]
        for file in [*opinions, *model.sources]:
            if file.is_absolute() or ".." in file.parts:
                raise ConfigError(f"{standing.run.entry.name} names {file}: give a path below the working folder")
            if not (base / file).is_file():
                raise ConfigError(f"{standing.run.entry.name} names {file}, and there is no such file below {base}")
            yield file


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _sizes(place: Path) -> dict[str, int]:
    """Bytes of the data, the code, each run, and each file beside them."""
    sizes: dict[str, int] = {}
    for path in place.rglob("*"):
        if path.is_file():
            parts = path.relative_to(place).parts
            name = "/".join(parts[:1] if parts[0] != RUNS else parts[:4][: max(2, len(parts) - 1)])
            sizes[name] = sizes.get(name, 0) + path.stat().st_size
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def _require_small(pack: Pack, limit_mb: float) -> None:
    if pack.total <= limit_mb * _MEGABYTE:
        return
    largest = ", ".join(f"{name} {size / _MEGABYTE:.1f} MB" for name, size in list(pack.sizes.items())[:3])
    raise ConfigError(
        f"the folder would take {pack.total / _MEGABYTE:.1f} MB, and {limit_mb:g} are allowed; the largest: {largest}. "
        "Leave the states of unfinished runs behind (--without-states), or allow more (--limit-mb)"
    )


def _commit(file: Path) -> str:
    """The commit that the queue is of, empty outside a checkout."""
    command = ["git", "-C", str(file.resolve().parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
