"""Charts as inline SVG: small, crisp at any size, in the page's own colours, light, dark and printed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

STYLE = """
svg.chart { width: 100%; height: auto; display: block; font-size: 12px; }
svg.chart text { fill: var(--ink); } svg.chart text.soft { fill: var(--soft); }
svg.chart .grid { stroke: var(--line); stroke-width: 1; } svg.chart .axis { stroke: var(--soft); stroke-width: 1; }
svg.chart .one { stroke: var(--accent); fill: none; } svg.chart .two { stroke: var(--warm); fill: none; }
svg.chart .ink { stroke: var(--ink); fill: none; } svg.chart .grey { stroke: var(--soft); fill: none; }
svg.chart .fill-one { fill: var(--accent); } svg.chart .fill-two { fill: var(--warm); }
svg.chart .fill-soft { fill: var(--line); } svg.chart .fill-grey { fill: var(--soft); }
svg.chart .fill-ink { fill: var(--ink); } svg.chart .paper { fill: var(--paper); }
svg.chart .bold { font-weight: 600; }
"""


@dataclass(frozen=True)
class Axis:
    """A scale: its ends, where ticks stand and what is written there, and what it measures."""

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
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def axis(low: float, high: float, title: str = "", *, form: str = "g", count: int = 5, scale: float = 1.0) -> Axis:
    """An axis with round ticks; `scale` multiplies what is written, 100 for per cent."""
    return Axis(low, high, title, [(at, f"{at * scale:{form}}") for at in nice_ticks(low, high, count)])


@dataclass
class Plot:
    """A chart in the units of its axes.

    Args:
        description: what a reader who cannot see it needs to know.
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
        """Where a value of the x axis lies, px."""
        span = self.width - self.left - self.right
        return self.left + span * (value - self.x.low) / ((self.x.high - self.x.low) or 1)

    def down(self, value: float) -> float:
        """Where a value of the y axis lies, px."""
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
        """A disc, with text that shows when it is pointed at."""
        told = f"<title>{escape(hint)}</title>" if hint else ""
        self.parts.append(
            f'<circle class="{kind}" cx="{self.across(x):.1f}" cy="{self.down(y):.1f}" r="{radius:g}">{told}</circle>'
        )

    def bar(self, x: tuple[float, float], y: tuple[float, float], kind: str = "fill-one", *, hint: str = "") -> None:
        """A rectangle between two values of each axis."""
        left, right = sorted(self.across(value) for value in x)
        upper, lower = sorted(self.down(value) for value in y)
        told = f"<title>{escape(hint)}</title>" if hint else ""
        self.parts.append(
            f'<rect class="{kind}" x="{left:.1f}" y="{upper:.1f}" width="{max(right - left, 0.5):.1f}" '
            f'height="{lower - upper:.1f}">{told}</rect>'
        )

    def whisker(self, x: float, low: float, high: float, kind: str = "one") -> None:
        """An interval of y at one x."""
        self.line([(x, low), (x, high)], kind, wide=1.5)

    def text(self, x: float, y: float, text: str, *, kind: str = "", anchor: str = "start", dx: float = 0,
             dy: float = 0) -> None:  # fmt: skip
        """Words at a point of the axes, moved by some pixels."""
        self.parts.append(_text(self.across(x) + dx, self.down(y) + dy, text, kind, anchor))

    def svg(self) -> str:
        """The picture."""
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


def figure(svg: str, caption: str) -> str:
    """A chart with the words below it; both HTML."""
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
