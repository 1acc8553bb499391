"""The examples in the docstrings hold."""

from __future__ import annotations

import doctest

import pytest

from mien.evaluation import calibration, intervals, metrics


@pytest.mark.parametrize("module", [calibration, intervals, metrics], ids=lambda module: module.__name__)
def test_examples(module):
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed
