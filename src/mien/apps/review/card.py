"""What is shown of one issue: pictures, labels, what was foretold, votes and neighbours, as HTML."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from functools import lru_cache
from html import escape
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.labels import ALIASES, SEVEN, VOTE_COLUMNS
from mien.workshop.curation.issues import KINDS, Issue, IssueTable
from mien.workshop.data.base import SPLITS, FaceDataset
from mien.workshop.data.lists import label_name

LARGE_PX, MEDIUM_PX, SMALL_PX = 288, 192, 72
MOST_IN_GROUP = 12
MOST_NEIGHBOURS = 6


class Cards:
    """The cards of a table's issues; the last few hundred are remembered."""

    def __init__(self, table: IssueTable, dataset: FaceDataset) -> None:
        self.table = table
        self.dataset = dataset
        self.issues = {issue.number: issue for issue in table.issues}
        self.get = lru_cache(maxsize=256)(self._make)

    def _make(self, number: int) -> dict[str, Any]:
        """What the page needs of an issue: its HTML, and what accepting the suggestion means."""
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
            yield '<p class="none">no single row to look at</p>'
        for place, row in enumerate(issue.rows[:MOST_IN_GROUP]):
            yield self._figure(row, MEDIUM_PX if group else LARGE_PX, badge="stays" if group and not place else "")
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
        """Label now, and the suggestion."""
        now = " and ".join(sorted({self._label(row) or "no label" for row in issue.rows})) or "no row"
        if issue.suggestion == "relabel":
            return f'<span class="now">{escape(now)}</span> → <span class="new">{escape(issue.label)}</span>?'
        if issue.suggestion == "drop":
            others = len(issue.rows) - 1
            what = f"drop {others} of {others + 1}" if others else "drop it"
            return f'<span class="now">{escape(now)}</span> → <span class="new">{what}</span>?'
        return f'<span class="now">{escape(now)}</span>, keep?'

    def _figure(self, row: int, side_px: int, *, badge: str = "", caption: str = "") -> str:
        label, split = self._label(row) or "no label", SPLITS[self.dataset.split[row]]
        told = f'<i class="badge">{badge}</i>' if badge else ""
        name = escape(str(self.dataset.ids[row]))
        caption = caption or f'<b>{escape(label)}</b> <span class="soft">{split}, {name}</span>'
        return (
            f'<figure><div class="frame"><img src="{self._picture(row, side_px)}" '
            f'alt="row {row}, labelled {escape(label)}, {split}">{told}</div>'
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
        return f'<h3>Most alike</h3><div class="near">{"".join(pictures)}</div>'

    def _shares(self, row: int, suggested: str) -> str:
        """A line a label: what was foretold, and how many annotators said so."""
        evidence = self.table.evidence(row)
        foretold: Mapping[str, float] = evidence["probabilities"] if evidence else {}
        votes = {} if self.dataset.votes is None else self._votes(row)
        if not foretold and not any(votes.values()):
            return ""
        now, total = self._label(row), max(1, sum(votes.values()))
        names = [*SEVEN, *(name for name in {**foretold, **votes} if name not in SEVEN and votes.get(name, 0))]
        heads = ("<th>foretold</th>" if foretold else "") + ("<th>FER+ votes</th>" if votes else "")
        lines = []
        for name in names:
            mark = "now" if name == now else "new" if name == suggested else ""
            cells = _bar(foretold.get(name), f"{100 * foretold.get(name, 0):.0f} %", "told") if foretold else ""
            cells += _bar(votes.get(name, 0) / total, str(votes.get(name, 0)), "votes") if votes else ""
            lines.append(f'<tr class="{mark}"><th scope="row">{escape(name)}</th>{cells}</tr>')
        return f'<table class="shares"><thead><tr><th></th>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table>'

    def _votes(self, row: int) -> dict[str, int]:
        assert self.dataset.votes is not None
        names = ["no face" if name == "NF" else ALIASES.get(name, name) for name in VOTE_COLUMNS]
        return dict(zip(names, map(int, self.dataset.votes[row]), strict=True))

    def _label(self, row: int) -> str:
        return label_name(int(self.dataset.labels[row]))

    def _picture(self, row: int, side_px: int) -> str:
        """The picture as a data address, enlarged smoothly so that 48 pixels can be seen."""
        return enlarge(self.dataset.images[row], side_px)


def enlarge(image: npt.NDArray[np.uint8], side_px: int) -> str:
    """A data address of a JPEG of a picture (H, W) or RGB (H, W, 3), its longer side `side_px` long."""
    scale = side_px / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    if large.ndim == 3:
        large = cv2.cvtColor(large, cv2.COLOR_RGB2BGR)
    done, content = cv2.imencode(".jpg", large, [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert done
    return f"data:image/jpeg;base64,{base64.b64encode(content.tobytes()).decode()}"


def _bar(share: float | None, said: str, kind: str) -> str:
    if share is None:
        return "<td></td>"
    return (
        f'<td><div class="bar {kind}"><i style="width:{100 * min(1.0, max(0.0, share)):.1f}%"></i></div>'
        f"<span>{said}</span></td>"
    )
