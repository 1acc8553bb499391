"""One reviewer at work: which issues are next, what was decided, and what the page shows. No Streamlit here."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError, DataError, MienError
from mien.labels import ALIASES, SEVEN, VOTE_COLUMNS, percent
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
from mien.workshop.data.base import SPLITS, FaceDataset
from mien.workshop.data.factory import LoadOptions, load_dataset
from mien.workshop.data.lists import label_name

BEHIND, AHEAD = 3, 20
"""How many cards before and after the current one are sent to the page."""

SHOWS = {
    "mine": "not yet decided by me",
    "anyone": "not yet decided by anyone",
    "disputed": "where reviewers disagree",
    "all": "all",
}
"""The queues of issues."""


@dataclass
class Bench:
    """What all reviewers of a server share.

    Args:
        title: the table's name on the page.
        table, dataset, decisions: what is reviewed, and where decisions are stored.
        reviewer, kind: the initial settings of a page.
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
    """The bench for a table of issues and its data set; decisions are stored beside the table.

    Args:
        issues: the table written by `mien data curate`.
        data: the data set, if it has moved.
        reviewer, kind: the initial settings of a page.

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
    dataset = load_dataset(data or Path(table.data), LoadOptions(table.mapping))
    require_dataset(table, dataset)
    return Bench(issues.name, table, dataset, Decisions(decisions_path(issues), table), name, kind)


class Desk:
    """A page of one reviewer.

    The page runs ahead of the server: it shows the next card at once, and resends each decision with its token until
    the server confirms the token. The token makes sure that a decision is stored once, however often it arrives.

    Args:
        bench: what is reviewed.
        reviewer, kind, show: from the page's address; invalid values are ignored.
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
        """Process what the page sent: decisions, position and changed settings; the page shows errors."""
        self.error = ""
        try:
            self._settle_in(sent.get("settings"))
            for event in sent.get("events", []):
                self._take(event)
            # A position in an earlier queue means nothing in this one.
            if sent.get("turn") == self.turn:
                self.position = min(max(0, int(sent.get("position", 0))), len(self.queue))
        except MienError as error:
            self.error = str(error)
        self._refresh()

    def view(self, have: frozenset[int] = frozenset()) -> dict[str, Any]:
        """The page's data as plain values.

        Args:
            have: the cards that the page already has.
        """
        first, end = max(0, self.position - BEHIND), self.position + AHEAD
        # Cards ahead, so that the next one is on the page before it is wanted.
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
            # In the order of their keys, 1 to 7.
            "labels": list(SEVEN),
        }

    def address(self) -> dict[str, str]:
        """The query of the page's address, so that a reload finds the same queue."""
        values = {"reviewer": self.reviewer, "kind": self.kind, "show": self.show}
        return {key: value for key, value in values.items() if value}

    def _take(self, event: Mapping[str, Any]) -> None:
        token = str(event["token"])
        if token in self._arrived:
            return
        # The event's own: a decision may arrive after the reviewer has changed.
        reviewer = str(event.get("reviewer", ""))
        if not reviewer:
            raise ConfigError("enter your name before you decide")
        if event["action"] == "undo":
            undone = self.bench.decisions.undo(reviewer=reviewer, token=token)
            if undone is not None:
                self._go_to(undone.issue)
        elif event["action"] in ACTIONS:
            issue = self.bench.cards.issues[int(event["issue"])]
            action, label = self._meant(issue, event["action"], str(event.get("label", "")))
            note = str(event.get("note", ""))[:500]
            self.bench.decisions.add(issue.number, action, label=label, reviewer=reviewer, note=note, token=token)
        # A page repeats only its latest ones.
        self._arrived[token] = None
        while len(self._arrived) > 200:
            self._arrived.pop(next(iter(self._arrived)))

    def _meant(self, issue: Issue, action: str, label: str) -> tuple[str, str]:
        """Relabelling with the current label means keep."""
        now = {label_name(int(self.bench.dataset.labels[row])) for row in issue.rows}
        if action == "relabel" and now == {label}:
            return "keep", ""
        return action, label if action == "relabel" else ""

    def _settle_in(self, settings: Any) -> None:
        """Change reviewer, kind and queue once per request of the page."""
        # The page repeats its settings with each request; only a change builds a new queue.
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
        """Read what this and other reviewers have decided since."""
        try:
            # Only what is new: the log grows with every decision.
            self.standing.add(self.bench.decisions.log(after=self.standing.seen))
        except MienError as error:
            self.error = str(error)

    def _line_up(self) -> None:
        """Rebuild the queue; the page returns to its start."""
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
        """Show an issue, even one outside the queue."""
        if issue not in self.queue:
            # Undone issues may have left the queue, which holds what is not yet decided.
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
        """Cohen's kappa with each other reviewer of the same issues."""
        found = []
        for name, theirs in sorted(self.standing.by_reviewer.items()):
            if name != self.reviewer:
                with_them = agreement(mine, theirs)
                if with_them.n:
                    found.append({"reviewer": name, **vars(with_them)})
        return found


LARGE_PX, MEDIUM_PX, SMALL_PX = 288, 192, 72
MOST_IN_GROUP = 12
MOST_NEIGHBOURS = 6


