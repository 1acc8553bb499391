from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up import make_face, make_result, make_video

from mien.labels import EIGHT, SEVEN
from mien.reading.drawing import PALETTE, UNSURE
from mien.reading.history import History
from mien.reading.results import Result
from mien.reading.timeline import clock, draw_timeline, mean_by_column


def recorded(results: list[Result]) -> History:
    history = History(SEVEN)
    for result in results:
        history.add(result)
    return history


def test_the_mean_of_a_column_is_over_time() -> None:
    (track,) = recorded(make_video("happy", "sad", None, None, "sad")).tracks()
    means, covered = mean_by_column(track, np.array([0.0, 0.1, 0.15, 0.25, 0.3, 0.4, 0.5]))
    happy = SEVEN.index("happy")
    assert covered.tolist() == [True, True, True, False, False, True]
    assert means[[0, 1, 2, 5], happy] == pytest.approx([0.7, 0.05, 0.05, 0.05])
    halves, _ = mean_by_column(track, np.array([0.05, 0.15]))
    assert halves[0, happy] == pytest.approx((0.7 + 0.05) / 2)


def test_colours_show_what_when() -> None:
    image = draw_timeline(recorded(make_video("happy", "sad", None, "surprise")), "clip.mp4")
    lane = image[150, 196:1400]
    assert [tuple(lane[x].tolist()) for x in (150, 450, 1050)] == [PALETTE[n] for n in ("happy", "sad", "surprise")]
    assert tuple(lane[750].tolist()) not in PALETTE.values()


def test_the_strip_is_grey_where_the_face_abstained() -> None:
    unsure = replace(make_face("happy"), abstained=True)
    image = draw_timeline(recorded([make_result(0, [make_face("happy")]), make_result(1, [unsure])]), "a")
    strip = image[204, 196:1400]
    assert [tuple(strip[x].tolist()) for x in (300, 900)] == [PALETTE["happy"], UNSURE]


def test_more_faces_than_lanes() -> None:
    crowd = [make_result(i, [make_face(track_id=n) for n in range(1, 21)]) for i in range(3)]
    twelve = [make_result(i, [make_face(track_id=n) for n in range(1, 13)]) for i in range(3)]
    assert draw_timeline(recorded(crowd), "a").shape == draw_timeline(recorded(twelve), "a").shape


@pytest.mark.parametrize("labels", [(), (None, None), ("happy",), ("happy", None)])
@pytest.mark.parametrize("title", ["", "größe.mp4", "x" * 500])
def test_hardly_anything_to_draw(labels: tuple[str | None, ...], title: str) -> None:
    image = draw_timeline(recorded(make_video(*labels)), title)
    assert (image.shape[1:], image.dtype) == ((1440, 3), np.uint8)


def test_eight_labels_have_room() -> None:
    head = draw_timeline(History(EIGHT), "a")[67:82]
    swatches = [x for x in range(1, head.shape[1]) if tuple(head[7, x].tolist()) == PALETTE["contempt"]]
    # The last word of the legend ends before the note at the right begins.
    assert swatches
    blank = (head[:, swatches[-1] + 8 :] == 255).all(axis=(0, 2))
    gaps = np.diff(np.flatnonzero(~blank))
    assert gaps.max() > 20


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3600, "1:00:00"), (-1, "0:00")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
