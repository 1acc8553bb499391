"""The page for videos: settings, an analysis that can be stopped, and its result over time."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec

import streamlit as st

from mien.apps.web import example_clip, session
from mien.apps.web.cards import (
    PRIVACY,
    counted,
    escape_markdown,
    inline_image,
    legend,
)
from mien.apps.web.circumplex import track_circumplex
from mien.apps.web.player import MOST_LANES, show_player
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


def show() -> None:
    """The page."""
    st.title("What do these faces show over time?")
    st.html(PRIVACY)
    upload = st.file_uploader(
        "Drop a video here: MP4, MOV, MKV, WebM, AVI, animated GIF and more", key=session.key("video"),
        help="A temporary file holds it during the analysis and is deleted at the end, also if you stop.",
    )  # fmt: skip
    if upload is not None:
        show_video_reader(Clip(upload.name, upload.getvalue(), upload.file_id))
    elif st.session_state.get(session.key("video-example")):
        show_video_reader(Clip(example_clip.NAME, _example(), example_clip.NAME))
    else:
        st.caption("Nothing at hand? Try an example: eight seconds over two portraits, made on the spot.")
        st.button(
            "Example video", icon=":material/movie:", key=session.key("try-video"), on_click=_choose_example
        )  # fmt: skip


@dataclass(frozen=True)
class Clip:
    """A video to analyze; its `id` tells it from another one of the same name."""

    name: str
    data: bytes
    id: str


def _choose_example() -> None:
    st.session_state[session.key("video-example")] = True
    st.session_state.start_video = True


@st.cache_resource(show_spinner="Making the example")
def _example() -> bytes:
    return example_clip.make_clip()


RATES: dict[str, float | None] = {
    "Automatic": None, "Every frame": 0.0, "10 per second": 10.0, "5 per second": 5.0, "2 per second": 2.0,
    "1 per second": 1.0,
}  # fmt: skip
REPORT_S, SHOW_S = 0.2, 1.0
LIVE_PX = 640
SHOWN_FILES = 3

Download = tuple[str, Callable[[], str | bytes], str, str]
"""The button's text, what makes the file, its name and media type."""


def show_video_reader(clip: Clip) -> None:
    """Settings and a button for a video, then its result."""
    name = clip.name
    settings, more = ask_settings("video")
    with more:
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
    place = (clip.id, name)
    asked = st.button("Analyze video", type="primary", icon=":material/play_arrow:", key=session.key("video-read"))
    if st.session_state.pop("start_video", False) or asked:
        pipeline = Pipeline(
            session.load(session.choice().reference), labels=settings.labels, head=session.choice().head,
            min_confidence=settings.threshold, balance=settings.balance, geometry=settings.geometry,
        )  # fmt: skip
        # Kept before the analysis: a stop ends this run of the script at any point.
        st.session_state.video = (place, create_video(name, pipeline))
        _read(clip.data, st.session_state.video[1], pipeline, options)
    kept = st.session_state.get("video")
    # Another file was dropped since: its predecessor's result would mislead.
    if kept and kept[0] == place:
        show_video(kept[1], clip.data)


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


def show_video(video: Video, data: bytes) -> None:
    """The result of a video.

    Args:
        data: the video file.
    """
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
    _offer_downloads(video)
    if not any(True for _ in video.history.tracks()):
        st.info("No face found in any frame.", icon=":material/search_off:")
        return
    st.html(legend(video.history.labels))
    show_player(video, data)
    _show_circumplexes(video)
    if video.previews:
        with st.expander("Pictures", icon=":material/photo_library:"):
            _show_previews(video)


def _show_figures(video: Video) -> None:
    found = video.summary()
    with st.container(horizontal=True, gap="medium"):
        st.metric("Duration", clock(found.duration_s, decimals=1), width="content")
        st.metric("Frames", f"{video.frames:,}", width="content")
        st.metric("With a face", percent(found.frames_with_face / video.frames), width="content")
        st.metric("Faces", len(found.tracks), width="content")
        st.metric("Analyzed per second", f"{video.speed_hz:.0f}", width="content")
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


def _show_circumplexes(video: Video) -> None:
    """Where people would put each face, on average and over time."""
    tracks = sorted(video.history.tracks(), key=lambda track: -track.seconds.sum())[:MOST_LANES]
    drawings = [
        f"<figure><figcaption>Face {track.track_id}</figcaption>{drawing}</figure>"
        for track in sorted(tracks, key=lambda track: track.track_id)
        if (drawing := track_circumplex(track, video.history.labels))
    ]
    if drawings:
        st.header("Pleasant or not, calm or excited")
        st.caption(
            "Where people would put each face: a point a frame, in the color of the expression shown. The ring is "
            "the average."
        )
        st.html(f'<div class="mien-circles">{"".join(drawings)}</div>')
    left_out = len(video.summary().tracks) - MOST_LANES
    if left_out > 0:
        st.caption(f"And {counted(left_out, 'more face')} with less time on screen: see the rows.")


def _offer_downloads(video: Video) -> None:
    name = stem(video.name)
    episodes = video.episodes()
    files: list[Download] = [
        ("Rows, CSV", video.rows.to_csv, f"{name}-rows.csv", "text/csv"),
        ("Intervals, CSV", partial(intervals_csv, {video.name: episodes}), f"{name}-episodes.csv", "text/csv"),
        ("Rows, JSON Lines", video.rows.to_json_lines, f"{name}-rows.jsonl", "application/x-ndjson"),
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
        files.append(parquet)
    # Too large a video is not kept, see `video_reading`.
    if video.annotated:
        files.insert(0, ("Annotated video", lambda: video.annotated, f"{name}-annotated.mp4", "video/mp4"))
    with st.container(horizontal=True):
        for number, (label, make, file_name, mime) in enumerate(files):
            # A row of ten buttons fills a phone's screen.
            if number == SHOWN_FILES:
                more = st.popover("More files", icon=":material/download:")
            with contextlib.nullcontext() if number < SHOWN_FILES else more:
                offer(label, make, file_name, mime, key=f"video-{file_name}")


def _summary(video: Video) -> str:
    episodes = [asdict(entry) for entry in video.episodes()]
    return json.dumps(video.summary().to_dict() | {"episodes": episodes}, ensure_ascii=False, indent=2) + "\n"
