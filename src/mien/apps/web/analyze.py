"""The page for photos: drop them, take one, or try an example."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from mien.apps.web import session
from mien.apps.web.cards import MOST_CARDS, PRIVACY, counted, describe, escape_markdown, face_cards
from mien.apps.web.gallery import GRID_FROM, show_gallery
from mien.apps.web.reading import Reading, annotated, read_photo, stem, table, to_csv, to_json, to_png, to_zip
from mien.apps.web.session import Choice, Settings, ask_settings, offer
from mien.apps.web.video import Clip, show_video_reader
from mien.images.pictures import encode, resize
from mien.images.pictures import read as read_image
from mien.labels import user_labels
from mien.sources.container import kind_of_bytes

_FOLDER = Path(__file__).parent / "examples"
EXAMPLES = {
    "Eileen Collins": _FOLDER / "astronaut.jpg",
    "Grace Hopper": _FOLDER / "grace_hopper.jpg",
}
"""By NASA and the United States Navy, in the public domain."""
FILES, CAMERA, EXAMPLE = "Files", "Camera", "Example"
MOST_PHOTOS, THUMBNAIL_PX = 32, 160


@dataclass(frozen=True)
class Photo:
    """A photo to analyze."""

    name: str
    data: bytes


def show() -> None:
    """The page."""
    st.title("What do these faces show?")
    st.html(PRIVACY)
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    # Not as a default: the examples below choose here, too, and Streamlit warns of two beginnings.
    st.session_state.setdefault(session.key("source"), FILES)
    with left:
        source = st.segmented_control("Source", [FILES, CAMERA, EXAMPLE], key=session.key("source"), required=True)
    videos: list[UploadedFile] = []
    if source == EXAMPLE:
        with right:
            photos = [_example()]
    elif source == CAMERA:
        photos = _shot()
    else:
        photos, videos = _files()
    if photos:
        _show_photos(photos)
    elif source == FILES and not videos:
        _show_examples()
    for video in videos:
        st.header(escape_markdown(video.name))
        show_video_reader(Clip(video.name, video.getvalue(), video.file_id))


def _show_examples() -> None:
    """Thumbnails on the empty page, each a click away from its result."""
    st.caption("Nothing at hand? Try an example:")
    with st.container(horizontal=True):
        for title, path in EXAMPLES.items():
            with st.container(width=THUMBNAIL_PX):
                st.image(_thumbnail(path), width="stretch", alt=f"{title}, a portrait")
                st.button(
                    title, key=session.key(f"try-{title}"), on_click=_choose_example, args=(title,), width="stretch"
                )  # fmt: skip


@st.cache_data(show_spinner=False)
def _thumbnail(path: Path) -> bytes:
    """The upper square of a portrait, JPEG."""
    image = read_image(path)
    side = min(image.shape[:2])
    left = (image.shape[1] - side) // 2
    return encode(resize(image[:side, left : left + side], 2 * THUMBNAIL_PX, 2 * THUMBNAIL_PX), "jpeg", quality=88)


def _choose_example(title: str) -> None:
    st.session_state[session.key("source")] = EXAMPLE
    st.session_state[session.key("example")] = title


def _example() -> Photo:
    st.session_state.setdefault(session.key("example"), next(iter(EXAMPLES)))
    wanted = st.pills("Which", list(EXAMPLES), required=True, key=session.key("example"))
    path = EXAMPLES[wanted or next(iter(EXAMPLES))]
    return Photo(path.name, path.read_bytes())


def _shot() -> list[Photo]:
    shot = st.camera_input("Take a photo", key=session.key("camera"))
    return [Photo("camera.jpg", shot.getvalue())] if shot else []


def _files() -> tuple[list[Photo], list[UploadedFile]]:
    """The photos and videos that were dropped."""
    files = st.file_uploader(
        "Drop photos or a video here", accept_multiple_files=True, key=session.key("files"),
        help="Photos: JPEG, PNG, WebP, BMP, TIFF or GIF. Videos: MP4, MOV, MKV, WebM, AVI and more.",
    )  # fmt: skip
    videos = [file for file in files if is_video(file.name, file.getvalue())]
    photos = _named_apart([Photo(file.name, file.getvalue()) for file in files if file not in videos])
    if len(photos) > MOST_PHOTOS:
        st.warning(f"Only the first {MOST_PHOTOS} of {len(photos)} photos are shown; `mien analyze` takes any number.")
    if len(videos) > 1:
        st.warning("Only the first video is analyzed; add the others one at a time.")
    return photos[:MOST_PHOTOS], videos[:1]


def is_video(name: str, data: bytes) -> bool:
    """Whether a file is a video by its content, as everywhere; a GIF counts as a photo.

    >>> is_video("walk.mp4", b"..."), is_video("walk.jpg", b"..."), is_video("photo.mp4", b"GIF89a")
    (True, False, False)
    """
    return kind_of_bytes(data, name, frames_of_gif=False) == "video"


def _named_apart(photos: Sequence[Photo]) -> list[Photo]:
    """The same photos with unique names."""
    seen: Counter[str] = Counter()
    found = []
    for photo in photos:
        seen[photo.name] += 1
        count = seen[photo.name]
        # Downloads find a photo by its name.
        found.append(photo if count == 1 else Photo(f"{photo.name} ({count})", photo.data))
    return found


def _show_photos(photos: Sequence[Photo]) -> None:
    settings, _ = ask_settings("analyze")
    # Above the photos, but filled when they are analyzed: nobody should have to scroll for what they came for.
    top = st.container()
    grid = len(photos) >= GRID_FROM
    readings = []
    for photo in photos:
        reading = read(photo, settings, session.choice()).judged(settings.threshold)
        # In a grid an unreadable file has no place of its own.
        if reading.error or not grid:
            show_reading(reading)
        readings.append(reading)
    good = [reading for reading in readings if not reading.error]
    if not good:
        return
    with top:
        _offer_downloads(photos, readings, user_labels(settings.labels))
    if grid:
        show_gallery(good)
    _show_table(readings, user_labels(settings.labels))
    _show_snippets(good[0].name)


def _show_snippets(name: str) -> None:
    """The same from Python, the command line, and another computer."""
    shown = name if re.fullmatch(r"[\w. -]+", name) else "photo.jpg"
    with st.expander("Use this from Python or another program", icon=":material/code:"):
        # Streamlit's colors of code have too little contrast, and what scrolls in it cannot be reached by keys.
        plain: dict[str, Any] = {"language": None, "wrap_lines": True}
        python, command, curl = st.tabs(["Python", "Command line", "curl"])
        python.code(
            f'import mien\n\nfor face in mien.analyze("{shown}"):\n'
            '    print(face.top, f"{face.confidence:.0%}", face.box)',
            **plain,
        )
        command.code(f'mien analyze "{shown}" --out faces.csv --save annotated/', **plain)
        curl.code(f'mien serve &\ncurl -F files=@"{shown}" http://127.0.0.1:8000/v1/analyze', **plain)


def read(photo: Photo, settings: Settings, choice: Choice) -> Reading:
    """The photo's reading, from memory if it was analyzed before."""
    # Without the threshold, which is applied later: moving it analyzes nothing again.
    place = (
        hashlib.sha256(photo.data).digest(),
        photo.name,
        choice,
        settings.labels,
        settings.balance,
        settings.geometry,
    )
    found = session.recall(place)
    if found is None:
        pipeline = session.pipeline(choice, settings.labels, settings.balance, settings.geometry)
        with st.spinner(f"Analyzing {photo.name}"), session.turns():
            found = read_photo(photo.data, photo.name, pipeline)
        session.remember(place, found)
    assert isinstance(found, Reading)
    return found


