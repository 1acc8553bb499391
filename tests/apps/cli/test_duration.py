"""A length of time on the command line."""

from __future__ import annotations

import click
import pytest

from mien.apps.cli.parameters import Duration


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("9m", 540), ("1.5h", 5400), ("0.5", 0.5)])
def test_a_duration_has_a_unit_or_is_in_seconds(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "9 m", "-3m", "m", "1:30", "9d"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"expected a time such as 90s, 9m or 1\.5h"):
        Duration().convert(text, None, None)
