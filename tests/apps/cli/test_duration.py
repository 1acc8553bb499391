"""A length of time on the command line."""

from __future__ import annotations

import click
import pytest

from mien.apps.cli.parameters import parse_duration

CONTEXT, OPTION = click.Context(click.Command("train")), click.Option(["--time-limit"])


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("9m", 540), ("1h30m", 5400)])
def test_a_duration_has_a_unit_or_is_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(CONTEXT, OPTION, text) == seconds
    assert parse_duration(CONTEXT, OPTION, None) is None


@pytest.mark.parametrize("text", ["", "0", "9 m", "-3m", "m", "1:30", "9d"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected something like 90s, 9m or 1h30m"):
        parse_duration(CONTEXT, OPTION, text)
