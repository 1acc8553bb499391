"""Gives the tracks of a resumed run the numbers that an earlier run has written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mien.sinks.resume import Box, Seen
from mien.structures import Face, Result

SAME_FACE = 0.3
"""Two boxes of one frame belong to one face if their overlap over their union is so much."""


class Renumbering:
    """Learns from frames that both runs have seen which new track is which old one; others get higher numbers.

    Args:
        seen: frames of the earlier run.
        highest_id: the earlier run's highest number.
    """

    def __init__(self, seen: Iterable[Seen], highest_id: int) -> None:
        self._seen = {entry.frame: entry.boxes for entry in seen}
        self._highest_id = highest_id
        self._votes: dict[tuple[int, int], float] = {}
        self._numbers: dict[int, int] | None = None

    def learn(self, result: Result) -> None:
        """Take a result of this run for a frame that the earlier one has written."""
        frame = -1 if result.frame is None else result.frame.index
        for old, box in self._seen.get(frame, ()):
            for face in result.faces:
                overlap = overlap_share(box, face.box)
                if face.track_id is not None and overlap >= SAME_FACE:
                    pair = (face.track_id, old)
                    self._votes[pair] = self._votes.get(pair, 0.0) + overlap

    def apply(self, result: Result) -> Result:
        """The result with the earlier run's numbers."""
        return replace(
            result,
            faces=[self._renamed(face) for face in result.faces],
            entered=tuple(map(self._number, result.entered)),
            left=tuple(map(self._number, result.left)),
        )

    def _renamed(self, face: Face) -> Face:
        return face if face.track_id is None else replace(face, track_id=self._number(face.track_id))

    def _number(self, new: int) -> int:
        if self._numbers is None:
            self._numbers = match_by_votes(self._votes)
        if new not in self._numbers:
            self._highest_id += 1
            self._numbers[new] = self._highest_id
        return self._numbers[new]


def match_by_votes(votes: dict[tuple[int, int], float]) -> dict[int, int]:
    """One to one, the pair with the most votes first.

    >>> match_by_votes({(1, 7): 3.0, (2, 7): 2.0, (2, 8): 1.0})
    {1: 7, 2: 8}
    """
    matched: dict[int, int] = {}
    for new, old in sorted(votes, key=lambda pair: -votes[pair]):
        if new not in matched and old not in matched.values():
            matched[new] = old
    return matched


def overlap_share(first: Box, second: Box) -> float:
    """Area in common over the area of the union of two xyxy boxes, 0–1.

    >>> overlap_share((0, 0, 2, 2), (1, 0, 3, 2))
    0.3333333333333333
    """
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(width, 0.0) * max(height, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return common / (areas - common) if areas > common else 0.0
