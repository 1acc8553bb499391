"""Draws accuracy against milliseconds a crop from speed.json: Mien's family and the nets that others ship.

    python benchmarks/speed_picture.py [benchmarks/results/speed.json] [--out docs/images] [--threads 1]

Writes accuracy-speed-light.png and accuracy-speed-dark.png. A filled mark was measured in that run; a hollow one is a
figure from another machine.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator
from reading import REPOSITORY

ELSEWHERE = (("fer", 0.38, 65.6), ("face-api", 7.9, 58.6), ("human", 5.1, 66.0))
"""Name, milliseconds a crop and accuracy in per cent on the same 7,178 rows, as measured on another machine."""

MODEL_COLOUR, RIVAL_COLOUR = {"light": "#1f6feb", "dark": "#6cb0ff"}, {"light": "#b4552d", "dark": "#f0a070"}
PAPER, INK, LINE = (
    {"light": "#ffffff", "dark": "#0d1117"},
    {"light": "#1f2328", "dark": "#e6edf3"},
    {"light": "#d8dee4", "dark": "#30363d"},
)


@dataclass(frozen=True)
class Mark:
    name: str
    ms: float
    accuracy: float
    ours: bool
    here: bool


def marks_of(report: dict[str, Any], threads: int) -> list[Mark]:
    """Each model's quickest runtime with so many threads, and the rivals that the run has not measured itself."""
    found = []
    for subject in report["subjects"]:
        times = [one["one_ms"] for one in subject["results"] if one["threads"] == threads]
        if times and subject["accuracy"] is not None:
            ours = subject["name"].startswith("mien")
            name = subject["name"] + (" float32" if ours and subject["precision"] == "float32" else "")
            found.append(Mark(name, min(times), subject["accuracy"], ours, True))
    measured = {mark.name.split()[0] for mark in found}
    return found + [Mark(*one, False, False) for one in ELSEWHERE if one[0] not in measured]


def draw(marks: list[Mark], theme: str, caption: str, path: Path) -> None:
    paper, ink, line = PAPER[theme], INK[theme], LINE[theme]
    with plt.rc_context({"font.family": "DejaVu Sans", "font.size": 11, "text.color": ink}):
        figure, axes = plt.subplots(figsize=(8.4, 4.9), dpi=200, facecolor=paper)
        axes.set_facecolor(paper)
        best = frontier_of(marks)
        colour = MODEL_COLOUR[theme]
        axes.plot([m.ms for m in best], [m.accuracy for m in best], color=colour, linewidth=1.6, alpha=0.6, zorder=2)
        for mark in marks:
            place(axes, mark, theme, above=mark in best)
        axes.set_xscale("log")
        times, rates = [mark.ms for mark in marks], [mark.accuracy for mark in marks]
        axes.set_xlim(min(times) / 2.6, max(times) * 1.8)
        axes.set_ylim(min(rates) - 3, max(rates) + 3)
        ticks = [
            tick for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if min(times) / 1.8 <= tick <= max(times) * 2
        ]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.yaxis.set_major_locator(MultipleLocator(5))
        axes.tick_params(colors=ink, length=0)
        axes.grid(color=line, linewidth=0.7)
        axes.set_axisbelow(True)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel("milliseconds a crop (one at a time, log scale)", color=ink)
        axes.set_title("Right on FER2013's labels, 7,178 faces, %", loc="left", color=ink, fontsize=12, pad=12)
        figure.text(0.012, 0.012, caption, fontsize=7.5, color=ink, alpha=0.75)
        figure.tight_layout(rect=(0, 0.045, 1, 1))
        figure.savefig(path, facecolor=paper)
        plt.close(figure)


def frontier_of(marks: list[Mark]) -> list[Mark]:
    """Mien's models that none of the others beats in both speed and accuracy, the quickest first."""
    best: list[Mark] = []
    for mark in sorted((one for one in marks if one.ours), key=lambda one: (one.ms, -one.accuracy)):
        if not best or mark.accuracy > best[-1].accuracy:
            best.append(mark)
    return best


def place(axes: Axes, mark: Mark, theme: str, *, above: bool) -> None:
    """A mark with its name: over the rising line to its left, or below the mark."""
    colour = (MODEL_COLOUR if mark.ours else RIVAL_COLOUR)[theme]
    fill = colour if mark.here else PAPER[theme]
    axes.scatter([mark.ms], [mark.accuracy], s=62, color=fill, edgecolors=colour, linewidths=1.7, zorder=3)
    axes.annotate(
        f"{mark.name}\n{mark.accuracy:.1f} % · {mark.ms:.2g} ms",
        (mark.ms, mark.accuracy),
        xytext=(6, 8) if above else (0, -9),
        textcoords="offset points",
        color=colour,
        fontsize=9,
        fontweight="bold" if mark.ours else "normal",
        ha="right" if above else "center",
        va="bottom" if above else "top",
        linespacing=1.25,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, nargs="?", default=REPOSITORY / "benchmarks/results/speed.json")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs/images")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    report = json.loads(arguments.report.read_text(encoding="utf-8"))
    marks = marks_of(report, arguments.threads)
    caption = f"{report['machine']['cpu']}, {arguments.threads} thread, {report['date']}, benchmarks/speed.py."
    if not all(mark.here for mark in marks):
        caption += " Hollow: measured on another machine."
    for theme in ("light", "dark"):
        draw(marks, theme, caption, arguments.out / f"accuracy-speed-{theme}.png")


if __name__ == "__main__":
    main()
