"""What came of an image or frame: its faces, as an object to look at, as rows of a table, as an annotated image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from mien.errors import ConfigError, MissingExtraError, SourceError, shortened
from mien.labels import BLENDSHAPES, LANDMARKS
from mien.structures import Face, Frame, UInt8, affect_values

PREVIEW_PX = 480
"""Longer side of the image that a notebook shows."""

Row = dict[str, Any]

BEFORE = (
    "source", "frame", "time_s", "track_id", "face", "success", "detection_score",
    "x", "y", "width", "height",
)  # fmt: skip
AFTER = ("top", "confidence", "abstained", "quality", "quality_score", "model", "detector", *affect_values(None))
GEOMETRY = (
    "yaw", "pitch", "roll", "visible", *(f"{axis}_{place}" for axis in "xy" for place in range(LANDMARKS)),
    *(f"iris_{side}_{axis}" for side in ("right", "left") for axis in "xy"), *BLENDSHAPES,
)  # fmt: skip
"""Degrees, a share of 0–1, pixels and 0–1; see `mien.structures.Face`."""

WORDS = frozenset(["source", "top", "quality", "model", "detector", "raw_top", "affect_source"])
COUNTS = frozenset(["frame", "track_id", "face"])
FLAGS = frozenset(["success", "abstained"])
"""Columns of text, of whole numbers, and of yes and no; all others are of numbers."""


# Compared by identity: NumPy's arrays have no single truth value, so comparing by fields would raise.
@dataclass(frozen=True, repr=False, eq=False)
class Result(Sequence[Face]):
    """What came of one image or frame; a sequence of its faces.

    Args:
        source: its name.
        frame: the image, or None when it could not be read.
        faces: those found in it, the detector's highest score first; may be empty.
        error: why it could not be read, or None.
        seconds: spent on it, with its share of the batch.
        entered: in a video, tracks that begin with this frame.
        left: in a video, tracks that end at this frame; they were last seen before.
        labels: those that a face could have had, for the columns of a table without a face.
    """

    source: str
    frame: Frame | None
    faces: list[Face]
    error: SourceError | None = None
    seconds: float = 0.0
    entered: tuple[int, ...] = ()
    left: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.faces)

    @overload
    def __getitem__(self, index: int) -> Face: ...

    @overload
    def __getitem__(self, index: slice) -> list[Face]: ...

    def __getitem__(self, index: int | slice) -> Face | list[Face]:
        """One face by its number, or several by a slice."""
        return self.faces[index]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        frame = self.frame
        return {
            "source": self.source,
            "frame": frame and frame.index,
            "time_s": frame and round(frame.time_s, 4),
            "width": frame and frame.image.shape[1],
            "height": frame and frame.image.shape[0],
            "faces": [face.to_dict() for face in self.faces],
            "error": None if self.error is None else str(self.error),
            "seconds": round(self.seconds, 4),
        }

    def to_df(self) -> Any:
        """A table of the faces, a row each, as a pandas DataFrame, or polars' where pandas is not installed.

        Raises:
            MissingExtraError: neither is installed.
        """
        return Results([self]).to_df()

    def plot(self, *, panels: bool = True, geometry: Sequence[str] = ()) -> UInt8:
        """The image with its faces annotated, RGB uint8; see `draw_faces`.

        Raises:
            SourceError: the image could not be read.
        """
        from mien.reading.drawing import draw_faces

        if self.frame is None:
            raise self.error or SourceError(f"{self.source}: there is no image")
        return draw_faces(self.frame.image, self.faces, panels=panels, geometry=geometry)

    def plot_circumplex(self, *, dark: bool = False) -> UInt8:
        """Where the faces are on the circumplex of valence and arousal, RGB uint8."""
        from mien.reading.circumplex import draw_faces_on_circumplex

        return draw_faces_on_circumplex(self.faces, Path(shortened(self.source)).name, dark=dark)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the annotated image, in the format of the name's ending.

        Raises:
            ConfigError: an ending of a format that is not written, or the file cannot be written.
            SourceError: the image could not be read.
        """
        from mien.images.pictures import write

        try:
            return write(path, self.plot())
        except OSError as error:
            raise ConfigError(f"cannot write {os.fspath(path)}: {error.strerror or error}") from error

    def show(self) -> None:
        """Show the annotated image in the notebook, or in the system's image viewer.

        Raises:
            ConfigError: this system has no viewer.
            SourceError: the image could not be read.
        """
        show_image(self.plot())

    def __repr__(self) -> str:
        name = repr(shortened(self.source))
        if self.error is not None:
            return f"Result({name}, error: {shortened(str(self.error), 160)})"
        faces = ", ".join(f"{face.verdict} {100 * face.confidence:.0f} %" for face in self.faces[:5])
        more = f" and {len(self.faces) - 5} more" if len(self.faces) > 5 else ""
        # Without faces, nothing follows the colon.
        return f"Result({name}, {len(self.faces)} face{'' if len(self.faces) == 1 else 's'}: {faces}{more})".replace(
            ": )", ")"
        )

    def _repr_html_(self) -> str:
        import html

        if self.frame is None:
            return f"<p>{html.escape(repr(self))}</p>"
        return f"<figure>{_preview(self.plot())}<figcaption>{html.escape(repr(self))}</figcaption></figure>"


