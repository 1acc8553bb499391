"""Decides on the suspects of `mien data curate` as the majority of the FER+ annotators would: as ten reviewers each.

    python studies/review_by_votes.py issues.csv && mien data apply issues.csv --name fer2013-reviewed

Only doubted labels and pictures without a face in FER2013's Training rows are decided on; copies are left as they are.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mien.labels import CROWD, SEVEN, VOTE_COLUMNS
from mien.workshop.curation.decisions import Decisions, decisions_path
from mien.workshop.curation.table import read_table
from mien.workshop.data.factory import load_dataset
from mien.workshop.data.fer2013 import majority

REVIEWER = "FER+ majority"
NO_FACE = VOTE_COLUMNS.index("NF")


def main(path: Path) -> None:
    table = read_table(path)
    dataset = load_dataset(Path(table.data))
    top = majority(dataset.votes)
    log = Decisions(decisions_path(path), table)
    for issue in table.issues:
        row = issue.rows[0] if issue.rows else -1
        if issue.kind not in ("label", "no-face") or dataset.split[row] != 0:
            continue
        votes = dataset.votes[row]
        word = CROWD[top[row]] if top[row] >= 0 else ""
        if votes[NO_FACE] * 2 > votes.sum():
            log.add(issue.number, "drop", reviewer=REVIEWER)
        elif word not in SEVEN:
            log.add(issue.number, "unsure", reviewer=REVIEWER)
        elif word == SEVEN[dataset.labels[row]]:
            log.add(issue.number, "keep", reviewer=REVIEWER)
        else:
            log.add(issue.number, "relabel", label=word, reviewer=REVIEWER)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
