"""One reviewer at work: which issues are next, what was decided, and what the page shows. No Streamlit here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.apps.review.card import Cards
from mien.errors import ConfigError, DataError, MienError
from mien.labels import SEVEN
from mien.workshop.curation.apply import agreement, consensus, require_dataset
from mien.workshop.curation.decisions import (
    ACTIONS,
    Decision,
    Decisions,
    Standing,
    decisions_path,
    pace,
    reviewer_name,
    table_digest,
)
from mien.workshop.curation.issues import KINDS, Issue, IssueTable
from mien.workshop.curation.table import read_table
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.factory import load_dataset
from mien.workshop.data.lists import label_name

BEHIND, AHEAD = 3, 20
"""How many cards before and after the one that is looked at the page is given."""

SHOWS = {
    "mine": "not yet decided by me",
    "anyone": "not yet decided by anyone",
    "disputed": "where reviewers disagree",
    "all": "all",
}
"""Which issues are in the queue."""


@dataclass
class Bench:
    """What all reviewers of a server share.

    Args:
        title: of the table, as the page calls it.
        table, dataset, decisions: what is reviewed, and where decisions go.
        reviewer, kind: what a new page begins with.
    """

    title: str
    table: IssueTable
    dataset: FaceDataset
    decisions: Decisions
    reviewer: str = ""
    kind: str = ""
    cards: Cards = field(init=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        self.cards = Cards(self.table, self.dataset)
        self.digest = table_digest(self.table)


def open_bench(issues: Path, data: Path | None = None, *, reviewer: str = "", kind: str = "") -> Bench:
    """What a table of issues and its data set give to review; decisions go beside the table.

    Args:
        issues: the table that `curate` wrote.
        data: the data set, if it was moved since.
        reviewer, kind: what a new page begins with.

    Raises:
        ConfigError: an unknown kind, or a bad name.
        DataError: the table is damaged or empty, or of another data set.
    """
    if kind and kind not in KINDS:
        raise ConfigError(f"unknown kind {kind!r}: expected one of {', '.join(KINDS)}")
    name = reviewer_name(reviewer) if reviewer else ""
    table = read_table(issues)
    if not table.issues:
        raise DataError(f"{issues} has no issues: there is nothing to review")
    dataset = load_dataset(data or Path(table.data))
    require_dataset(table, dataset)
    return Bench(issues.name, table, dataset, Decisions(decisions_path(issues), table), name, kind)


class Desk:
    """A page of one reviewer.

    The page runs ahead of the server: it shows the next card at once and sends what was decided, each decision with a
    token of its own, until it is told that the token has arrived. So it is written once, however often it comes.

    Args:
        bench: what is reviewed.
        reviewer, kind, show: as a page's address has them; what is not possible is passed over.
    """

    def __init__(self, bench: Bench, *, reviewer: str = "", kind: str = "", show: str = "mine") -> None:
        self.bench = bench
        self.standing = Standing()
        self.reviewer = reviewer or bench.reviewer
        self.kind = kind if kind in KINDS else bench.kind
        self.show = show if show in SHOWS else "mine"
        self.queue: list[int] = []
        self.turn = 0
        self.position = 0
        self.error = ""
        self._arrived: dict[str, None] = {}
        self._settings: Any = None
        self._refresh()
        self._line_up()

    def receive(self, sent: Mapping[str, Any]) -> None:
        """Take in what the page sent: decisions, where it stands, and changed settings; errors are shown there."""
        self.error = ""
        try:
            self._settle_in(sent.get("settings"))
            for event in sent.get("events", []):
                self._take(event)
            if sent.get("turn") == self.turn:
                self.position = min(max(0, int(sent.get("position", 0))), len(self.queue))
        except MienError as error:
            self.error = str(error)
        self._refresh()

    def view(self, have: frozenset[int] = frozenset()) -> dict[str, Any]:
        """What the page shows, as plain values.

        Args:
            have: numbers of cards that the page has already.
        """
        first, end = max(0, self.position - BEHIND), self.position + AHEAD
        window = self.queue[first:end]
        mine = self.standing.by_reviewer.get(self.reviewer, {})
        return {
            "title": self.bench.title,
            "table": self.bench.digest,
            "reviewer": self.reviewer,
            "kind": self.kind,
            "show": self.show,
            "shows": SHOWS,
            "turn": self.turn,
            "total": len(self.queue),
            "position": self.position,
            "first": first,
            "window": window,
            "cards": {str(number): self.bench.cards.get(number) for number in window if number not in have},
            "marks": {str(n): {"action": mine[n].action, "label": mine[n].label} for n in window if n in mine},
            "arrived": list(self._arrived),
            "kinds": self._kinds(mine),
            "done": len(mine),
            "issues": len(self.bench.table.issues),
            "pace": pace(self.standing.times.get(self.reviewer, [])),
            "agreement": self._agreement(mine),
            "error": self.error,
        }

    def address(self) -> dict[str, str]:
        """What the page's address holds, so that a reload finds the same queue."""
        values = {"reviewer": self.reviewer, "kind": self.kind, "show": self.show}
        return {key: value for key, value in values.items() if value}

    def _take(self, event: Mapping[str, Any]) -> None:
        token = str(event["token"])
        if token in self._arrived:
            return
        reviewer = str(event.get("reviewer", ""))
        if not reviewer:
            raise ConfigError("say who you are before you decide")
        if event["action"] == "undo":
            undone = self.bench.decisions.undo(reviewer=reviewer, token=token)
            if undone is not None:
                self._go_to(undone.issue)
        elif event["action"] in ACTIONS:
            issue = self.bench.cards.issues[int(event["issue"])]
            action, label = self._meant(issue, event["action"], str(event.get("label", "")))
            note = str(event.get("note", ""))[:500]
            self.bench.decisions.add(issue.number, action, label=label, reviewer=reviewer, note=note, token=token)
        # Only the last few are repeated by a page.
        self._arrived[token] = None
        while len(self._arrived) > 200:
            self._arrived.pop(next(iter(self._arrived)))

    def _meant(self, issue: Issue, action: str, label: str) -> tuple[str, str]:
        """A new label that is the old one means keep."""
        now = {label_name(int(self.bench.dataset.labels[row])) for row in issue.rows}
        if action == "relabel" and now == {label}:
            return "keep", ""
        return action, label if action == "relabel" else ""

    def _settle_in(self, settings: Any) -> None:
        """Change reviewer, kind and show, once for each time that the page says so."""
        if not settings or settings == self._settings:
            return
        self._settings = settings
        reviewer = str(settings.get("reviewer", ""))
        self.reviewer = reviewer_name(reviewer) if reviewer.strip() else ""
        self.kind = settings["kind"] if settings.get("kind") in KINDS else ""
        self.show = settings["show"] if settings.get("show") in SHOWS else "mine"
        self._refresh()
        self._line_up()

    def _refresh(self) -> None:
        """Take in what this and other reviewers wrote since."""
        try:
            self.standing.add(self.bench.decisions.log(after=self.standing.seen))
        except MienError as error:
            self.error = str(error)

    def _line_up(self) -> None:
        """Make the queue anew; the page goes to its beginning."""
        by_issue = self.standing.by_issue
        self.queue = [
            issue.number
            for issue in self.bench.table.issues
            if (not self.kind or issue.kind == self.kind) and self._is_shown(by_issue.get(issue.number, {}))
        ]
        self.turn += 1
        self.position = 0

    def _is_shown(self, given: Mapping[str, Decision]) -> bool:
        if self.show == "mine":
            return self.reviewer not in given
        if self.show == "anyone":
            return not given
        if self.show == "disputed":
            return len(given) > 1 and consensus(given.values()).how != "unanimous"
        return True

    def _go_to(self, issue: int) -> None:
        """Show an issue, also one that is not in the queue."""
        if issue not in self.queue:
            self.queue.insert(self.position, issue)
        self.position = self.queue.index(issue)
        self.turn += 1

    def _kinds(self, mine: Mapping[int, Decision]) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for issue in self.bench.table.issues:
            entry = found.setdefault(
                issue.kind, {"kind": issue.kind, "meaning": KINDS[issue.kind], "total": 0, "done": 0}
            )
            entry["total"] += 1
            entry["done"] += issue.number in mine
        return list(found.values())

    def _agreement(self, mine: Mapping[int, Decision]) -> list[dict[str, Any]]:
        """Cohen's kappa with each other reviewer who decided some of the same issues."""
        found = []
        for name, theirs in sorted(self.standing.by_reviewer.items()):
            if name != self.reviewer:
                with_them = agreement(mine, theirs)
                if with_them.n:
                    found.append({"reviewer": name, **vars(with_them)})
        return found


def labels() -> list[str]:
    """The labels in the order of their keys, 1 to 7."""
    return list(SEVEN)