class Results(list[Result]):
    """The results of several images, in their order; those that could not be read have an `error`."""

    def to_dict(self) -> list[dict[str, Any]]:
        """Plain numbers and strings, for JSON."""
        return [result.to_dict() for result in self]

    def to_df(self) -> Any:
        """A table, a row a face and one for an image without; see `Result.to_df`."""
        labels = next((tuple(face.probabilities) for result in self for face in result.faces), ())
        labels = labels or next((result.labels for result in self if result.labels), ())
        moving = any(face.raw is not None for result in self for face in result.faces)
        geometry = any(face.pose is not None for result in self for face in result.faces)
        found = [row for result in self for row in rows(result, labels, moving=moving, geometry=geometry)]
        return data_frame(found, columns(labels, moving=moving, geometry=geometry))

    def __repr__(self) -> str:
        lines = [f"  {result!r}," for result in self[:10]]
        more = [f"  … and {len(self) - 10} more"] if len(self) > 10 else []
        return "\n".join(["Results([", *lines, *more, "])"]) if self else "Results([])"

    def _repr_html_(self) -> str:
        # Each result embeds its image in the notebook, so only ten are shown.
        more = f"<p>… and {len(self) - 10} more</p>" if len(self) > 10 else ""
        return "".join(result._repr_html_() for result in self[:10]) + more


def data_frame(found: Sequence[Row], names: Sequence[str]) -> Any:
    """Rows as a pandas DataFrame, or polars' where pandas is not installed; columns have types even where all is empty.

    Raises:
        MissingExtraError: neither is installed.
    """
    values = {name: [_cell(name, row[name]) for row in found] for name in names}
    try:
        import pandas as pd
    except ImportError:
        pass
    else:
        types = {"word": "string", "count": "Int64", "flag": "boolean", "number": "float64"}
        return pd.DataFrame({name: pd.Series(cells, dtype=types[kind_of(name)]) for name, cells in values.items()})
    try:
        import polars as pl
    except ImportError as error:
        raise MissingExtraError("pandas or polars", "pandas") from error
    kinds = {"word": pl.String, "count": pl.Int64, "flag": pl.Boolean, "number": pl.Float64}
    return pl.DataFrame(values, schema={name: kinds[kind_of(name)] for name in names})


def _cell(name: str, value: Any) -> Any:
    # A CSV file cannot tell an empty word from a missing one.
    if value == "" and name in WORDS:
        return None
    return bool(value) if name in FLAGS and value is not None else value


def kind_of(name: str) -> str:
    """What a column holds: `word`, `count`, `flag` or `number`.

    >>> [kind_of(name) for name in ("top", "track_id", "success", "happy")]
    ['word', 'count', 'flag', 'number']
    """
    return "word" if name in WORDS else "count" if name in COUNTS else "flag" if name in FLAGS else "number"


