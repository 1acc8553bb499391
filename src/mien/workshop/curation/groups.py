"""Groups out of pairs: whatever hangs together, or stars, in which all were found alike to the one in the middle."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]


def connected(n: int, pairs: Int64) -> Int64:
    """The lowest number that is connected with each of 0 … n - 1 by pairs (P, 2), directly or not; union-find.

    >>> connected(5, np.array([[3, 1], [3, 4]])).tolist()
    [0, 1, 2, 1, 1]
    """
    root = list(range(n))

    def top(one: int) -> int:
        while root[one] != one:
            root[one] = one = root[root[one]]
        return one

    for one, other in pairs.tolist():
        a, b = top(one), top(other)
        root[max(a, b)] = min(a, b)
    return np.array([top(one) for one in range(n)], np.int64)


def stars(pairs: Int64) -> list[Int64]:
    """Groups of positions around one that all others of the group are paired with, the one in the middle first.

    What hangs together by a chain only, a is like b and b like c but a is not like c, is cut: the position with the
    most pairs and all that it is paired with, and so on.

    >>> [star.tolist() for star in stars(np.array([[0, 1], [1, 2], [2, 3], [3, 4]]))]
    [[1, 0, 2], [3, 4]]
    """
    links: dict[int, set[int]] = {}
    for one, other in pairs.tolist():
        links.setdefault(one, set()).add(other)
        links.setdefault(other, set()).add(one)
    root = connected(int(pairs.max()) + 1 if len(pairs) else 0, pairs).tolist()
    joined: dict[int, set[int]] = {}
    for member in links:
        joined.setdefault(root[member], set()).add(member)
    return [np.array(star, np.int64) for members in joined.values() for star in _cut(members, links)]


def _cut(left: set[int], links: dict[int, set[int]]) -> Iterator[list[int]]:
    while len(left) > 1:
        centre = max(left, key=lambda member: (len(links[member] & left), -member))
        star = {centre} | (links[centre] & left)
        left = left - star
        if len(star) > 1:
            yield [centre, *sorted(star - {centre})]
