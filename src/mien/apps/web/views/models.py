"""The page for models: what there is, how well each does, two beside one another."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from mien.apps.web import session
from mien.apps.web.cards import escape_markdown, face_cards, plain_table
from mien.apps.web.choices import Choice, Entry, headline, list_entries, share_text
from mien.apps.web.reading import Reading
from mien.apps.web.views.analyse import EXAMPLES, Picture, read
from mien.apps.web.views.settings import Settings
from mien.errors import MienError


def show() -> None:
    """The page."""
    st.title("Models")
    entries, troubles = list_entries()
    for trouble in troubles:
        st.warning(escape_markdown(trouble))
    names = {choice: name for entry in entries for choice, name in entry.choices().items()}
    _show_list(entries)
    chosen = _choose(names)
    _show_scores(next(entry for entry in entries if entry.reference == chosen.reference), chosen)
    _compare(names)


def _show_list(entries: Sequence[Entry]) -> None:
    lines = [
        (
            entry.name, entry.kind, headline(entry), f"{entry.size_bytes / 1e6:.1f} MB", entry.licence,
        )
        for entry in entries
    ]  # fmt: skip
    st.html(plain_table(("model", "where", "accuracy", "size", "licence"), lines, numbers=("size",)))
    st.caption(
        "Accuracy is that of the head that users get, on test faces that took no part in the training, as its export "
        "measured it, with the 95 % interval."
    )


def _choose(names: dict[Choice, str]) -> Choice:
    options = list(names)
    present = session.choice() if session.choice() in options else options[0]
    chosen = st.selectbox(
        "The model in use", options, index=options.index(present), format_func=names.__getitem__,
        key=session.key("model"), help="Used on the pages Analyse and Video of this session.",
    )  # fmt: skip
    try:
        session.load(chosen.reference)
    except MienError as error:
        st.error(escape_markdown(f"{names[chosen]} cannot be used: {error}"))
        return chosen
    st.session_state.choice = chosen
    return chosen


def _show_scores(entry: Entry, chosen: Choice) -> None:
    head = chosen.head or entry.default_head
    found = [score for score in entry.scores if score.get("head", head) == head]
    if not found:
        st.caption("No scores are stored with this model: `mien model evaluate` measures it.")
        return
    lines = [
        (
            str(score.get("set", "")), str(score.get("labels", "")), f"{score.get('rows', 0):,}",
            share_text(score, "accuracy"), _number(score, "macro_f1"), _number(score, "calibration_error"),
        )
        for score in found
    ]  # fmt: skip
    names = ("faces", "truth", "rows", "accuracy (95 %)", "macro F1", "calibration error")
    st.html(plain_table(names, lines, numbers=names[2:]))
    selection = {str(score["selection"]) for score in found if score.get("selection")}
    st.caption(escape_markdown(f"Head {head}. Selection: {'; '.join(sorted(selection)) or 'not told'}."))


def _number(score: object, name: str) -> str:
    value = score.get(name) if isinstance(score, dict) else None
    return "" if value is None else f"{value:.3f}"


def _compare(names: dict[Choice, str]) -> None:
    st.header("Two beside one another")
    upload = st.file_uploader("A picture; without one, the example", key=session.key("compare"))
    example = next(iter(EXAMPLES.values()))
    picture = Picture(upload.name, upload.getvalue()) if upload else Picture(example.name, example.read_bytes())
    options = list(names)
    columns = st.columns(2, gap="medium")
    for number, column in enumerate(columns):
        with column:
            chosen = st.selectbox(
                ("First model", "Second model")[number], options, index=min(number, len(options) - 1),
                format_func=names.__getitem__, key=session.key(f"compare-{number}"),
            )  # fmt: skip
            try:
                _show(read(picture, Settings(), chosen))
            except MienError as error:
                st.error(escape_markdown(f"{names[chosen]} cannot be used: {error}"))


def _show(reading: Reading) -> None:
    if reading.error:
        st.error(escape_markdown(reading.error))
    elif reading.faces:
        st.html(face_cards(reading))
    else:
        st.info("No face was found.")
