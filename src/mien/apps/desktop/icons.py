"""The window's icons: line drawings on a grid of 24, in whatever colour the theme asks for."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

SHAPES = {
    "about": '<circle cx="12" cy="12" r="9"/><path d="M12 11v5.5M12 7.6v.2"/>',
    "camera": '<rect x="3" y="6" width="12.5" height="12" rx="2.5"/><path d="M15.5 10.5 21 7.5v9l-5.5-3"/>',
    "close": '<path d="M6.5 6.5l11 11M17.5 6.5l-11 11"/>',
    "dark": '<path d="M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z"/>',
    "file": '<path d="M3.5 18.5v-12a1.5 1.5 0 0 1 1.5-1.5h4.2l2 2.5H19A1.5 1.5 0 0 1 20.5 9v9.5'
    'a1.5 1.5 0 0 1-1.5 1.5H5a1.5 1.5 0 0 1-1.5-1.5z"/>',
    "full": '<path d="M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5"/>',
    "help": '<circle cx="12" cy="12" r="9"/><path d="M9.4 9.6a2.6 2.6 0 1 1 3.6 2.4c-.7.35-1 .8-1 1.6M12 16.8v.1"/>',
    "light": '<circle cx="12" cy="12" r="4"/><path d="M12 2.5v2.5M12 19v2.5M2.5 12H5M19 12h2.5M5.3 5.3'
    'l1.8 1.8M16.9 16.9l1.8 1.8M18.7 5.3l-1.8 1.8M7.1 16.9l-1.8 1.8"/>',
    "network": '<circle cx="12" cy="12" r="9"/><path d="M3 12h18M12 3c3.2 3 3.2 15 0 18M12 3c-3.2 3-3.2 15 0 18"/>',
    "panel": '<path d="M4 7h8M18 7h2M4 17h2M12 17h8"/><circle cx="15" cy="7" r="2.5"/><circle cx="9" cy="17" r="2.5"/>',
    "pause": '<path d="M8.5 5.5v13M15.5 5.5v13" stroke-width="3"/>',
    "play": '<path d="M8 5.2v13.6L19 12z" fill="COLOUR"/>',
    "record": '<circle cx="12" cy="12" r="8.5"/><circle cx="12" cy="12" r="4.5" fill="COLOUR" stroke="none"/>',
    "replay": '<path d="M5 12a7.5 7.5 0 1 0 2.5-5.6M7 2.8v4h4"/>',
    "snapshot": '<path d="M4 8.5A1.5 1.5 0 0 1 5.5 7h2.8l1.5-2.5h4.4L15.7 7h2.8A1.5 1.5 0 0 1 20 8.5v9'
    'a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 17.5z"/><circle cx="12" cy="12.8" r="3.4"/>',
    "stop": '<rect x="6.5" y="6.5" width="11" height="11" rx="1.5" fill="COLOUR"/>',
    "warning": '<path d="M12 4 21.5 20h-19z"/><path d="M12 10v5M12 17.4v.1"/>',
}


def create_icon(name: str, colour: str, *, disabled: str | None = None) -> QIcon:
    """An icon of that name in one colour, sharp at every scale; `disabled` is the colour where it cannot be used."""
    icon = QIcon()
    for size in (20, 40, 60):
        icon.addPixmap(draw_icon(name, colour, size))
        if disabled:
            icon.addPixmap(draw_icon(name, disabled, size), QIcon.Mode.Disabled)
    return icon


def draw_icon(name: str, colour: str, size_px: int) -> QPixmap:
    """The icon as a picture of so many pixels."""
    shape = SHAPES[name].replace("COLOUR", colour)
    svg = (
        '<svg xmlns="http://www.w3.org/20/svg" viewBox="0 0 24 24" fill="none" '
        f'stroke="{colour}" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round">{shape}</svg>'
    )
    pixmap = QPixmap(size_px, size_px)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(0, 0, size_px, size_px))
    painter.end()
    return pixmap
