"""The page for videos: settings, an analysis that can be stopped, and its result over time."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from mien.apps.web import session
from mien.apps.web.cards import (
    PRIVACY,
    chart_track,
    counted,
    describe_track,
    escape_markdown,
    inline_image,
    legend,
    plain_table,
    track_title,
)
from mien.apps.web.circumplex import track_circumplex
from mien.apps.web.reading import annotate_frame, as_sentences, stem
from mien.apps.web.session import ask_settings, offer
from mien.apps.web.video_reading import ANNOTATED_PX, MOST_FRAMES, Video, VideoOptions, create_video, read_video
from mien.images.pictures import encode
from mien.labels import percent
from mien.reading.pipeline import Pipeline
from mien.reading.results import Result
from mien.reading.timeline import clock, draw_timeline
from mien.reading.track_circumplex import draw_history
from mien.sinks.intervals import elan_document, intervals_csv, text_grid
from mien.sources.container import VIDEO_SUFFIXES


def show() -> None:
    """The page."""
    st.title("What do these faces show over time?")
    st.html(PRIVACY)
    upload = st.file_uploader(
        "Drop a video here", type=sorted(suffix.removeprefix(".") for suffix in VIDEO_SUFFIXES),
        key=session.key("video"),
        help="A temporary file holds it during the analysis and is deleted at the end, also if you stop.",
    )  # fmt: skip
    if upload is None:
        st.caption("MP4, MOV, MKV, WebM, AVI, animated GIF and more. A face keeps its number while it is visible.")
        return
    show_video_reader(upload)


RATES: dict[str, float | None] = {
    "Automatic": None, "Every frame": 0.0, "10 per second": 10.0, "5 per second": 5.0, "2 per second": 2.0,
    "1 per second": 1.0,
}  # fmt: skip
REPORT_S, SHOW_S = 0.2, 1.0
LIVE_PX = 640
MOST_CHARTS = 8

Download = tuple[str, Callable[[], str | bytes], str, str]
"""The button's text, what makes the file, its name and media type."""


def show_video_reader(upload: UploadedFile) -> None:
    """Settings and a button for a video, then its result."""
    name = upload.name
    settings = ask_settings("video")
    left, right = st.columns(2, vertical_alignment="bottom")
    with left:
        rate = st.selectbox(
            "Frames", list(RATES), key=session.key("video-rate"),
            help=f"Automatic analyzes every frame, or fewer if there are more than {MOST_FRAMES:,}.",
        )  # fmt: skip
    with right:
        annotate = st.checkbox(
            "Make an annotated video", key=session.key("video-annotate"),
            help=f"MP4 with sound, up to {ANNOTATED_PX} pixels; takes about twice as long.",
        )  # fmt: skip
    options = VideoOptions(RATES[rate], annotate)
    place = (upload.file_id, name)
    if st.button("Analyze video", type="primary", icon=":material/play_arrow:", key=session.key("video-read")):
        pipeline = Pipeline(
            session.load(session.choice().reference), labels=settings.labels, head=session.choice().head,
            min_confidence=settings.threshold, balance=settings.balance, geometry=settings.geometry,
        )  # fmt: skip
        # Kept before the analysis: a stop ends this run of the script at any point.
        st.session_state.video = (place, create_video(name, pipeline))
        _read(upload.getvalue(), st.session_state.video[1], pipeline, options)
    kept = st.session_state.get("video")
    # Another file was dropped since: its predecessor's result would mislead.
    if kept and kept[0] == place:
        show_video(kept[1])


def _read(data: bytes, video: Video, pipeline: Pipeline, options: VideoOptions) -> None:
    """Analyze it and show the progress; clicking the button makes Streamlit rerun the script, which ends this run."""
    place = st.empty()
    with place.container():
        bar = st.progress(0.0, text="Opening the video")
        st.button("Stop analysis", icon=":material/stop:", key=session.key("video-stop"))
        live = st.empty()
    reported_s = shown_s = 0.0
    with contextlib.closing(read_video(data, video, pipeline, options)) as results:
        for result in results:
            now_s = time.perf_counter()
            # Not with every frame: each update is a message to the browser.
            if now_s - reported_s >= REPORT_S:
                reported_s = now_s
                bar.progress(video.progress, text=_progress(video))
            if now_s - shown_s >= SHOW_S:
                shown_s = now_s
                live.html(inline_image(_render(result), "The latest frame, annotated", 480))
    place.empty()


def _progress(video: Video) -> str:
    total = f" of {clock(video.duration_s)}" if video.duration_s else ""
    return f"{clock(video.time_s)}{total}, {counted(video.frames, 'frame')}, {video.speed_hz:.0f} frames per second"


def _render(result: Result) -> bytes:
    assert result.frame is not None
    return encode(annotate_frame(result.frame.image, result.faces, LIVE_PX), "jpeg", quality=80)


def show_video(video: Video) -> None:
    """The result of a video."""
    if video.trouble:
        st.error(escape_markdown(video.trouble), icon=":material/broken_image:")
    if not video.frames:
        if not video.trouble:
            st.warning("Stopped before the first frame.")
        return
    if video.notices:
        st.warning(escape_markdown(as_sentences(video.notices)), icon=":material/info:")
    if not video.complete and not video.trouble:
        st.warning(f"Stopped at {clock(video.time_s, decimals=1)}; the results up to there are below.")
    _show_figures(video)
    if video.previews:
        _show_previews(video)
    if any(True for _ in video.history.tracks()):
        _show_tracks(video)
        _show_episodes(video)
    else:
        st.info("No face found in any frame.", icon=":material/search_off:")
    _offer_downloads(video)


