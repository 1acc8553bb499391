"""The page for pictures: drop them, take one, or look at an example."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from mien.apps.web import session
from mien.apps.web.cards import MOST_CARDS, PRIVACY, counted, describe, escape_markdown, face_cards
from mien.apps.web.choices import Choice
from mien.apps.web.reading import Reading, marked, read_picture, stem, table, to_csv, to_json, to_png, to_zip
from mien.apps.web.views.film import show_film_reader
from mien.apps.web.views.settings import Settings, ask_settings
from mien.images.pictures import SUFFIXES
from mien.labels import user_labels
from mien.sources.container import VIDEO_SUFFIXES

_FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = {
    "Eileen Collins": _FOLDER / "astronaut.jpg",
    "Grace Hopper": _FOLDER / "grace_hopper.jpg",
}
"""By NASA and by the United States Navy, in the public domain."""
FILES, CAMERA, EXAMPLE = "Files", "Camera", "Example"
MOST_PICTURES = 32


@dataclass(frozen=True)
class Picture:
    """A picture that was given."""

    name: str
    data: bytes


def show() -> None:
    """The page."""
    st.title("What do these faces show?")
    st.html(PRIVACY)
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    with left:
        source = st.segmented_control(
            "Where from", [FILES, CAMERA, EXAMPLE], default=FILES, key=session.key("source"), required=True
        )
    films: list[UploadedFile] = []
    if source == EXAMPLE:
        with right:
            pictures = [_example()]
    elif source == CAMERA:
        pictures = _shot()
    else:
        pictures, films = _files()
    if pictures:
        _show_pictures(pictures)
    for film in films:
        st.header(escape_markdown(film.name))
        show_film_reader(film)


def _example() -> Picture:
    wanted = st.pills(
        "Which", list(EXAMPLES), default=next(iter(EXAMPLES)), required=True, key=session.key("example"),
    )  # fmt: skip
    path = EXAMPLES[wanted or next(iter(EXAMPLES))]
    return Picture(path.name, path.read_bytes())


def _shot() -> list[Picture]:
    shot = st.camera_input("Take a picture", key=session.key("camera"))
    return [Picture("camera.jpg", shot.getvalue())] if shot else []


def _files() -> tuple[list[Picture], list[UploadedFile]]:
    """Pictures and films that were dropped."""
    files = st.file_uploader(
        "Drop pictures here, or a film", accept_multiple_files=True, key=session.key("files"),
        help="JPEG, PNG, WebP, BMP, TIFF or GIF; films as MP4, MOV, MKV, WebM, AVI and more.",
    )  # fmt: skip
    films = [file for file in files if is_film(file.name)]
    pictures = _named_apart([Picture(file.name, file.getvalue()) for file in files if not is_film(file.name)])
    if len(pictures) > MOST_PICTURES:
        st.warning(f"The first {MOST_PICTURES} of {len(pictures)} pictures are read; `mien analyze` reads any number.")
    if len(films) > 1:
        st.warning("One film is read at a time: the first one.")
    return pictures[:MOST_PICTURES], films[:1]


def is_film(name: str) -> bool:
    """Whether a file is taken for a film by its ending; a GIF is read as a picture.

    >>> is_film("walk.MP4"), is_film("walk.gif"), is_film("walk.jpg")
    (True, False, False)
    """
    suffix = Path(name).suffix.lower()
    return suffix in VIDEO_SUFFIXES and suffix not in SUFFIXES


def _named_apart(pictures: Sequence[Picture]) -> list[Picture]:
    """The same pictures, each with a name of its own."""
    seen: Counter[str] = Counter()
    found = []
    for picture in pictures:
        seen[picture.name] += 1
        count = seen[picture.name]
        found.append(picture if count == 1 else Picture(f"{picture.name} ({count})", picture.data))
    return found


def _show_pictures(pictures: Sequence[Picture]) -> None:
    settings = ask_settings("analyse")
    readings = []
    for picture in pictures:
        reading = read(picture, settings, session.choice()).judged(settings.threshold)
        show_reading(reading)
        readings.append(reading)
    if any(not reading.error for reading in readings):
        _show_table(readings, user_labels(settings.labels))
        _offer_downloads(pictures, readings, user_labels(settings.labels))


def read(picture: Picture, settings: Settings, choice: Choice) -> Reading:
    """The picture's reading, from memory where it was read before."""
    place = (hashlib.sha256(picture.data).digest(), picture.name, choice, settings.labels, settings.balance)
    found = session.recall(place)
    if found is None:
        pipeline = session.pipeline(choice, settings.labels, settings.balance)
        with st.spinner(f"Reading {picture.name}"), session.turns():
            found = read_picture(picture.data, picture.name, pipeline)
        session.remember(place, found)
    assert isinstance(found, Reading)
    return found


def show_reading(reading: Reading) -> None:
    """One picture with its faces, or why there are none."""
    if reading.error:
        st.error(escape_markdown(reading.error), icon=":material/broken_image:")
        return
    with st.container(border=True):
        if len(reading.faces) == 1:
            left, right = st.columns([3, 2], gap="medium")
        else:
            left = right = st.container()
        with left:
            st.image(marked(reading), width="stretch", alt=describe(reading))
            st.caption(
                f"{escape_markdown(reading.name)}, {reading.width:,} × {reading.height:,} pixels. "
                f"{counted(len(reading.faces), 'face')} found by {reading.detector}, read by {reading.model}."
            )
        with right:
            if reading.faces:
                st.html(face_cards(reading))
            else:
                st.info(
                    "No face was found. Faces should be at least some 40 pixels high, upright, and turned to the "
                    "camera at least half.",
                    icon=":material/search_off:",
                )
        if len(reading.faces) > MOST_CARDS:
            st.caption(f"And {len(reading.faces) - MOST_CARDS} more: all are in the table.")


def _show_table(readings: Sequence[Reading], labels: tuple[str, ...]) -> None:
    with st.expander("Table", icon=":material/table:"):
        found = table(readings, labels)
        hidden = ("frame", "time_s", "track_id", "model", "detector", "success")
        order = [name for name in found[0] if name not in hidden]
        order.sort(key=lambda name: ("source", "face", "top", "confidence", "abstained").index(name)
                   if name in ("source", "face", "top", "confidence", "abstained") else 9)  # fmt: skip
        st.dataframe(found, hide_index=True, column_order=order, alt="A row a face with all its figures")


def _offer_downloads(pictures: Sequence[Picture], readings: Sequence[Reading], labels: tuple[str, ...]) -> None:
    good = [reading for reading in readings if not reading.error]
    name = stem(good[0].name) if len(good) == 1 else "faces"
    with st.container(horizontal=True):
        st.download_button(
            "CSV", to_csv(readings, labels), f"{name}.csv", "text/csv", on_click="ignore",
            icon=":material/download:", key="csv",
        )  # fmt: skip
        st.download_button(
            "JSON", to_json(readings), f"{name}.json", "application/json", on_click="ignore",
            icon=":material/download:", key="json",
        )  # fmt: skip
        if len(good) == 1:
            data = next(picture.data for picture in pictures if picture.name == good[0].name)
            st.download_button(
                "Marked picture", partial(to_png, data, good[0]), f"{name}-marked.png", "image/png",
                on_click="ignore", icon=":material/download:", key="png",
            )  # fmt: skip
        else:
            files = {picture.name: picture.data for picture in pictures}
            st.download_button(
                "Marked pictures", partial(to_zip, files, readings), f"{name}-marked.zip", "application/zip",
                on_click="ignore", icon=":material/download:", key="png",
            )  # fmt: skip
