"""The video player: the picture with boxes and bars that follow it, and a timeline that leads it."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from streamlit.runtime import get_instance

from mien.apps.live.parts import FOLDER, join_scripts
from mien.apps.web.cards import describe_track, track_title
from mien.apps.web.video_reading import Video
from mien.reading.history import History, Track
from mien.reading.results import Row
from mien.reading.summary import TrackSummary
from mien.reading.timeline import mean_by_column, shown_by_column

COLUMNS, MOST_LANES = 480, 8
"""Of a lane, and lanes: the faces seen longest."""
MOST_FACES = 6000
"""Faces whose boxes and bars follow the video; of a longer one, only every so many frames."""
_HERE = Path(__file__).with_name("assets")
_TYPES = {".webm": "video/webm", ".mkv": "video/webm", ".ogv": "video/ogg"}
"""Media types by suffix; browsers take what they can play as MP4, QuickTime's files too."""


def show_player(video: Video, data: bytes) -> None:
    """The player of an analyzed video.

    Args:
        data: the video file.
    """
    component = st.components.v2.component(
        "mien_player",
        html=(_HERE / "player.html").read_text("utf-8"),
        css="\n".join([(FOLDER / "cards.css").read_text("utf-8"), (_HERE / "player.css").read_text("utf-8")]),
        js=join_scripts(_HERE / "player.js"),
    )
    found = describe_video(video)
    found["url"] = _serve(data, _TYPES.get(Path(video.name).suffix.lower(), "video/mp4"), "video")
    found["annotated_url"] = _serve(video.annotated, "video/mp4", "annotated") if video.annotated else None
    found["id"] = hashlib.sha256(repr((found["url"], found["annotated_url"], video.seconds)).encode()).hexdigest()
    component(data=found, key="player")


def _serve(data: bytes, kind: str, place: str) -> str:
    """The address of a file in memory, for as long as this page shows it; a browser reads parts of it to jump."""
    url: str = get_instance().media_file_mgr.add(data, kind, f"mien-player-{place}")
    return url


def describe_video(video: Video) -> dict[str, Any]:
    """What the player draws: a lane a face, the faces of each frame, and the intervals."""
    history = video.history
    begin_s, end_s = span_of(history)
    summaries = {summary.track_id: summary for summary in video.summary().tracks}
    # The faces seen longest, then in the order of their numbers.
    tracks = sorted(history.tracks(), key=lambda track: -track.seconds.sum())[:MOST_LANES]
    edges = np.linspace(begin_s, end_s, COLUMNS + 1)
    return {
        "labels": list(history.labels),
        "width": video.width,
        "height": video.height,
        "begin_s": begin_s,
        "end_s": end_s,
        "tracks": [
            _describe_lane(track, summaries[track.track_id], history, edges)
            for track in sorted(tracks, key=lambda track: track.track_id)
        ],
        "steps": _steps(list(video.rows), history.labels),
        "episodes": [
            (
                entry.track_id,
                round(entry.start_s, 3),
                round(entry.end_s, 3),
                entry.label,
                round(entry.mean_confidence, 3),
            )
            for entry in video.episodes()
        ],
    }


def span_of(history: History) -> tuple[float, float]:
    """Start and end, seconds."""
    times_s = history.times_s
    begin_s, end_s = float(times_s[0]), float(times_s[-1] + history.seconds[-1])
    # A single frame has no duration, and an axis needs one.
    return begin_s, end_s if end_s > begin_s else begin_s + 1.0


def _describe_lane(track: Track, found: TrackSummary, history: History, edges: Any) -> dict[str, Any]:
    """A lane: its words, and for each column the label shown (-1 for not sure) with the probabilities in thousandths;
    None where the face was not there."""
    means, covered = mean_by_column(track, edges)
    shown = shown_by_column(track, edges)
    columns = [
        [int(shown[column]), *np.rint(1000 * means[column]).astype(int).tolist()] if covered[column] else None
        for column in range(COLUMNS)
    ]
    return {"title": track_title(found), "words": describe_track(found), "columns": columns}


def _steps(rows: Sequence[Row], labels: Sequence[str]) -> list[Any]:
    """The faces of each frame, frames in order: time, then number, box, label, whether not sure, probabilities in
    thousandths, valence, arousal and intensity."""
    frames: dict[int, Any] = {}
    every = math.ceil(max(len(rows), 1) / MOST_FACES)
    places = {frame: place for place, frame in enumerate(Counter(row["frame"] for row in rows))}
    for row in rows:
        if places[row["frame"]] % every:
            continue
        step = frames.setdefault(row["frame"], (row["time_s"], []))
        if row["success"]:
            box = [round(row[name], 1) for name in ("x", "y", "width", "height")]
            number = row["face"] + 1 if row["track_id"] is None else row["track_id"]
            affect = [row.get(name) for name in ("valence", "arousal", "intensity")]
            thousandths = [round(1000 * row[label]) for label in labels]
            step[1].append([number, *box, list(labels).index(row["top"]), int(row["abstained"]), thousandths, *affect])
    return list(frames.values())
