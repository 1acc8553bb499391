"""The pages about the models: which exist and how well they do, their reports, and what they can and cannot tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import streamlit as st

from mien import __version__
from mien.apps.web import session
from mien.apps.web.analyze import EXAMPLES, Photo, read
from mien.apps.web.cards import escape_markdown, face_cards, plain_table
from mien.apps.web.reading import Reading
from mien.apps.web.server import Report, list_reports, locked_in, named_roots, read_report
from mien.apps.web.session import Choice, Settings
from mien.artifact import mlflow_store as tracking
from mien.artifact.artifact import GRAPH_FILE, MANIFEST_FILE, Manifest, load_manifest
from mien.artifact.catalog import BUNDLED, DEFAULT_MODEL, list_bundled
from mien.errors import ArtifactError, MienError, SourceError
from mien.labels import percent

HEIGHT_PX = 860

ABOUT = """
Mien looks at a face as an image shows it, and estimates which word people would choose for its expression: angry,
disgust, fear, happy, sad, surprise, neutral, or contempt. Its probabilities are calibrated against the votes of about
ten annotators per face: where it says 70 %, about seven in ten of them chose that word.

**An expression is not a feeling.** People smile out of politeness and frown in thought; the same face means different
things in different places and moments. Mien does not tell what somebody feels, thinks or intends. Its output is not a
diagnosis and not a basis for decisions about a person.
"""

LIMITS = """
- **Photos unlike the training data.** On faces from web photos and stills the model is right less often than on
  the test faces in the table above.
- **Fear, sadness and disgust** are its weak spots. Fear is often taken for surprise, sadness for neutral; disgust and
  contempt are so rare in the data that little can be said about them.
- **Faces from the side, small or covered faces.** The training data are faces of 48 × 48 pixels, mostly seen from
  the front; hands, masks, glasses and strong shadows mislead the model.
- **Groups of people.** FER2013 does not record the age, sex or origin of its faces, so nobody can say how evenly the
  errors fall. Expect them to fall unevenly.
"""

LAW = """
- In the **European Union**, inferring emotions of people **at work or in education** is prohibited, except for medical
  or safety reasons (AI Act, Regulation (EU) 2024/1689, Article 5(1)(f)). For other purposes it is a high-risk use, and
  the people concerned must be informed (Annex III and Article 50(3)). Other countries have their own laws.
- Ask people before you analyze their faces. Images of faces are personal data.
- Use it where an error harms nobody: to sort your own photos, to teach how such models work, in art, or in research
  with consent and with reported error rates.
"""

DATA = """
- Photos and videos are analyzed in the memory of the computer that runs this page. Nothing is stored, logged or
  uploaded elsewhere, and there is no telemetry.
- A video is kept in a temporary file during its analysis, and deleted when that ends or is stopped.
- *Forget everything* drops photos, results and settings at once; when the page is closed, they are dropped about a
  minute later.