def show_image(image: UInt8) -> None:
    """Show RGB uint8 (H, W, 3) in the notebook, or in the system's image viewer.

    Raises:
        ConfigError: this system has no viewer.
    """
    import shutil
    import subprocess
    import sys
    import tempfile

    from mien.images.pictures import write

    # Not imported: in a notebook, IPython is there already.
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None and "IPKernelApp" in shell.config:
        from IPython.display import HTML, display

        display(HTML(_preview(image)))
        return
    viewer = {"darwin": "open", "win32": "explorer"}.get(sys.platform, "xdg-open")
    if shutil.which(viewer) is None:
        raise ConfigError("cannot show the image: this system has no image viewer; write it with save(path)")
    # The folder stays: the viewer opens the file after this function has returned.
    path = write(Path(tempfile.mkdtemp(prefix="mien-"), "result.png"), image)
    subprocess.Popen([viewer, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _preview(image: UInt8) -> str:
    """An image for a notebook, reduced, as an element of HTML that needs no further file."""
    import base64

    from mien.images.pictures import encode, resize

    ratio = min(1.0, PREVIEW_PX / max(image.shape[:2]))
    small = resize(image, max(1, round(image.shape[0] * ratio)), max(1, round(image.shape[1] * ratio)))
    data = base64.b64encode(encode(small, "jpeg", quality=85)).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="annotated image">'


def columns(labels: tuple[str, ...], *, moving: bool = False, geometry: bool = False) -> tuple[str, ...]:
    """The columns of a row: one probability per label between the face and the verdict.

    With `moving` those probabilities are smoothed over time, and those of each frame alone follow at the end, as
    `raw_<label>` and `raw_top`. With `geometry` the head's pose, the share of the 68 landmarks that is seen, the
    landmarks, the irises and the blendshapes follow.
    """
    further = (*(f"raw_{label}" for label in labels), "raw_top") if moving else ()
    return (*BEFORE, *labels, *AFTER, *further, *(GEOMETRY if geometry else ()))


def rows(result: Result, labels: tuple[str, ...], *, moving: bool = False, geometry: bool = False) -> list[Row]:
    """A row a face; one with `success` 0 and empty cells for a frame without; none for an unread picture."""
    if result.frame is None:
        return []
    empty: Row = dict.fromkeys(columns(labels, moving=moving, geometry=geometry))
    head = {"source": result.source, "frame": result.frame.index, "time_s": round(result.frame.time_s, 4)}
    if not result.faces:
        return [empty | head | {"success": 0}]
    return [
        empty | head | _cells(face) | (_raw(face) if moving else {}) | (_shape(face) if geometry else {})
        for face in result.faces
    ]


def _cells(face: Face) -> Row:
    x1, y1, x2, y2 = face.box
    return {
        "track_id": face.track_id,
        "face": face.index,
        "success": 1,
        "detection_score": round(face.detection_score, 4),
        "x": round(x1, 1),
        "y": round(y1, 1),
        "width": round(x2 - x1, 1),
        "height": round(y2 - y1, 1),
        **{label: round(p, 4) for label, p in face.probabilities.items()},
        "top": face.top,
        "confidence": round(face.confidence, 4),
        "abstained": int(face.abstained),
        "quality": face.quality,
        "quality_score": round(face.quality_score, 4),
        "model": face.model,
        "detector": face.detector,
        **affect_values(face.affect),
    }


def _raw(face: Face) -> Row:
    if face.raw is None:
        return {}
    return {**{f"raw_{label}": round(p, 4) for label, p in face.raw.items()}, "raw_top": face.raw_top}


def _shape(face: Face) -> Row:
    if face.pose is None:
        return {}
    seen = sum(p >= 0.5 for p in face.visible) / max(len(face.visible), 1)
    points = [round(point[axis], 1) for axis in (0, 1) for point in face.landmarks68]
    irises = [round(value, 1) for point in face.iris for value in point]
    weights = [round(value, 4) for value in (face.blendshapes or {}).values()]
    values = (*(round(angle, 1) for angle in face.pose), round(seen, 2), *points, *irises, *weights)
    return dict(zip(GEOMETRY, values, strict=True))
