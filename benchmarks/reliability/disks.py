"""A disk that fills up, and a folder that may not be written: one clear line, an exit code, and what was there stays.

    python benchmarks/reliability/disks.py [WORK …]

Runs in a mount namespace of its own (`unshare`), where small file systems in memory stand for disks: nothing is mounted
for anybody else. For each piece of work: a disk with room for none, a third or two thirds of the result; then there is
room, and the same command has to end with the result of an unbroken run. A finished result that cannot be replaced, or
lies in a read-only folder, has to stay as it was. Prints one line of JSON a piece.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Before PyTorch is imported: its threads would not survive a fork.
os.environ["OMP_NUM_THREADS"] = "1"
from works import OUT, WORKS, Work, files_of, is_named_anew, make_material, start

PATIENCE_S = 600
SHARES = (0.0, 0.33, 0.67)
PAGE = 4096
INSIDE = "MIEN_HARNESS_NAMESPACE"


class Place:
    """The folder of one piece of work; its `out` is a file system of its own while a `disk` is there."""

    def __init__(self, work: Work, folder: Path) -> None:
        self.work, self.folder, self.out = work, folder, folder / OUT
        os.environ["MIEN_HOME"] = str(folder / "home")
        make_material(folder)
        self.out.mkdir()
        if work.prepare:
            self.finish(work.prepare)
        self.prepared = shutil.copytree(self.out, folder / "prepared")
        self.finish(work.command)
        self.finished = shutil.copytree(self.out, folder / "finished")
        self.expected = work.result(self.out)
        shutil.rmtree(self.out)
        self.out.mkdir()

    def run(self, command: list[str]) -> tuple[int, str]:
        """A command in the folder, to its end: its exit code, and what it said."""
        process = start(command, self.folder)
        code = process.wait(PATIENCE_S)
        if code is None:
            process.kill()
            return 1, f"no end within {PATIENCE_S} s"
        process.import_its_modules()
        return code, process.stderr

    def finish(self, command: list[str]) -> None:
        """A command that has to end well."""
        code, said = self.run(command)
        if code:
            raise RuntimeError(f"{command[:2]} ended with {code}: {said[-1500:]}")

    @contextmanager
    def disk(self, holding: Path) -> Iterator[None]:
        """A file system in memory with these files, and room."""
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(self.out)], check=True)
        try:
            shutil.copytree(holding, self.out, dirs_exist_ok=True)
            yield
        finally:
            # Lazily: the result may have been read by a database that is not closed yet.
            subprocess.run(["umount", "--lazy", str(self.out)], check=True)

    def remount(self, options: str) -> None:
        """Change the size of the disk, or who may write to it."""
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.out)], check=True)

    def used(self) -> int:
        """Bytes that the disk holds."""
        found = os.statvfs(self.out)
        return (found.f_blocks - found.f_bfree) * found.f_frsize


def offences(code: int, stderr: str) -> list[str]:
    """What is wrong with how a command ended that could not write: it has to say so in one line."""
    said = [line for line in stderr.splitlines() if line.startswith("error: ")]
    reasons = "No space left", "Read-only file system", "disk is full", "read-only", "may be written", "make room"
    wrong = {
        f"exit code {code}": not 1 < code < 9,
        f"{len(said)} lines of error": len(said) != 1,
        "a traceback": "Traceback" in stderr,
        "no reason": not any(reason in stderr for reason in reasons),
    }
    return [f"{what}: {stderr[-1200:]}" for what, is_so in wrong.items() if is_so]


def run(name: str, folder: Path, shares: Sequence[float]) -> dict[str, Any]:
    """One piece of work on disks that are full, and in a folder that is read-only."""
    place = Place(WORKS[name], folder)
    work, found, said = place.work, [], set()

    def refuse(command: list[str], what: str) -> bool:
        code, stderr = place.run(command)
        if code:
            found.extend(f"{what}: {offence}" for offence in offences(code, stderr))
            said.update(line for line in stderr.splitlines() if line.startswith("error: "))
        return bool(code)

    with place.disk(place.prepared):
        before = place.used()
    with place.disk(place.finished):
        size = place.used() - before
    refused = 0
    for share in shares:
        with place.disk(place.prepared):
            # A page, because a file system of size 0 would have no limit.
            filler = place.out / "filler"
            filler.write_bytes(bytes(PAGE))
            place.remount(f"size={before + PAGE + int(share * size)}")
            refused += refuse(work.command, f"room for {share:.0%}")
            place.remount("size=1g")
            filler.unlink()
            code, stderr = place.run(work.resumed)
            if code or work.result(place.out) != place.expected:
                found.append(f"room for {share:.0%}, then room: ended with {code} or differs {stderr[-1200:]}")
            strange = {
                name for name in set(files_of(place.out)) ^ set(files_of(place.finished)) if not is_named_anew(name)
            }
            found.extend(f"room for {share:.0%}, then room: left or missing {path}" for path in sorted(strange))
    with place.disk(place.prepared):
        place.remount("ro")
        refused += refuse(work.command, "read-only")
    if work.replace:
        for what, options in {"full": "", "read-only": "ro"}.items():
            with place.disk(place.finished):
                kept = files_of(place.out)
                place.remount(options or f"size={-(-place.used() // PAGE) * PAGE}")
                if not refuse(work.replace, f"{what}, to replace"):
                    found.append(f"{what}, to replace: ended well")
                # SQLite's log beside a database is emptied by whoever opens it.
                changed = {
                    key for key, _ in set(files_of(place.out).items()) ^ set(kept.items()) if not is_named_anew(key)
                }
                # Rows so far are kept beside the result, and the message says where.
                changed -= {key for key in changed - set(kept) if any(key in line for line in said)}
                found.extend(f"{what}: {key} is not as before" for key in sorted(changed))
    return {"work": name, "refused": refused, "messages": sorted(said), "offences": found, "ok": not found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("works", nargs="*", help=f"all by default: {', '.join(WORKS)}")
    parser.add_argument("--share", type=float, action="append", help="of the result that has room; 0, 0.33 and 0.67")
    options = parser.parse_args()
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--map-root-user", "--mount", sys.executable, *sys.argv])
    good = True
    for name in options.works or WORKS:
        with tempfile.TemporaryDirectory() as folder:
            result = run(name, Path(folder), options.share or SHARES)
        good &= result["ok"]
        print(json.dumps(result, ensure_ascii=False), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