def show_reading(reading: Reading) -> None:
    """One photo with its faces, or why it cannot be analyzed."""
    if reading.error:
        st.error(escape_markdown(reading.error), icon=":material/broken_image:")
        return
    if reading.notice:
        st.warning(escape_markdown(reading.notice), icon=":material/info:")
    with st.container(border=True):
        if len(reading.faces) == 1:
            left, right = st.columns([3, 2], gap="medium")
        else:
            # Several cards need the whole width.
            left = right = st.container()
        with left:
            st.image(annotated(reading), width="stretch", alt=describe(reading))
            st.caption(
                f"{escape_markdown(reading.name)}, {reading.width:,} × {reading.height:,} pixels. "
                f"{counted(len(reading.faces), 'face')} found by {reading.detector}; model {reading.model}."
            )
        with right:
            if reading.faces:
                st.html(face_cards(reading))
            else:
                st.info(
                    "No face found. Faces should be at least about 40 pixels high, upright, and facing the camera.",
                    icon=":material/search_off:",
                )
        if len(reading.faces) > MOST_CARDS:
            st.caption(f"And {len(reading.faces) - MOST_CARDS} more: the table lists all.")


def _show_table(readings: Sequence[Reading], labels: tuple[str, ...]) -> None:
    with st.expander("Table", icon=":material/table:"):
        found = table(readings, labels)
        hidden = ("frame", "time_s", "track_id", "model", "detector", "success")
        first = ("source", "face", "top", "confidence", "abstained")
        order = [*first, *(name for name in found[0] if name not in (*first, *hidden))]
        st.dataframe(found, hide_index=True, column_order=order, alt="One row per face with all its figures")


def _offer_downloads(photos: Sequence[Photo], readings: Sequence[Reading], labels: tuple[str, ...]) -> None:
    good = [reading for reading in readings if not reading.error]
    name = stem(good[0].name) if len(good) == 1 else "faces"
    files = {photo.name: photo.data for photo in photos}
    with st.container(horizontal=True):
        offer("CSV", to_csv(readings, labels), f"{name}.csv", "text/csv", key="csv")
        offer("JSON", to_json(readings), f"{name}.json", "application/json", key="json")
        if len(good) == 1:
            make = partial(to_png, files[good[0].name], good[0])
            offer("Annotated photo", make, f"{name}-annotated.png", "image/png", key="png")
        else:
            make_all = partial(to_zip, files, readings)
            offer("Annotated photos", make_all, f"{name}-annotated.zip", "application/zip", key="png")
