"""The examples in the docstrings hold."""

from __future__ import annotations

import doctest

import pytest

from mien.evaluation import agreement, calibration, compare, intervals, metrics


@pytest.mark.parametrize(
    "module", [agreement, calibration, compare, intervals, metrics], ids=lambda module: module.__name__
)
def test_examples(module):
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed
