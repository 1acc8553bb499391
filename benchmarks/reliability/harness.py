"""What the harnesses share: a free port, a process that ends with its block, its memory, pictures of a size."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mien.errors import MienError
from mien.images.pictures import read, resize, write


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(command: list[str], folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a folder, with its output in log.txt; ended at the end, whatever happens."""
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=os.environ | environment)
        try:
            yield process
        except BaseException:
            print((folder / "log.txt").read_text(errors="replace")[-4000:], file=sys.stderr)
            raise
        finally:
            end(process)


def end(process: subprocess.Popen[bytes], patience_s: float = 20) -> None:
    """By SIGTERM, and by SIGKILL where that is not heard."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def resident_mb(pid: int | None = None) -> float:
    """Memory of a process, or of this one, in MB; NaN where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid or 'self'}/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), float("nan"))


def open_files() -> int:
    """How many files, pipes and sockets this process has open; -1 where the system does not tell."""
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return -1


def processor_s(pid: int) -> float:
    """Processor time of a process so far, seconds; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def scale_photos(photos: Path, folder: Path, side_px: int) -> list[Path]:
    """The readable stills in and under a folder as JPEG in another, none larger than `side_px`."""
    folder.mkdir(exist_ok=True)
    scaled = []
    for path in sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".png", ".bmp")):
        try:
            image = read(path)
        except MienError:
            continue
        height, width = (round(length * min(1, side_px / max(image.shape[:2]))) for length in image.shape[:2])
        scaled.append(write(folder / f"{path.stem}.jpg", resize(image, height, width)))
    return scaled
