"""Frame accuracy and label changes of every smoothing on a split of clips, and which setting the defaults are.

    python studies/tune_smoothing.py CLIPS [--split validation] [--model mien-s]

The defaults in `mien.reading.smoothing` are the setting with the fewest label changes among those whose frame accuracy
on validation is within one standard error of the best (Breiman et al. 1984), by a bootstrap over clips.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mien.labels import SEVEN
from mien.workshop.data.clip_folder import read_clips
from mien.workshop.temporal.clip_config import parse_temporal
from mien.workshop.temporal.evaluation import HOLDS_S, SMOOTHINGS_S, measure_smoothing
from mien.workshop.temporal.sequences import Describer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--model", default="mien-s")
    options = parser.parse_args()
    describer = Describer(parse_temporal({"clips": {"frames": options.model}}))
    found = measure_smoothing(read_clips(options.clips), describer, SEVEN, splits=(options.split,))
    accuracy, changes_hz = found.accuracy, found.changes_hz
    print("frames right %, and label changes a second; smoothed for (rows), held for (columns), seconds")
    print(f"{'':>6}" + "".join(f"{hold_s:>14g}" for hold_s in HOLDS_S))
    for smooth_s, row, changed in zip(SMOOTHINGS_S, accuracy, changes_hz, strict=True):
        print(f"{smooth_s:>6g}" + "".join(f"{100 * a:>8.2f} {c:>5.2f}" for a, c in zip(row, changed, strict=True)))
    print(f"best {100 * accuracy.max():.2f} %, standard error {100 * found.error:.2f}")
    print("the fewest changes within it: smoothed for {:g} s, held for {:g} s".format(*found.steadiest))


if __name__ == "__main__":
    main()