- Whoever operates the computer that runs this page could change this. On your own computer that is you.
"""


def show_models() -> None:
    """The page of models: what exists, how well each does, two side by side."""
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
        (entry.name, entry.kind, headline(entry), f"{entry.size_bytes / 1e6:.1f} MB", entry.licence)
        for entry in entries
    ]
    st.html(plain_table(("model", "source", "accuracy", "size", "licence"), lines, numbers=("size",)))
    st.caption(
        "Accuracy of the default output head on test faces that were not used for training, measured at export, with "
        "its 95 % interval."
    )


def _choose(names: dict[Choice, str]) -> Choice:
    options = list(names)
    # The model may have been deleted since it was chosen.
    present = session.choice() if session.choice() in options else options[0]
    chosen = st.selectbox(
        "Model in use", options, index=options.index(present), format_func=names.__getitem__,
        key=session.key("model"), help="Used on the Analyze and Video pages in this session.",
    )  # fmt: skip
    try:
        # Loaded before it is kept: a damaged model must not break the other pages.
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
        st.caption("This model stores no scores: `mien model evaluate` measures it.")
        return
    lines = [
        (
            str(score.get("set", "")), str(score.get("labels", "")), f"{score.get('rows', 0):,}",
            share_text(score, "accuracy"), _number(score, "macro_f1"), _number(score, "calibration_error"),
        )
        for score in found
    ]  # fmt: skip
    names = ("faces", "labels", "rows", "accuracy (95 %)", "macro F1", "calibration error")
    st.html(plain_table(names, lines, numbers=names[2:]))
    selection = {str(score["selection"]) for score in found if score.get("selection")}
    st.caption(escape_markdown(f"Head {head}. Selection: {'; '.join(sorted(selection)) or 'not recorded'}."))


def _number(score: object, name: str) -> str:
    value = score.get(name) if isinstance(score, dict) else None
    return "" if value is None else f"{value:.3f}"


def _compare(names: dict[Choice, str]) -> None:
    st.header("Compare two models")
    upload = st.file_uploader("A photo (default: the example)", key=session.key("compare"))
    example = next(iter(EXAMPLES.values()))
    photo = Photo(upload.name, upload.getvalue()) if upload else Photo(example.name, example.read_bytes())
    options = list(names)
    columns = st.columns(2, gap="medium")
    for number, column in enumerate(columns):
        with column:
            chosen = st.selectbox(
                ("First model", "Second model")[number], options, index=min(number, len(options) - 1),
                format_func=names.__getitem__, key=session.key(f"compare-{number}"),
            )  # fmt: skip
            try:
                _show(read(photo, Settings(), chosen))
            except MienError as error:
                st.error(escape_markdown(f"{names[chosen]} cannot be used: {error}"))


def _show(reading: Reading) -> None:
    if reading.error:
        st.error(escape_markdown(reading.error))
    elif reading.faces:
        st.html(face_cards(reading))
    else:
        st.info("No face found.")


@dataclass(frozen=True)
class Entry:
    """A listed model.

    Args:
        reference: a name or path for `load_model`.
        kind: where it comes from, in words.
        version, licence: from its manifest.
        size_bytes: the size of its graph.
        default_head: the output head that users get.
        heads: all output heads.
        scores: from its manifest.
    """

    reference: str
    kind: str
    version: str = ""
    licence: str = ""
    size_bytes: int = 0
    default_head: str = ""
    heads: tuple[str, ...] = ()
    scores: Sequence[Mapping[str, Any]] = ()

    @property
    def name(self) -> str:
        """Its name for people."""
        return f"{self.reference} {self.version}".strip()

    def choices(self) -> dict[Choice, str]:
        """Its selectable heads with their names, the default first."""
        rest = [head for head in self.heads if head != self.default_head]
        usual = f"{self.name} · {self.default_head}" if rest else self.name
        return {Choice(self.reference): usual} | {
            Choice(self.reference, head): f"{self.name} · {head}" for head in rest
        }


def list_entries(folder: Path | None = None) -> tuple[list[Entry], list[str]]:
    """All models, the default first, and a message for each that could not be listed.

    Args:
        folder: a folder whose artifacts are listed too; None for the working folder.
    """
    names = sorted(list_bundled(), key=lambda name: name != DEFAULT_MODEL)
    places = [(name, BUNDLED / name, "built in, default" if name == DEFAULT_MODEL else "built in") for name in names]
    here = folder or Path()
    places += [
        # With `./` it is a path to `load_model`, not the name of a built-in model.
        (f"./{path.parent.name}" if folder is None else str(path.parent), path.parent, "working folder")
        for path in sorted(here.glob(f"*/{GRAPH_FILE}"))
        if (path.parent / MANIFEST_FILE).is_file()
    ]
    entries, troubles = [], []
    for reference, place, kind in places:
        try:
            manifest, size_bytes = load_manifest(place), (place / GRAPH_FILE).stat().st_size
            entries.append(Entry(
                reference, kind, manifest.version, manifest.licence, size_bytes, manifest.default_head,
                tuple(manifest.heads), manifest.scores,
            ))  # fmt: skip
        except (ArtifactError, OSError) as error:
            troubles.append(f"{reference} is damaged: {error}")
    try:
        entries += _registered()
    except MienError as error:
        # Without the registry the other models are still of use.
        troubles.append(f"Registered models cannot be listed: {error}")
    return entries, troubles


def _registered() -> list[Entry]:
    """The versions in MLflow's registry; empty if it is not installed or nothing is registered."""
    # Checked first: opening the registry would create it.
    if not tracking.is_installed() or not tracking.is_there():
        return []
    from mien.artifact.versions import list_versions

    return [
        Entry(
            reference=version.reference,
            kind=", ".join(version.aliases) or "registered",
            version=str(version.summary.get("version", "")),
            licence=str(version.summary.get("licence", "")),
            size_bytes=int(version.summary.get("size_bytes", 0)),
            default_head=str(version.summary.get("default_head", "")),
            heads=tuple(version.summary.get("heads", ())),
            scores=version.scores,
        )
        for versions in list_versions().values()
        for version in versions
    ]


