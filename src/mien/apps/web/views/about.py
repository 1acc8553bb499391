"""The page that says what the model can and cannot tell, and what may be done with it."""

from __future__ import annotations

import streamlit as st

from mien import __version__
from mien.apps.web import session
from mien.apps.web.cards import escape_markdown, plain_table
from mien.apps.web.choices import share_text
from mien.artifact.catalog import DEFAULT_MODEL
from mien.artifact.manifest import Manifest
from mien.errors import MienError

CAN = """
Mien looks at a face as a photograph shows it, and says with which word people would name what they see: angry, disgust,
fear, happy, sad, surprise, neutral, or contempt. Its probabilities are calibrated against the votes of some ten
annotators a face: where it says 70 %, about seven in ten of them chose that word (calibration error 0.015 on the 3,569
PrivateTest faces with votes, mien-s 0.3.0, 2026-11-21).

**An expression is not a feeling.** People smile out of politeness and frown in thought; the same face means different
things in different places and moments. What Mien answers does not say what somebody feels, thinks or intends. It is no
diagnosis, and no ground for a decision about a person.
"""

FAILS = """
- **Pictures from elsewhere.** On 1,550 faces of web photographs and film stills, labelled by others, the usual head of
  mien-s 0.3.0 was right in 74.6 %, and in 49.7 % on average over the expressions (2026-11-21; how photographs
  are reduced for it was checked on these faces, so they are not quite unseen).
- **Fear, sadness and disgust** are the weak ones there. Fear is often taken for surprise, sadness for neutral; disgust
  and contempt are so rare in the data that little can be said about them.
- **Faces from the side, small or covered ones.** The data are faces of 48 × 48 pixels, mostly seen from the front;
  hands, masks, glasses and strong shadows mislead it. A covered mouth costs it 17 points, a face of 16 pixels 13.
- **Groups of people.** FER2013 says nothing about the age, sex or origin of its faces, so nobody can say how evenly the
  errors fall. Expect them not to.
"""

LAW = """
- In the **European Union**, inferring emotions of people **at work or in education** is prohibited, except for medical
  or safety reasons (AI Act, Regulation (EU) 2024/1689, Article 5(1)(f)). For other purposes it counts there as a use of
  high risk, and the people concerned must be told (Annex III and Article 50(3)). Other countries have their own laws.
- Ask the people whose faces you read. Pictures of faces are personal data.
- Use it where an error harms nobody: to sort your own pictures, in teaching about such models, in art, in research with
  consent and with the error rates told.
"""

PRIVACY = """
- Pictures and films are read in the memory of the computer that runs this page. Nothing is stored, logged, or sent
  anywhere else, and there is no telemetry.
- A film lies in a temporary file while it is read, which is deleted when the reading ends or is stopped.
- *Forget everything* drops pictures, results and settings at once; when the page is closed, they are dropped about a
  minute later.
- Whoever runs the computer that this page comes from could change this. On your own computer that is you.
"""


def show() -> None:
    """The page."""
    st.title("About")
    st.header("What it can tell, and what it cannot")
    st.markdown(CAN)
    _show_training()
    st.header("Where it fails")
    st.markdown(FAILS)
    st.header("Use and law")
    st.markdown(LAW)
    st.header("Privacy")
    st.markdown(PRIVACY)
    st.header("Licence")
    st.markdown(
        f"Mien {__version__} and its model are free under the Apache License 2.0. The example pictures are in the "
        "public domain: Eileen Collins by NASA, Grace Hopper by the United States Navy."
    )


def _show_training() -> None:
    """How the model in use was trained and measured, by its own manifest."""
    choice = session.choice()
    try:
        manifest = session.load(choice.reference).manifest
    except MienError as error:
        st.error(escape_markdown(str(error)))
        return
    st.header(f"How {manifest.name} {manifest.version} was trained")
    st.markdown(_told(manifest))
    head = choice.head or manifest.default_head
    lines = [
        (str(score.get("set", "")), str(score.get("labels", "")), f"{score.get('rows', 0):,}",
         share_text(score, "accuracy"))
        for score in manifest.scores if score.get("head", head) == head
    ]  # fmt: skip
    if lines:
        names = ("faces", "truth", "rows", "accuracy (95 %)")
        st.html(plain_table(names, lines, numbers=names[2:]))
        st.caption(
            "FER2013's own labels agree with the majority of ten annotators in about 60 % of its faces, so the truth "
            "that a figure is measured against matters."
            if manifest.name == DEFAULT_MODEL
            else "As its export measured it."
        )


def _told(manifest: Manifest) -> str:
    train = manifest.data.get("train")
    data = (
        f"Training data: {train.get('name', 'unknown')}, {train.get('rows', 0):,} rows. "
        if isinstance(train, dict) else ""
    )  # fmt: skip
    selection = {str(score["selection"]) for score in manifest.scores if score.get("selection")}
    chosen = f"Chosen by: {'; '.join(sorted(selection))}. " if selection else ""
    parameters = f"{manifest.parameters / 1e6:.2f} million parameters, " if manifest.parameters else ""
    return escape_markdown(
        f"{manifest.notes} {data}{chosen}{parameters}exported {manifest.created}, licence {manifest.licence}."
    )
