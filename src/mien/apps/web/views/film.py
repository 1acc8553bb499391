"""Reading a film on a page: settings, progress that can be stopped, and what came of it."""

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
from mien.apps.web.cards import counted, escape_markdown, inline_picture, legend, percent, plain_table
from mien.apps.web.charts import chart_track, describe_track, track_title
from mien.apps.web.film_reading import MARKED_PX, MOST_FRAMES, Film, Wishes, create_film, read_film
from mien.apps.web.reading import mark_frame, stem
from mien.apps.web.views.settings import ask_settings
from mien.images.pictures import encode
from mien.reading.pipeline import Pipeline
from mien.reading.results import Result
from mien.reading.timeline import clock, draw_timeline
from mien.sinks.intervals import EpisodesOf, elan_document, intervals_csv

RATES: dict[str, float | None] = {
    "Automatic": None, "Every frame": 0.0, "10 a second": 10.0, "5 a second": 5.0, "2 a second": 2.0,
    "1 a second": 1.0,
}  # fmt: skip
TOLD_EVERY_S, SHOWN_EVERY_S = 0.2, 1.0
LIVE_PX = 640
MOST_CHARTS = 8

Download = tuple[str, Callable[[], str | bytes], str, str]
"""Its name on the button, what makes it, the file's name and kind."""


def show_film_reader(upload: UploadedFile) -> None:
    """Settings and a button for a film, then what came of it."""
    name = upload.name
    settings = ask_settings("film")
    left, right = st.columns(2, vertical_alignment="bottom")
    with left:
        rate = st.selectbox(
            "Frames", list(RATES), key=session.key("film-rate"),
            help=f"Automatic reads every frame, and fewer of films that have more than {MOST_FRAMES:,}.",
        )  # fmt: skip
    with right:
        annotate = st.checkbox(
            "Make an annotated film too", key=session.key("film-annotate"),
            help=f"MP4 with its sound, up to {MARKED_PX} pixels; takes about twice as long.",
        )  # fmt: skip
    wishes = Wishes(RATES[rate], annotate)
    place = (upload.file_id, name)
    if st.button("Read the film", type="primary", icon=":material/play_arrow:", key=session.key("film-read")):
        pipeline = Pipeline(
            session.load(session.choice().reference), labels=settings.labels, head=session.choice().head,
            min_confidence=settings.threshold, balance=settings.balance,
        )  # fmt: skip
        # Kept before it is read: a stop ends this run of the script wherever it is.
        st.session_state.film = (place, create_film(name, pipeline))
        _read(upload.getvalue(), st.session_state.film[1], pipeline, wishes)
    kept = st.session_state.get("film")
    if kept and kept[0] == place:
        show_film(kept[1])


def _read(data: bytes, film: Film, pipeline: Pipeline, wishes: Wishes) -> None:
    """Read it, and tell how it goes; the button's click makes Streamlit run the script anew, which ends this one."""
    place = st.empty()
    with place.container():
        bar = st.progress(0.0, text="Opening the film")
        st.button("Stop reading", icon=":material/stop:", key=session.key("film-stop"))
        live = st.empty()
    told_s = shown_s = 0.0
    with contextlib.closing(read_film(data, film, pipeline, wishes)) as results:
        for result in results:
            now_s = time.perf_counter()
            if now_s - told_s >= TOLD_EVERY_S:
                told_s = now_s
                bar.progress(film.progress, text=_progress(film))
            if now_s - shown_s >= SHOWN_EVERY_S:
                shown_s = now_s
                live.html(inline_picture(_live(result), "The newest frame with its faces marked", 480))
    place.empty()


def _progress(film: Film) -> str:
    total = f" of {clock(film.duration_s)}" if film.duration_s else ""
    return f"{clock(film.time_s)}{total}, {counted(film.frames, 'frame')}, {film.speed_hz:.0f} frames a second"


def _live(result: Result) -> bytes:
    assert result.frame is not None
    return encode(mark_frame(result.frame.image, result.faces, LIVE_PX), "jpeg", quality=80)


def show_film(film: Film) -> None:
    """What came of a film."""
    if film.trouble:
        st.error(escape_markdown(film.trouble), icon=":material/broken_image:")
    if not film.frames:
        if not film.trouble:
            st.warning("Stopped before its first frame.")
        return
    if not film.complete and not film.trouble:
        st.warning(f"Stopped at {clock(film.time_s, decimals=1)}: what was read until then stands.")
    _show_figures(film)
    if film.previews:
        _show_previews(film)
    if any(True for _ in film.history.tracks()):
        _show_tracks(film)
        _show_episodes(film)
    else:
        st.info("No face was found in any frame.", icon=":material/search_off:")
    _offer_downloads(film)


