"""Where the parts of the window stand."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QVBoxLayout, QWidget


def split(stage: QWidget, transport: QWidget, timeline: QWidget) -> QSplitter:
    """The picture with what plays it, above the timeline; the line between them can be moved."""
    above = QWidget()
    column = _column(above)
    column.addWidget(stage, 1)
    column.addWidget(transport)
    splitter = QSplitter(Qt.Orientation.Vertical)
    splitter.addWidget(above)
    splitter.addWidget(timeline)
    splitter.setStretchFactor(0, 1)
    splitter.setCollapsible(0, False)
    splitter.setHandleWidth(1)
    return splitter


def arrange(bar: QWidget, middle: QWidget, panel: QWidget) -> QWidget:
    """The bar over everything, the settings beside the middle."""
    row = QHBoxLayout()
    row.setSpacing(0)
    row.addWidget(middle, 1)
    row.addWidget(panel)
    body = QWidget()
    column = _column(body)
    column.addWidget(bar)
    column.addLayout(row, 1)
    return body


def _column(widget: QWidget) -> QVBoxLayout:
    column = QVBoxLayout(widget)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    return column