def _show_figures(video: Video) -> None:
    found = video.summary()
    with st.container(horizontal=True, gap="medium"):
        st.metric("Duration", clock(found.duration_s, decimals=1), width="content")
        st.metric("Frames", f"{video.frames:,}", width="content")
        st.metric("With a face", percent(found.frames_with_face / video.frames), width="content")
        st.metric("Faces", len(found.tracks), width="content")
        st.metric("Frames per second", f"{video.speed_hz:.0f}", width="content")
    sampled = f"{video.rate_hz:.3g} frames per second were analyzed. " if video.rate_hz else ""
    st.caption(
        f"{escape_markdown(video.name)}, {video.width:,} × {video.height:,} pixels. {sampled}"
        f"Detector {video.detector}; model {video.model}."
    )


def _show_previews(video: Video) -> None:
    """Show preview frames in rows: on a narrow screen the columns are stacked."""
    for start in range(0, len(video.previews), 3):
        for column, preview in zip(st.columns(3), video.previews[start : start + 3], strict=False):
            time_text = clock(preview.time_s, decimals=1)
            alt = f"Frame at {time_text} with {counted(preview.faces, 'face')}"
            column.image(preview.jpeg, caption=time_text, width="stretch", alt=alt)


def _show_tracks(video: Video) -> None:
    st.header("Over time")
    st.html(legend(video.history.labels))
    st.caption(
        "The height of a color is its probability; the strip below is the label shown. In the circle is where people "
        "would put the face: pleasant to the right, excited above; the ring is the average."
    )
    summaries = {track.track_id: track for track in video.summary().tracks}
    # The faces seen longest, then in the order of their numbers.
    tracks = sorted(video.history.tracks(), key=lambda track: -track.seconds.sum())
    for track in sorted(tracks[:MOST_CHARTS], key=lambda track: track.track_id):
        found = summaries[track.track_id]
        st.markdown(f"**{track_title(found)}**")
        left, right = st.columns([4, 1], vertical_alignment="center")
        left.altair_chart(
            chart_track(track, video.history), width="stretch", alt=describe_track(found), key=f"track-{track.track_id}"
        )
        right.html(track_circumplex(track, video.history.labels) or "&nbsp;")
    if len(tracks) > MOST_CHARTS:
        st.caption(f"And {counted(len(tracks) - MOST_CHARTS, 'more face')} with less time on screen: see the rows.")


def _show_episodes(video: Video) -> None:
    st.header("Expression intervals")
    episodes = video.episodes()
    if not episodes:
        st.caption("No expression lasted long enough to count.")
        return
    st.caption("Times of at least 0.2 s during which a face shows one expression.")
    names = ("face", "from", "to", "duration", "expression", "mean confidence")
    lines = [
        (
            str(entry.track_id), clock(entry.start_s, decimals=1), clock(entry.end_s, decimals=1),
            f"{entry.duration_s:.1f} s", entry.label, percent(entry.mean_confidence),
        )
        for entry in episodes
    ]  # fmt: skip
    with st.container(height=360 if len(lines) > 8 else "content", border=False):
        st.html(plain_table(names, lines, numbers=("from", "to", "duration", "mean confidence")))


def _offer_downloads(video: Video) -> None:
    st.header("Downloads")
    name = stem(video.name)
    episodes = video.episodes()
    files: list[Download] = [
        ("Rows, CSV", video.rows.to_csv, f"{name}-rows.csv", "text/csv"),
        ("Rows, JSON Lines", video.rows.to_json_lines, f"{name}-rows.jsonl", "application/x-ndjson"),
        ("Intervals, CSV", partial(intervals_csv, {video.name: episodes}), f"{name}-episodes.csv", "text/csv"),
        # Not a path: ELAN's document would name the folder of a file.
        ("Intervals, Praat", partial(text_grid, {name: episodes}), f"{name}.TextGrid", "text/plain"),
        ("Intervals, ELAN", partial(elan_document, {f"upload:{name}": episodes}), f"{name}.eaf", "application/xml"),
        ("Summary, JSON", partial(_summary, video), f"{name}-summary.json", "application/json"),
        (
            "Timeline, PNG",
            lambda: encode(draw_timeline(video.history, video.name), "png"),
            f"{name}-timeline.png",
            "image/png",
        ),
        (
            "Circumplex, PNG",
            lambda: encode(draw_history(video.history, video.name), "png"),
            f"{name}-circumplex.png",
            "image/png",
        ),
    ]
    if find_spec("pyarrow"):
        parquet = ("Rows, Parquet", video.rows.to_parquet, f"{name}-rows.parquet", "application/vnd.apache.parquet")
        files.insert(2, parquet)
    # Too large a video is not kept, see `video_reading`.
    if video.annotated:
        files.append(("Annotated video", lambda: video.annotated, f"{name}-annotated.mp4", "video/mp4"))
    with st.container(horizontal=True):
        for label, make, file_name, mime in files:
            offer(label, make, file_name, mime, key=f"video-{file_name}")


def _summary(video: Video) -> str:
    episodes = [asdict(entry) for entry in video.episodes()]
    return json.dumps(video.summary().to_dict() | {"episodes": episodes}, ensure_ascii=False, indent=2) + "\n"