def _show_figures(film: Film) -> None:
    found = film.summary()
    with st.container(horizontal=True, gap="medium"):
        st.metric("Length read", clock(found.duration_s, decimals=1), width="content")
        st.metric("Frames", f"{film.frames:,}", width="content")
        st.metric("With a face", percent(found.frames_with_face / film.frames), width="content")
        st.metric("Faces", len(found.tracks), width="content")
        st.metric("Frames read a second", f"{film.speed_hz:.0f}", width="content")
    sampled = f"{film.rate_hz:.3g} frames a second were taken. " if film.rate_hz else ""
    st.caption(
        f"{escape_markdown(film.name)}, {film.width:,} × {film.height:,} pixels. {sampled}"
        f"Faces found by {film.detector}, read by {film.model}."
    )


def _show_previews(film: Film) -> None:
    """In rows: on a narrow screen columns stand below one another."""
    for start in range(0, len(film.previews), 3):
        for column, preview in zip(st.columns(3), film.previews[start : start + 3], strict=False):
            time_text = clock(preview.time_s, decimals=1)
            alt = f"Frame at {time_text} with {counted(preview.faces, 'face')} marked"
            column.image(preview.jpeg, caption=time_text, width="stretch", alt=alt)


def _show_tracks(film: Film) -> None:
    st.header("Over time")
    st.html(legend(film.history.labels))
    st.caption("The height of a colour is its probability; the strip below is the expression that was shown.")
    summaries = {track.track_id: track for track in film.summary().tracks}
    tracks = sorted(film.history.tracks(), key=lambda track: -track.seconds.sum())
    for track in sorted(tracks[:MOST_CHARTS], key=lambda track: track.track_id):
        found = summaries[track.track_id]
        st.markdown(f"**{track_title(found)}**")
        st.altair_chart(
            chart_track(track, film.history), width="stretch", alt=describe_track(found), key=f"track-{track.track_id}"
        )
    if len(tracks) > MOST_CHARTS:
        st.caption(f"And {counted(len(tracks) - MOST_CHARTS, 'more face')}, seen for a shorter time: see the rows.")


def _show_episodes(film: Film) -> None:
    st.header("Episodes")
    episodes = film.episodes()
    if not episodes:
        st.caption("No expression lasted long enough to count as an episode.")
        return
    st.caption("Stretches of at least 0.2 s in which a face shows one expression.")
    names = ("face", "from", "to", "lasts", "expression", "mean probability")
    lines = [
        (
            str(entry.track_id), clock(entry.start_s, decimals=1), clock(entry.end_s, decimals=1),
            f"{entry.duration_s:.1f} s", entry.label, percent(entry.mean_confidence),
        )
        for entry in episodes
    ]  # fmt: skip
    with st.container(height=360 if len(lines) > 8 else "content", border=False):
        st.html(plain_table(names, lines, numbers=("from", "to", "lasts", "mean probability")))


def _offer_downloads(film: Film) -> None:
    st.header("Take away")
    name = stem(film.name)
    episodes: EpisodesOf = {film.name: film.episodes()}
    files: list[Download] = [
        ("Rows, CSV", film.rows.to_csv, f"{name}-rows.csv", "text/csv"),
        ("Rows, JSON Lines", film.rows.to_json_lines, f"{name}-rows.jsonl", "application/x-ndjson"),
        *_parquet(film, name),
        ("Episodes, CSV", partial(intervals_csv, episodes), f"{name}-episodes.csv", "text/csv"),
        # A name that no file here has: ELAN's document would say where it lies.
        (
            "Episodes, ELAN",
            partial(elan_document, {f"upload:{name}": film.episodes()}),
            f"{name}.eaf",
            "application/xml",
        ),
        ("Summary, JSON", partial(_summary, film), f"{name}-summary.json", "application/json"),
        ("Timeline, PNG", partial(_timeline, film), f"{name}-timeline.png", "image/png"),
    ]
    if film.marked:
        files.append(("Annotated film", lambda: film.marked, f"{name}-marked.mp4", "video/mp4"))
    with st.container(horizontal=True):
        for label, make, file_name, mime in files:
            st.download_button(
                label, make, file_name, mime, on_click="ignore", icon=":material/download:", key=f"film-{file_name}"
            )


def _parquet(film: Film, name: str) -> list[Download]:
    if find_spec("pyarrow") is None:
        return []
    return [("Rows, Parquet", film.rows.to_parquet, f"{name}-rows.parquet", "application/vnd.apache.parquet")]


def _summary(film: Film) -> str:
    episodes = [asdict(entry) for entry in film.episodes()]
    return json.dumps(film.summary().to_dict() | {"episodes": episodes}, ensure_ascii=False, indent=2) + "\n"


def _timeline(film: Film) -> bytes:
    return encode(draw_timeline(film.history, film.name), "png")
