"""Seconds to read FER2013's csv with the FER+ votes: parsed for the first time, and again from the cache.

python benchmarks/data.py FOLDER        (holds fer2013.csv and ferplus.csv; bars: 15 s and 1 s)
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

READ = (
    "import sys, time; from pathlib import Path; from mien.workshop.data.factory import load_dataset; "
    "started = time.perf_counter(); load_dataset(Path(sys.argv[1]), cache_dir=Path(sys.argv[2])); "
    "print(time.perf_counter() - started)"
)


def read_s(folder: Path, cache: str) -> float:
    """Seconds of `load_dataset` in a process of its own."""
    found = subprocess.run([sys.executable, "-c", READ, str(folder), cache], check=True, capture_output=True, text=True)
    return float(found.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as cache:
        print(f"first read {read_s(folder, cache):.2f} s")
        print(f"later reads {', '.join(f'{read_s(folder, cache):.2f} s' for _ in range(3))}")


if __name__ == "__main__":
    main()
