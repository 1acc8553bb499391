"""What several reviewers decided together, and how well they agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mien.workshop.curation.decisions import Decision


@dataclass(frozen=True)
class Verdict:
    """The decision that counts for an issue.

    Args:
        action, label: as of a `Decision`; `unsure` where the reviewers do not agree.
        how: `alone`, `unanimous`, `majority` or `conflict`.
        reviewers: who decided, sorted.
    """

    action: str
    label: str
    how: str
    reviewers: tuple[str, ...]


@dataclass(frozen=True)
class Agreement:
    """How well two reviewers agree on the issues that both decided.

    Args:
        n: how many these are.
        observed: the share on which they said the same, None for no issue.
        kappa: Cohen's kappa, None where it is not defined.
        note: why it is not.
    """

    n: int
    observed: float | None
    kappa: float | None
    note: str = ""


def consensus(decisions: Iterable[Decision]) -> Verdict:
    """What the reviewers of one issue decided together: what more than half of them said, else `unsure`.

    A new label is an opinion of its own, and so is `unsure`: of drop and unsure neither has more than half.

    Args:
        decisions: on one issue, one of each reviewer.

    Raises:
        ValueError: there is none.
    """
    given = list(decisions)
    reviewers = tuple(sorted(decision.reviewer for decision in given))
    opinions = Counter(decision.opinion for decision in given)
    if not opinions:
        raise ValueError("no decision on this issue")
    opinion, count = opinions.most_common(1)[0]
    if 2 * count <= len(given):
        return Verdict("unsure", "", "conflict", reviewers)
    how = "alone" if len(given) == 1 else "unanimous" if count == len(given) else "majority"
    action, _, label = opinion.partition(":")
    return Verdict(action, label, how, reviewers)


def verdicts(by_issue: Mapping[int, Mapping[str, Decision]], reviewers: Iterable[str] = ()) -> dict[int, Verdict]:
    """The verdict on each issue that anyone decided, or any of the named reviewers."""
    chosen = set(reviewers)
    found = {}
    for issue, given in by_issue.items():
        counted = [decision for name, decision in given.items() if not chosen or name in chosen]
        if counted:
            found[issue] = consensus(counted)
    return found


def agreement(first: Mapping[int, Decision], second: Mapping[int, Decision]) -> Agreement:
    """Cohen's kappa (1960) of two reviewers: agreement beyond that of two who decide at random with their own habits.

    Args:
        first, second: decisions of each by issue; those on which both decided count, a new label being an opinion
            of its own.
    """
    both = sorted(first.keys() & second.keys())
    return cohen_kappa([first[issue].opinion for issue in both], [second[issue].opinion for issue in both])


def cohen_kappa(first: list[str], second: list[str]) -> Agreement:
    """κ = (observed − expected) / (1 − expected) of two lists of opinions, pair by pair.

    >>> cohen_kappa(["keep", "drop", "drop", "keep"], ["keep", "drop", "keep", "keep"])
    Agreement(n=4, observed=0.75, kappa=0.5, note='')
    """
    n = len(first)
    if not n:
        return Agreement(0, None, None, "no issue was decided by both")
    same = sum(a == b for a, b in zip(first, second, strict=True))
    counts = Counter(first), Counter(second)
    # In whole numbers, so that chance agreement of 1 is found exactly.
    chance = sum(counts[0][opinion] * counts[1][opinion] for opinion in counts[0])
    if chance == n * n:
        return Agreement(n, same / n, None, f"both said {first[0]} every time")
    return Agreement(n, same / n, (same * n - chance) / (n * n - chance))