def headline(entry: Entry) -> str:
    """Accuracy of the default head on test faces with hard labels, with its interval; empty if unknown."""
    for score in entry.scores:
        test = str(score.get("set", "")) in ("PrivateTest", "test")
        if test and score.get("head") == entry.default_head and score.get("labels") != "FER+ votes":
            return share_text(score, "accuracy")
    return ""


def share_text(score: Mapping[str, Any], name: str) -> str:
    """A share as a percentage, with its 95 % interval if known.

    >>> share_text({"accuracy": 0.88043, "accuracy_95": [0.86933, 0.89153]}, "accuracy")
    '88.0 % (86.9–89.2)'
    """
    if name not in score:
        return ""
    text = percent(score[name], 1)
    bounds = score.get(f"{name}_95")
    return f"{text} ({100 * bounds[0]:.1f}–{100 * bounds[1]:.1f})" if bounds else text


def show_reports() -> None:
    """The page of reports: evaluations, comparisons and studies, each shown as it is."""
    st.title("Reports")
    roots = named_roots()
    found = list_reports(roots)
    if not found:
        _explain(bool(roots))
        return
    chosen = st.selectbox("Report", found, format_func=_named, key=session.key("report"))
    try:
        html = read_report(chosen)
    except SourceError as error:
        st.error(escape_markdown(str(error)))
        return
    st.iframe(locked_in(html, chosen.name), height=HEIGHT_PX, alt=f"The report {chosen.name}")
    session.offer("Download", html, chosen.path.name, "text/html", key="report-download")


def _named(report: Report) -> str:
    changed = datetime.fromtimestamp(report.path.stat().st_mtime, UTC)
    return f"{report.name} ({changed:%Y-%m-%d})"


def _explain(there: bool) -> None:
    where = "in the folders that this page was started with" if there else "yet"
    st.info(f"There are no reports {where}.", icon=":material/description:")
    st.markdown(
        "These commands write reports, each as one HTML file:\n\n"
        "```\nmien model evaluate MODEL DATA --out reports/model\n"
        "mien model compare ONE OTHER DATA --out reports/compared\n"
        "mien study report STUDY.toml --runs runs/ --out reports/study\n```\n\n"
        "`mien app --reports FOLDER` shows the reports in a folder; the default folders are `reports` and `docs/study`."
    )


def show_about() -> None:
    """The page about what the model can and cannot tell, and what it may be used for."""
    st.title("About")
    st.header("What it can and cannot tell")
    st.markdown(ABOUT)
    _show_training()
    st.header("Where it fails")
    st.markdown(LIMITS)
    st.header("Responsible use and law")
    st.markdown(LAW)
    st.header("Privacy")
    st.markdown(DATA)
    st.header("Licence")
    st.markdown(
        f"Mien {__version__} and its model are available under the Apache License 2.0. The example photos are in the "
        "public domain: Eileen Collins by NASA, Grace Hopper by the United States Navy."
    )


def _show_training() -> None:
    """How the model in use was trained and measured, from its manifest."""
    choice = session.choice()
    try:
        manifest = session.load(choice.reference).manifest
    except MienError as error:
        st.error(escape_markdown(str(error)))
        return
    st.header(f"How {manifest.name} {manifest.version} was trained")
    st.markdown(_training(manifest))
    head = choice.head or manifest.default_head
    lines = [
        (str(score.get("set", "")), str(score.get("labels", "")), f"{score.get('rows', 0):,}",
         share_text(score, "accuracy"))
        for score in manifest.scores if score.get("head", head) == head
    ]  # fmt: skip
    if lines:
        names = ("faces", "labels", "rows", "accuracy (95 %)")
        st.html(plain_table(names, lines, numbers=names[2:]))
        st.caption(
            "FER2013's own labels often disagree with the majority of ten annotators, so it matters which labels a "
            "figure is measured against."
            if manifest.name == DEFAULT_MODEL
            else "Measured at export."
        )


def _training(manifest: Manifest) -> str:
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
