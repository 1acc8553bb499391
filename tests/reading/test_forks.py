"""A pipeline in other processes: pickled, copied, forked, shared by threads."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mien.errors import ConfigError
from mien.reading.classifier import load_model
from mien.reading.pipeline import Pipeline

PICTURES = list(np.random.default_rng(5).integers(0, 256, (6, 60, 50, 3), np.uint8))


@pytest.fixture(params=["none", "haar"])
def pipeline(toy_artifact: Path, request: pytest.FixtureRequest) -> Pipeline:
    return Pipeline(toy_artifact, detector=request.param, threads=1, providers=["cpu"])


def answers(pipeline: Pipeline, pictures: Sequence[np.ndarray] = PICTURES) -> list[list[dict[str, float]]]:
    return [[face.probabilities for face in pipeline.analyze(picture)] for picture in pictures]


def test_pickled_and_copied(pipeline: Pipeline) -> None:
    expected = answers(pipeline)
    for other in (pickle.loads(pickle.dumps(pipeline)), copy.deepcopy(pipeline), copy.copy(pipeline)):
        assert other.options == pipeline.options
        assert answers(other) == expected
    model = pickle.loads(pickle.dumps(pipeline.model))
    assert model.title == pipeline.model.title
    assert np.array_equal(model.predict(PICTURES), pipeline.model.predict(PICTURES))


def test_a_pool_of_spawned_processes(pipeline: Pipeline) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        found = list(pool.map(answers, [pipeline, pipeline], [PICTURES[:3], PICTURES[3:]]))
    assert found[0] + found[1] == answers(pipeline)


def test_threads_that_share_one(pipeline: Pipeline) -> None:
    expected = answers(pipeline)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda number: answers(pipeline), range(8))) == [expected] * 8


FORKED = """
import os, sys
import numpy as np
from mien.reading.pipeline import Pipeline

pictures = np.random.default_rng(5).integers(0, 256, (6, 60, 50, 3), np.uint8)
pipeline = Pipeline(sys.argv[1], detector=sys.argv[2], threads=2)
expected = [[face.probabilities for face in pipeline.analyze(picture)] for picture in pictures]
for use in (True, False):
    child = os.fork()
    if child == 0:
        if use:
            found = [[face.probabilities for face in pipeline.analyze(picture)] for picture in pictures]
            assert found == expected
        sys.exit(7)  # through Python's own end, which destroys what it holds
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert [[face.probabilities for face in pipeline.analyze(picture)] for picture in pictures] == expected
print("done")
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize("detector", ["none", "haar"])
def test_a_fork_answers_and_ends(toy_artifact: Path, detector: str) -> None:
    # Python from 3.12 on warns of any fork beside threads.
    quiet = "ignore:This process:DeprecationWarning"
    command = [sys.executable, "-W", quiet, "-c", FORKED, str(toy_artifact), detector]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_threads_belong_to_the_model(toy_artifact: Path) -> None:
    with pytest.raises(ConfigError, match="give them to load_model"):
        Pipeline(load_model(toy_artifact), threads=2)
    with pytest.raises(ConfigError, match="unknown execution provider"):
        Pipeline(toy_artifact, providers=["tpu"])
