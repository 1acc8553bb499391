"""How the settings of an ONNX Runtime session change a model's speed: what `mien.artifact.runtime` takes as defaults.

    python benchmarks/speed_defaults.py [MODEL] [--rounds 3] [--out benchmarks/results/speed-defaults.json]

Each setting differs from Mien's own in one thing; all are measured in turns, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from peers import machine
from speed import best_of, subject_of, work

QUIET = {"session.intra_op.allow_spinning": "0"}
SETTINGS: dict[str, dict[str, Any]] = {
    "Mien's: threads sleep": {},
    "threads spin": {"options": {"session.intra_op.allow_spinning": "1"}},
    "denormals as zero": {"options": QUIET | {"session.set_denormal_as_zero": "1"}},
    "no memory arena": {"arena": False},
    "no layouts of the processor": {"level": "ORT_ENABLE_EXTENDED"},
}


def measure(subject: Any, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    rounds: dict[tuple[str, int], list[Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            for threads in arguments.threads:
                for name, changed in SETTINGS.items():
                    job = {
                        "runtime": "onnxruntime", "graph": subject.graph, "shape": subject.shape, "threads": threads,
                        "batches": arguments.batches, "seconds": arguments.seconds, "options": QUIET,
                    }  # fmt: skip
                    answer = work(sys.executable, job | changed, Path(folder))
                    rounds.setdefault((name, threads), []).append(answer["batches"])
    return [
        {"setting": name, "threads": threads, "batches": best_of(found)} for (name, threads), found in rounds.items()
    ]


def table(report: dict[str, Any]) -> str:
    batches = list(report["settings"][0]["batches"])
    titles = [f"{batch} a call, ms a crop" for batch in batches]
    lines = [f"| setting | threads | {' | '.join(titles)} |", f"|---|---:|{'---:|' * len(titles)}"]
    for one in report["settings"]:
        cells = [f"{one['batches'][batch]['median_ms'] / int(batch):.3f}" for batch in batches]
        lines.append(f"| {one['setting']} | {one['threads']} | {' | '.join(cells)} |")
    around = report["machine"]
    where = f"{around['cpu']}, {around['cores']} cores, load {around['load_before']:.1f}"
    note = f"{report['model']}, medians; {report['date']}, {where}."
    return "\n".join([*lines, "", f"- {note}"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="mien-s")
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, os.cpu_count() or 1}))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON file to write; the table goes beside it as .md")
    arguments = parser.parse_args()
    around = machine()
    subject = subject_of(arguments.model)
    settings = measure(subject, arguments)
    report = {"date": date.today().isoformat(), "machine": around, "model": subject.name, "settings": settings}
    print(table(report))
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        arguments.out.with_suffix(".md").write_text(table(report), encoding="utf-8")


if __name__ == "__main__":
    main()
