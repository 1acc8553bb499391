"""Charts as inline SVG, crisp and in the page's own colours, and figures with matplotlib (extra `train`)."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Literal

from mien.errors import MissingExtraError
from mien.html import CHART_STYLE, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, LINE, BLUE, RED = "#1f2933", "#8794a1", "#dde3ea", "#2f6fb0", "#b3403a"
SERIES = (
    BLUE, "#b54f14", "#3f8f5b", "#8a5aa8", "#b23a48", "#7a6a2f", "#2a8c94", "#c07a9e", "#55606c", "#d09a2c",
)  # fmt: skip
"""A colour each for things that are compared, in their order."""
SPLIT_COLOURS = {"train": BLUE, "validation": "#d09a2c", "test": RED}
DPI = 110


@dataclass(frozen=True)
class Axis:
    """A scale: its ends, what it measures, and its ticks with their labels."""

    low: float
    high: float
    title: str = ""
    ticks: Sequence[tuple[float, str]] = ()


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between two ends, about `count` of them.

    >>> nice_ticks(0, 1, 5)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    # A hair of tolerance here and below: 0.3 / 0.1 is 2.9999999999999996.
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    # Rounded, because 3 * 0.1 is 0.30000000000000004.
    return [round(n * step, 12) for n in range(first, last + 1)]


def axis(low: float, high: float, title: str = "", *, form: str = "g", count: int = 5, scale: float = 1.0) -> Axis:
    """An axis with round ticks; `scale` multiplies the labels, 100 for percentages."""
    return Axis(low, high, title, [(at, f"{at * scale:{form}}") for at in nice_ticks(low, high, count)])


@dataclass
class Plot:
    """A chart in the units of its axes.

    Args:
        description: the same in words, for those who cannot see it.
        x, y: the axes.
        width, height: of the whole picture, px.
        left, bottom, top: room for the labels, px.
        grid: lines at the ticks of `y`, of `x`, or none: `y`, `x`, `xy`, or nothing.
    """

    description: str
    x: Axis
    y: Axis
    width: float = 440
    height: float = 280
    left: float = 52
    right: float = 14
    bottom: float = 42
    top: float = 14
    grid: str = "y"
    parts: list[str] = field(default_factory=list)

    def across(self, value: float) -> float:
        """The horizontal position of a value, px."""
        # `or 1`: an axis of one value has no length to divide by.
        span = self.width - self.left - self.right
        return self.left + span * (value - self.x.low) / ((self.x.high - self.x.low) or 1)

    def down(self, value: float) -> float:
        """The vertical position of a value, px."""
        span = self.height - self.top - self.bottom
        return self.height - self.bottom - span * (value - self.y.low) / ((self.y.high - self.y.low) or 1)

    def line(
        self, points: Iterable[tuple[float, float]], kind: str = "one", *, wide: float = 2, dash: str = ""
    ) -> None:
        """A line through points."""
        path = " ".join(f"{self.across(x):.1f},{self.down(y):.1f}" for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<polyline class="{kind}" points="{path}" stroke-width="{wide:g}" stroke-linejoin="round"{dashed}/>'
        )

    def dot(self, x: float, y: float, kind: str = "fill-one", *, radius: float = 3.5, hint: str = "") -> None:
        """A disc, with text that shows on hover."""
        shown = f"<title>{escape(hint)}</title>" if hint else ""
        self.parts.append(
            f'<circle class="{kind}" cx="{self.across(x):.1f}" cy="{self.down(y):.1f}" r="{radius:g}">{shown}</circle>'
        )

    def bar(self, x: tuple[float, float], y: tuple[float, float], kind: str = "fill-one", *, hint: str = "") -> None:
        """A rectangle between two values of each axis."""
        left, right = sorted(self.across(value) for value in x)
        upper, lower = sorted(self.down(value) for value in y)
        shown = f"<title>{escape(hint)}</title>" if hint else ""
        self.parts.append(
            f'<rect class="{kind}" x="{left:.1f}" y="{upper:.1f}" width="{max(right - left, 0.5):.1f}" '
            f'height="{lower - upper:.1f}">{shown}</rect>'
        )

    def whisker(self, x: float, low: float, high: float, kind: str = "one") -> None:
        """An interval of y at one x."""
        self.line([(x, low), (x, high)], kind, wide=1.5)

    def text(self, x: float, y: float, text: str, *, kind: str = "", anchor: str = "start", dx: float = 0,
             dy: float = 0) -> None:  # fmt: skip
        """Words at a point of the axes, shifted by `dx` and `dy` pixels."""
        self.parts.append(_text(self.across(x) + dx, self.down(y) + dy, text, kind, anchor))

    def file(self) -> str:
        """The chart as an SVG file of its own, which follows the reader's light or dark mode."""
        # Only a file of its own needs a namespace and a size; inside a page both come from around it.
        size = f'xmlns="http://www.w3.org/2000/svg" width="{self.width:g}" height="{self.height:g}" '
        style = f"<style>{PALETTE}svg {{ background: var(--paper); font-family: sans-serif; }}{CHART_STYLE}</style>"
        return self.svg().replace("<svg ", f"<svg {size}", 1).replace(">", f">{style}", 1) + "\n"

    def svg(self) -> str:
        """The chart as part of a page, whose colours it takes."""
        lower, upper = self.height - self.bottom, self.top
        frame = []
        for value, label in self.y.ticks:
            at = self.down(value)
            if "y" in self.grid:
                frame.append(_line(self.left, at, self.width - self.right, at, "grid"))
            frame.append(_text(self.left - 7, at + 4, label, "soft", "end"))
        for value, label in self.x.ticks:
            at = self.across(value)
            if "x" in self.grid:
                frame.append(_line(at, upper, at, lower, "grid"))
            frame.append(_text(at, lower + 16, label, "soft", "middle"))
        frame.append(_line(self.left, lower, self.width - self.right, lower, "axis"))
        if self.x.title:
            frame.append(
                _text((self.left + self.width - self.right) / 2, self.height - 6, self.x.title, "soft", "middle")
            )
        if self.y.title:
            middle = (upper + lower) / 2
            frame.append(
                f'<text class="soft" text-anchor="middle" transform="translate(12 {middle:.1f}) rotate(-90)">'
                f"{escape(self.y.title)}</text>"
            )
        return (
            f'<svg class="chart" role="img" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'aria-label="{escape(self.description)}">{"".join(frame + self.parts)}</svg>'
        )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def new_figure(width_in: float, height_in: float, *, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """An empty figure that leaves room for its labels by itself; pass `layout=None` to place them by hand.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "train") from error
    return Figure(figsize=(width_in, height_in), dpi=DPI, facecolor="white", layout=layout)


def style_axes(axes: Axes, *, grid: Literal["x", "y", "both"] | None = "both", whole: bool = False) -> None:
    """Thin lines and small labels; a light grid along x, y, both or none; with `whole`, whole numbers along x."""
    from matplotlib.ticker import MaxNLocator

    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(labelsize=9, labelcolor=INK, color=GREY)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color=LINE, linewidth=0.7)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=9)
    if whole:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))


def encode_png(figure: Figure, *, colours: int = 96) -> bytes:
    """A figure as PNG with a palette, a third of the bytes, and without the name of the software."""
    from PIL import Image

    drawn, packed = io.BytesIO(), io.BytesIO()
    # Hardly compressed: this copy is read again at once.
    figure.savefig(drawn, format="png", pil_kwargs={"compress_level": 1})
    # Pillow writes no metadata: matplotlib's version would change the file with every release.
    picture = Image.open(drawn).convert("RGB").quantize(colours, method=Image.Quantize.MEDIANCUT)
    picture.save(packed, "png", optimize=True)
    return packed.getvalue()
