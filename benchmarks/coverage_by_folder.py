"""Coverage by folder, from the report of `make coverage`: lines and branches that tests reach, against the bar.

python benchmarks/coverage_by_folder.py build/coverage/report.json
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

BAR = 90.0
HELD = ("reading", "sources", "sinks", "artifact", "faces", "apps/service")
"""Folders that strangers' files and requests reach: these must be above the bar."""
COUNTS = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def folder_of(file: str) -> str:
    """The folder below `mien` to which a file counts, two deep in apps and the workshop."""
    parts = Path(file).as_posix().rpartition("mien/")[2].split("/")[:-1]
    return "/".join(parts[: 2 if parts[:1] in (["apps"], ["workshop"]) else 1]) or "."


def by_folder(report: dict[str, dict[str, dict[str, dict[str, int]]]]) -> dict[str, Counter[str]]:
    """The sums of the counts of each folder's files."""
    found: dict[str, Counter[str]] = {}
    for file, about in report["files"].items():
        sums = found.setdefault(folder_of(file), Counter())
        sums.update({name: about["summary"][name] for name in COUNTS})
    return found


def percent(sums: Counter[str]) -> float:
    """Lines and branches together."""
    all_of_them = sums["num_statements"] + sums["num_branches"]
    return 100 * (sums["covered_lines"] + sums["covered_branches"]) / all_of_them if all_of_them else 100.0


def main() -> None:
    folders = by_folder(json.loads(Path(sys.argv[1]).read_text("utf-8")))
    print(f"{'folder':<24}{'lines':>13}{'branches':>13}{'together':>10}")
    total: Counter[str] = Counter()
    for name, sums in sorted(folders.items()):
        total.update(sums)
        low = f"  below {BAR:g} %" if name in HELD and percent(sums) < BAR else ""
        print(row(name + ("*" if name in HELD else ""), sums) + low)
    print(row("all", total))
    print(f"* must reach {BAR:g} %")


def row(name: str, sums: Counter[str]) -> str:
    """One line of the table."""
    lines, branches = (f"{sums[a]:,}/{sums[b]:,}" for a, b in zip(COUNTS[::2], COUNTS[1::2], strict=True))
    return f"{name:<24}{lines:>13}{branches:>13}{percent(sums):>8.1f} %"


if __name__ == "__main__":
    main()