class Cards:
    """The cards of a table's issues, as HTML; the last few hundred are cached."""

    def __init__(self, table: IssueTable, dataset: FaceDataset) -> None:
        self.table = table
        self.dataset = dataset
        self.issues = {issue.number: issue for issue in table.issues}
        # One cache per instance: a decorated method would share one and keep every instance alive.
        self.get = lru_cache(maxsize=256)(self._make)

    def _make(self, number: int) -> dict[str, Any]:
        """What the page needs of an issue: its HTML, and the meaning of its suggestion."""
        issue = self.issues[number]
        return {
            "number": number,
            "html": "".join(self._parts(issue)),
            "suggestion": {"action": issue.suggestion, "label": issue.label},
            "current": sorted({self._label(row) for row in issue.rows}),
            "rows": len(issue.rows),
        }

    def _parts(self, issue: Issue) -> Iterator[str]:
        group = len(issue.rows) > 1
        yield f'<div class="pictures {"group" if group else "single"}" data-count="{min(len(issue.rows), 12)}">'
        if not issue.rows:
            yield '<p class="none">no single row to show</p>'
        for place, row in enumerate(issue.rows[:MOST_IN_GROUP]):
            yield self._figure(row, MEDIUM_PX if group else LARGE_PX, badge="kept" if group and not place else "")
        if len(issue.rows) > MOST_IN_GROUP:
            yield f'<p class="none">and {len(issue.rows) - MOST_IN_GROUP:,} more</p>'
        yield '</div><div class="facts">'
        yield f'<p class="kind"><b>{escape(issue.kind)}</b> {escape(KINDS[issue.kind])}</p>'
        yield f'<h2>{self._question(issue)}</h2><p class="detail">{escape(issue.detail)}'
        yield f' <span class="soft">score {issue.score:.2f}, issue {issue.number}</span></p>'
        if issue.rows:
            yield self._shares(issue.rows[0], issue.label)
            yield "" if group else self._neighbours(issue.rows[0])
        yield "</div>"

    def _question(self, issue: Issue) -> str:
        """The current label and the suggestion."""
        now = " and ".join(sorted({self._label(row) or "no label" for row in issue.rows})) or "no row"
        if issue.suggestion == "relabel":
            return f'<span class="now">{escape(now)}</span> → <span class="new">{escape(issue.label)}</span>?'
        if issue.suggestion == "drop":
            # Of copies the first is kept.
            others = len(issue.rows) - 1
            what = f"drop {others} of {others + 1}" if others else "drop it"
            return f'<span class="now">{escape(now)}</span> → <span class="new">{what}</span>?'
        return f'<span class="now">{escape(now)}</span>, keep?'

    def _figure(self, row: int, side_px: int, *, badge: str = "", caption: str = "") -> str:
        label, split = self._label(row) or "no label", SPLITS[self.dataset.split[row]]
        tag = f'<i class="badge">{badge}</i>' if badge else ""
        name = escape(str(self.dataset.ids[row]))
        caption = caption or f'<b>{escape(label)}</b> <span class="soft">{split}, {name}</span>'
        return (
            f'<figure><div class="frame"><img src="{enlarge(self.dataset.images[row], side_px)}" '
            f'alt="row {row}, labelled {escape(label)}, {split}">{tag}</div>'
            f'<figcaption title="{name}">{caption}</figcaption></figure>'
        )

    def _neighbours(self, row: int) -> str:
        evidence = self.table.evidence(row)
        found = evidence["neighbours"][:MOST_NEIGHBOURS] if evidence else []
        if not found:
            return ""
        pictures = (
            self._figure(near, SMALL_PX, caption=f"<b>{escape(self._label(near) or 'no label')}</b>") for near in found
        )
        return f'<h3>Most similar</h3><div class="near">{"".join(pictures)}</div>'

    def _shares(self, row: int, suggested: str) -> str:
        """One line per label: the predicted probability and the annotators' votes."""
        evidence = self.table.evidence(row)
        # A row has evidence only if a model has looked at it.
        predicted: Mapping[str, float] = evidence["probabilities"] if evidence else {}
        votes = {} if self.dataset.votes is None else self._votes(row)
        if not predicted and not any(votes.values()):
            return ""
        now, total = self._label(row), max(1, sum(votes.values()))
        # Beyond the seven, only what somebody has voted for.
        names = [*SEVEN, *(name for name in {**predicted, **votes} if name not in SEVEN and votes.get(name, 0))]
        heads = ("<th>predicted</th>" if predicted else "") + ("<th>FER+ votes</th>" if votes else "")
        lines = []
        for name in names:
            mark = "now" if name == now else "new" if name == suggested else ""
            cells = _bar(predicted.get(name), percent(predicted.get(name, 0)), "predicted") if predicted else ""
            cells += _bar(votes.get(name, 0) / total, str(votes.get(name, 0)), "votes") if votes else ""
            lines.append(f'<tr class="{mark}"><th scope="row">{escape(name)}</th>{cells}</tr>')
        return f'<table class="shares"><thead><tr><td></td>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table>'

    def _votes(self, row: int) -> dict[str, int]:
        assert self.dataset.votes is not None
        names = ["no face" if name == "NF" else ALIASES.get(name, name) for name in VOTE_COLUMNS]
        return dict(zip(names, map(int, self.dataset.votes[row]), strict=True))

    def _label(self, row: int) -> str:
        return label_name(int(self.dataset.labels[row]))


def enlarge(image: npt.NDArray[np.uint8], side_px: int) -> str:
    """A data URL of an image, gray (H, W) or RGB (H, W, 3), as JPEG; its longer side is `side_px` long."""
    scale = side_px / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    # Enlarged here and smoothly: a face of 48 pixels is too small to judge.
    large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    if large.ndim == 3:
        large = cv2.cvtColor(large, cv2.COLOR_RGB2BGR)
    done, content = cv2.imencode(".jpg", large, [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert done
    return f"data:image/jpeg;base64,{base64.b64encode(content.tobytes()).decode()}"


def _bar(share: float | None, text: str, kind: str) -> str:
    if share is None:
        return "<td></td>"
    return (
        f'<td><div class="bar {kind}"><i style="width:{100 * min(1.0, max(0.0, share)):.1f}%"></i></div>'
        f"<span>{text}</span></td>"
    )
