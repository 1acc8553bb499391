"""What a packed folder runs: one session of its queue on this machine, and the parcel of what came out."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from mien.datasets.base import FaceDataset
from mien.errors import ConfigError, MienError
from mien.training.fit import Tempo
from mien.training.queue.budget import Budget, Clock
from mien.training.queue.faces import load_faces
from mien.training.queue.pack import FACES, NOTES, QUEUE, RUNS, SCRIPT
from mien.training.queue.parcel import Limits, Parcel, write_parcel
from mien.training.queue.session import Manner, run_session
from mien.training.queue.states import Standing, standings
from mien.training.study.machine import device_name, machine
from mien.training.study.plan import load_study

COMPILING_S = 150.0
"""Seconds that must be left to begin with a run whose network is compiled."""


@dataclass(frozen=True)
class Session:
    """One session of a packed queue.

    Args:
        pack: the packed folder.
        minutes: of the wall clock, loading the data and writing the parcel included.
        work: where the runs are kept between sessions; the packed folder itself if None.
        out: where the parcel goes; `out` in the working folder if None.
        manner: how it trains.
        at_once: so many runs at the same time, a process each: small networks leave an accelerator idle.
        limits: what the parcel may take.
    """

    pack: Path
    minutes: float
    work: Path | None = None
    out: Path | None = None
    manner: Manner = field(default_factory=Manner)
    at_once: int = 1
    limits: Limits = field(default_factory=Limits)

    @property
    def base(self) -> Path:
        """The working folder."""
        return self.pack if self.work is None else self.work

    @property
    def parcel(self) -> Path:
        """The folder of the parcel."""
        return self.base / "out" if self.out is None else self.out


def main(pack: Path, arguments: list[str], *, started: float | None = None) -> int:
    """Run a session as the command line says; the exit code."""
    given = _parser().parse_args(arguments)
    tempo = Tempo(save_every_s=given.save_every, compiled=given.compile)
    manner = Manner(given.device, tempo, tuple(given.only), again=given.again, patient=given.worker)
    limits = Limits(given.parts, given.part_mb, given.total_mb)
    session = Session(pack, given.minutes, given.work, given.out, manner, given.at_once, limits)
    try:
        if given.worker:
            _train(session, time.monotonic, started)
        else:
            run_pack(session, started=started)
    except MienError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def run_pack(session: Session, *, clock: Clock = time.monotonic, started: float | None = None) -> Parcel:
    """Train the head of a packed queue until the minutes are nearly over, and write the parcel.

    Args:
        session: which queue, and how.
        clock: seconds that only rise.
        started: when the minutes began, now if None.

    Raises:
        ConfigError: the folder is no pack, or an entry is unknown.
        DataError: the packed data is damaged.
    """
    started = clock() if started is None else started
    if not (session.pack / NOTES).is_file():
        raise ConfigError(f"{session.pack} is no packed queue, it has no {NOTES}: mien queue pack writes one")
    session = replace(session, pack=session.pack.resolve(), work=session.base.resolve(), out=session.parcel.resolve())
    _bring_runs(session)
    _say(f"{machine(session.manner.device)}; torch {torch.__version__}")
    if session.at_once > 1:
        _load(session)
        _train_at_once(session, clock, started)
    else:
        _train(session, clock, started)
    study, base = load_study(session.pack / QUEUE), session.base
    found = standings(study, base / RUNS, base=base)
    parcel = write_parcel(study, found, base / RUNS, base=base, out=session.parcel, limits=session.limits)
    for standing in found:
        _say(_line(standing))
    size = sum(part.stat().st_size for part in parcel.parts)
    _say(f"parcel: {len(parcel.packed)} files, {size / 1e6:.1f} MB in {len(parcel.parts)} parts in {session.parcel}")
    if parcel.left:
        _say(f"no room for {len(parcel.left)} files, a later session brings them: {', '.join(parcel.left)}")
    return parcel


def _train(session: Session, clock: Clock, started: float | None) -> None:
    begun = clock() if started is None else started
    start_s = COMPILING_S if session.manner.tempo.compiled else Budget.start_s
    budget = Budget(begun + 60 * session.minutes, start_s=start_s, clock=clock)
    _require_device(session.manner.device)
    study, dataset, base = load_study(session.pack / QUEUE), _load(session), session.base
    # Files that trainings name are below the working folder.
    with contextlib.chdir(base):
        run_session(study, dataset, base / RUNS, budget, session.manner, base=base, say=_say)


def _train_at_once(session: Session, clock: Clock, started: float) -> None:
    """Let several processes take from the queue; each is a session of its own that writes no parcel."""
    manner = session.manner
    command = [sys.executable, str(session.pack / SCRIPT), "--worker", "--work", str(session.base)]
    command += ["--device", manner.device, "--save-every", str(manner.tempo.save_every_s)]
    command += ["--compile"] * manner.tempo.compiled + [word for name in manner.only for word in ("--only", name)]
    left = session.minutes - (clock() - started) / 60
    workers = [
        # What failed before is tried again once, not by each of them.
        subprocess.Popen([*command, "--minutes", f"{left:.3f}", *["--again"] * (manner.again and not number)])
        for number in range(session.at_once)
    ]
    failed = [worker.returncode for worker in workers if worker.wait()]
    if failed:
        _say(f"{len(failed)} of {len(workers)} processes ended early, with {', '.join(map(str, failed))}")


def _require_device(device: str) -> None:
    """Raise ConfigError if the device cannot be used: no run is to be blamed for that."""
    try:
        torch.zeros(1, device=device_name(device))
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {device!r} cannot be used: {error}") from error


def _load(session: Session) -> FaceDataset:
    return load_faces(session.pack / FACES, cache=session.base)


def _bring_runs(session: Session) -> None:
    """Copy what was packed of runs to where they are kept, unless they are there already."""
    session.base.mkdir(parents=True, exist_ok=True)
    if session.base == session.pack:
        return
    for source in sorted((session.pack / RUNS).rglob("*")):
        target = session.base / source.relative_to(session.pack)
        if source.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _line(standing: Standing) -> str:
    run = standing.run
    score = "" if standing.score is None else f", validation {100 * standing.score:.2f} %"
    note = f": {standing.note}" if standing.note else ""
    epochs = f"{standing.epochs} of {run.config.fit.epochs} epochs"
    return f"{run.entry.name}, seed {run.seed}: {standing.state}, {epochs}{score}{note}"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=SCRIPT, description=__doc__)
    add = parser.add_argument
    add("--minutes", type=float, default=9.0, help="of the wall clock, all included (9)")
    add("--work", type=Path, help="where the runs are kept between sessions (this folder)")
    add("--out", type=Path, help="where the parcel goes (out in --work)")
    add("--device", choices=["auto", "cpu", "cuda", "mps"], default="auto", help="where to train (auto)")
    add("--at-once", type=int, default=1, help="runs at the same time, a process each (1)")
    add("--only", action="append", default=[], metavar="ENTRY", help="this entry alone; may be given several times")
    add("--again", action="store_true", help="try failed runs once more")
    add("--compile", action="store_true", help="let torch.compile make the networks' kernels")
    add("--save-every", type=float, default=60.0, help="seconds between two states on disk (60)")
    add("--parts", type=int, default=8, help="parts of the parcel at most (8)")
    add("--part-mb", type=float, default=16.0, help="megabytes of a part at most (16)")
    add("--total-mb", type=float, default=60.0, help="megabytes of the parcel at most (60)")
    add("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser
