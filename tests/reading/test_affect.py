"""Valence, arousal and intensity: by the words, in results, smoothed, over time, and as a picture."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeDetector
from made_up import make_face, make_result

from mien.errors import ConfigError
from mien.labels import CROWD, SEVEN
from mien.reading.affect import ANNOTATORS, CIRCUMPLEX, RESIDUAL, AffectSmoother, estimate_affect, to_affect
from mien.reading.circumplex import DARK, LIGHT, Panel, draw_plot
from mien.reading.classifier import load_model
from mien.reading.drawing import PALETTE
from mien.reading.history import History
from mien.reading.pipeline import Pipeline
from mien.reading.results import Result, Results
from mien.reading.summary import summarize
from mien.reading.thresholds import find_all_beyond, parse_threshold
from mien.reading.track_circumplex import draw_history
from mien.sinks import create_sink
from mien.structures import Affect, Face

PICTURE = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
SQUARE = PICTURE[:48, :48]


def test_a_word_that_all_choose_is_its_own_place() -> None:
    found = estimate_affect(np.eye(8, dtype=np.float32), CROWD)
    np.testing.assert_allclose(found[:, :2], [CIRCUMPLEX[word] for word in CROWD], atol=1e-6)
    assert found[:, 2].tolist() == [0, 1, 1, 1, 1, 1, 1, 1]
    np.testing.assert_allclose(found[:, 3:5], [RESIDUAL] * 8, atol=1e-3)


def test_values_are_the_mean_of_the_words_and_less_certain_where_they_differ() -> None:
    shares = np.float32([[0.5, 0.5, 0, 0, 0, 0, 0, 0]])
    valence, arousal, intensity, valence_sd, _, intensity_sd = estimate_affect(shares, CROWD)[0].tolist()
    neutral, happy = CIRCUMPLEX["neutral"], CIRCUMPLEX["happy"]
    assert (valence, arousal) == pytest.approx(((neutral[0] + happy[0]) / 2, (neutral[1] + happy[1]) / 2))
    assert intensity == pytest.approx(0.5)
    # Of two values with half of the shares each, the variance is a quarter of their squared distance.
    spread = (happy[0] - neutral[0]) ** 2 / 4
    assert valence_sd == pytest.approx(math.sqrt(RESIDUAL[0] ** 2 + spread / ANNOTATORS))
    assert intensity_sd == pytest.approx(math.sqrt(0.25 / ANNOTATORS))


def test_a_model_without_a_word_for_neutral_has_no_intensity() -> None:
    row = estimate_affect(np.float32([[0.25, 0.75]]), ("happy", "sad"))[0]
    affect = to_affect(row.tolist(), "own")
    assert affect is not None
    assert affect.intensity is None
    assert affect.intensity_sd is None
    assert affect.valence == pytest.approx(0.25 * 0.496 - 0.75 * 0.546)
    assert to_affect([math.nan] * 6, "own") is None


def test_balance_and_labels_change_what_is_shown_and_not_where_a_face_is() -> None:
    model = load_model("mien-xs")
    faces = [
        Pipeline(model, detector="none", balance=balance, labels=labels, head=head).analyze(SQUARE)[0]
        for balance, labels, head in ((0.0, "eight", None), (0.9, "seven", None), (None, "seven", "fer2013"))
    ]
    assert len({face.confidence for face in faces}) == 3
    assert {face.affect for face in faces} == {faces[0].affect}
    shares = model.predict([SQUARE], "crowd")
    assert faces[0].intensity == pytest.approx(1 - shares[0, 0], abs=1e-6)
    assert faces[0].affect is not None
    assert faces[0].affect.source == "crowd"


def test_every_output_has_the_same_values(toy_artifact: Path, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    result = Pipeline(load_model(toy_artifact), detector=FakeDetector((10, 10, 60, 60))).analyze(PICTURE)
    values = result[0].to_dict()
    names = ("valence", "arousal", "intensity", "valence_sd", "arousal_sd", "intensity_sd")
    assert all(isinstance(values[name], float) for name in names)
    assert values["affect_source"] == "crowd"
    frame = result.to_df()
    assert [float(frame[name][0]) for name in names] == [values[name] for name in names]
    for ending in (".csv", ".jsonl"):
        with create_sink(tmp_path / f"rows{ending}", SEVEN) as sink:
            sink.write(result)
    (row,) = csv.DictReader((tmp_path / "rows.csv").read_text().splitlines())
    assert [float(row[name]) for name in names] == [values[name] for name in names]
    line = json.loads((tmp_path / "rows.jsonl").read_text())
    assert {name: line[name] for name in (*names, "affect_source")} == {
        name: values[name] for name in (*names, "affect_source")
    }


def test_a_face_without_values_has_empty_cells() -> None:
    pytest.importorskip("pandas")
    frame = Results([make_result(0, [make_face()])]).to_df()
    assert frame["valence"].isna().all()
    assert make_face().to_dict()["valence"] is None


def test_smoothing_has_a_time_constant_and_forgets() -> None:
    smoother = AffectSmoother(smooth_s=0.5)
    calm, excited = Affect(0.0, -1.0, 0.0, 0.1, 0.1, 0.1), Affect(0.0, 1.0, None, 0.1, 0.1, 0.1)
    for step in range(100):
        smoother.update(1, calm, step / 10)
    after = smoother.update(1, excited, 9.9 + 0.5)
    assert after is not None
    assert after.arousal == pytest.approx(1 - 2 * math.exp(-1), abs=1e-6)
    assert after.intensity is None
    smoother.forget([1])
    assert smoother.update(1, excited, 11.0) == excited
    assert AffectSmoother(smooth_s=0).update(1, excited, 0.0) == excited


def _history(*valences: float | None, rate_hz: float = 10.0) -> History:
    history = History(SEVEN)
    for index, valence in enumerate(valences):
        affect = None if valence is None else Affect(valence, 0.2, 0.75)
        history.add(make_result(index, [replace(make_face(), affect=affect)], rate_hz=rate_hz))
    return history


def test_the_summary_has_mean_and_range() -> None:
    (track,) = summarize(_history(-0.5, -0.1, 0.3), "clip").tracks
    assert track.affect["valence"].mean == pytest.approx(-0.1, abs=1e-6)
    assert (track.affect["valence"].low, track.affect["valence"].high) == pytest.approx((-0.5, 0.3))
    assert summarize(_history(None, None), "clip").tracks[0].affect == {}


def test_a_history_from_rows_is_the_same(tmp_path: Path) -> None:
    results = [make_result(i, [replace(make_face(), affect=Affect(v, 0.2, 0.75))]) for i, v in enumerate((-0.5, 0.3))]
    with create_sink(tmp_path / "rows.jsonl", SEVEN, moving=True) as sink:
        for result in results:
            sink.write(result)
    history = History(SEVEN)
    for line in (tmp_path / "rows.jsonl").read_text().splitlines():
        history.add_row(json.loads(line))
    np.testing.assert_array_equal(next(history.tracks()).affect, next(_history(-0.5, 0.3).tracks()).affect)


def test_intervals_beyond_a_threshold() -> None:
    history = _history(0.0, -0.4, -0.4, -0.6, 0.0, 0.0, None, -0.5, -0.5, -0.5, rate_hz=5.0)
    thresholds = [parse_threshold("valence < -0.3"), parse_threshold("intensity>0.9")]
    found = find_all_beyond(history, thresholds)
    assert [(round(i.start_s, 3), round(i.end_s, 3), i.label) for i in found] == [
        (0.2, 0.8, "valence < -0.3"), (1.4, 2.0, "valence < -0.3"),
    ]  # fmt: skip
    assert found[0].mean_value == pytest.approx(-1.4 / 3, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [("joy>0.3", "is no threshold"), ("valence=0.3", "is no threshold"), ("valence<", "is no threshold"),
     ("intensity<-0.3", "intensity is from 0 to 1"), ("arousal>1.5", "arousal is from -1 to 1")],
)  # fmt: skip
def test_a_threshold_that_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_threshold(text)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_plot_shows_a_point_in_its_place_and_colour(theme: object) -> None:
    points = np.float32([[0.5, 0.5], [math.nan, 0]])
    image = draw_plot(Panel("", points, np.uint8([PALETTE["happy"], PALETTE["sad"]])), 400, theme)  # type: ignore[arg-type]
    assert image.shape == (400, 400, 3)
    assert tuple(image[200 - 94, 200 + 94]) == PALETTE["happy"]
    assert not (image == PALETTE["sad"]).all(axis=2)[:, 200:].any()


def test_a_video_without_a_face_has_a_plot_too() -> None:
    assert draw_history(History(SEVEN), "no_face.mp4").ndim == 3
    assert draw_history(_history(0.1, None), "clip.mp4").ndim == 3


def test_faces_of_a_photo_on_one_plot() -> None:
    faces = [replace(make_face(), affect=Affect(0.4, 0.1, 1.0, 0.1, 0.2, 0.1), index=i) for i in range(2)]
    with_faces, without = (
        Result("a.jpg", None, f).plot_circumplex(dark=True) for f in (faces, [Face((0, 0, 1, 1), 1.0, {"happy": 1.0})])
    )
    assert (with_faces != without).any()
