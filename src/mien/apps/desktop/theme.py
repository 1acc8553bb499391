"""The look of the window: light and dark colours, Qt style sheet, icons, combo box."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QByteArray, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPainter, QPaintEvent, QPalette, QPen, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication, QComboBox, QLabel, QWidget

from mien.reading.drawing import PALETTE, UNSURE

THEMES = ("system", "light", "dark")
ASSETS = Path(__file__).with_name("assets")
_ARROW_PX = 4.0


@dataclass(frozen=True)
class Theme:
    """The colours of one theme, in Qt's notation."""

    name: str
    window: str
    surface: str
    sunken: str
    text: str
    muted: str
    border: str
    hover: str
    accent: str
    on_accent: str
    danger: str
    danger_soft: str
    warning_soft: str
    info_soft: str


LIGHT = Theme(
    name="light", window="#f3f5f7", surface="#ffffff", sunken="#e6eaee", text="#1f2933", muted="#5b6975",
    border="#d3dae0", hover="#e9eef3", accent="#2f6fb0", on_accent="#ffffff", danger="#c22f2f",
    danger_soft="#fdeaea", warning_soft="#fff4dc", info_soft="#e5f0fa",
)  # fmt: skip
DARK = Theme(
    name="dark", window="#15181c", surface="#1f2429", sunken="#0e1013", text="#e7eaed", muted="#9aa7b3",
    border="#353c44", hover="#2a3138", accent="#7ab5e8", on_accent="#10202e", danger="#f2716b",
    danger_soft="#43201f", warning_soft="#3f331a", info_soft="#1c3146",
)  # fmt: skip


def label_colour(label: str, *, abstained: bool = False) -> QColor:
    """The colour of an expression, the same as in annotated photos."""
    return QColor(*(UNSURE if abstained else PALETTE.get(label, UNSURE)))


def choose_theme(name: str) -> Theme:
    """The theme of this name; `system` follows the desktop, light if it does not say."""
    if name == "system":
        return DARK if QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark else LIGHT
    return DARK if name == "dark" else LIGHT


def apply_theme(app: QApplication, theme: Theme) -> None:
    """Apply a theme to the whole application."""
    # The same on every system; native styles ignore part of a palette and style sheet.
    app.setStyle("Fusion")
    app.setPalette(_palette(theme))
    app.setStyleSheet(_sheet(theme))


def _palette(theme: Theme) -> QPalette:
    roles = QPalette.ColorRole
    palette = QPalette()
    for role, colour in {
        roles.Window: theme.window, roles.WindowText: theme.text, roles.Base: theme.surface,
        roles.AlternateBase: theme.window, roles.Text: theme.text, roles.Button: theme.surface,
        roles.ButtonText: theme.text, roles.BrightText: theme.on_accent, roles.Highlight: theme.accent,
        roles.HighlightedText: theme.on_accent, roles.ToolTipBase: theme.surface, roles.ToolTipText: theme.text,
        roles.PlaceholderText: theme.muted, roles.Link: theme.accent, roles.Mid: theme.border,
    }.items():  # fmt: skip
        palette.setColor(role, QColor(colour))
    for role in (roles.Text, roles.ButtonText, roles.WindowText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.muted))
    return palette


def _sheet(t: Theme) -> str:
    return f"""
    QWidget {{ font-size: 13px; }}
    QToolTip {{ background: {t.surface}; color: {t.text}; border: 1px solid {t.border}; padding: 4px 6px; }}
    #bar, #panel, #transport, #timeline {{ background: {t.surface}; }}
    #bar {{ border-bottom: 1px solid {t.border}; }}
    #transport {{ border-top: 1px solid {t.border}; }}
    #panel {{ border-left: 1px solid {t.border}; }}
    #panelbody {{ background: {t.surface}; }}
    QScrollArea {{ border: none; background: {t.surface}; }}
    #heading {{ color: {t.text}; font-weight: 600; font-size: 14px; }}
    #caption, #note {{ color: {t.muted}; }}
    #note {{ font-size: 12px; }}
    #figure {{ color: {t.text}; font-weight: 600; }}
    QToolButton, QPushButton {{
        background: transparent; color: {t.text}; border: 1px solid transparent; border-radius: 6px; padding: 5px 9px;
    }}
    QToolButton[popupMode="2"] {{ padding-right: 22px; }}
    QToolButton::menu-indicator {{ subcontrol-position: right center; right: 9px; width: 8px; }}
    QToolButton:hover, QPushButton:hover {{ background: {t.hover}; }}
    QToolButton:pressed, QPushButton:pressed, QToolButton:checked {{ background: {t.sunken}; }}
    QToolButton:focus, QPushButton:focus, QComboBox:focus, QLineEdit:focus {{ border: 1px solid {t.accent}; }}
    QToolButton:disabled, QPushButton:disabled {{ color: {t.muted}; }}
    QPushButton#outlined {{ border: 1px solid {t.border}; padding: 6px 12px; }}
    QPushButton#primary {{
        background: {t.accent}; color: {t.on_accent}; border: 1px solid {t.accent}; padding: 8px 16px; font-weight: 600;
    }}
    QPushButton#primary:focus, QPushButton#outlined:focus {{ border: 2px solid {t.text}; }}
    QToolButton#record[recording="true"] {{
        background: {t.danger}; color: {t.on_accent}; border: 1px solid {t.danger}; font-weight: 600;
    }}
    QComboBox, QLineEdit {{
        background: {t.surface}; color: {t.text}; border: 1px solid {t.border}; border-radius: 6px; padding: 4px 8px;
        min-height: 20px; selection-background-color: {t.accent}; selection-color: {t.on_accent};
    }}
    QComboBox::drop-down {{ border: none; width: 22px; }}
    QSplitter::handle {{ background: {t.border}; }}
    QComboBox QAbstractItemView {{ background: {t.surface}; color: {t.text}; border: 1px solid {t.border}; }}
    QMenu {{ background: {t.surface}; color: {t.text}; border: 1px solid {t.border}; padding: 4px; }}
    QMenu::item {{ padding: 6px 24px 6px 12px; border-radius: 4px; }}
    QMenu::item:selected {{ background: {t.hover}; }}
    QMenu::item:disabled {{ color: {t.muted}; }}
    QMenu::separator {{ height: 1px; background: {t.border}; margin: 4px 8px; }}
    QCheckBox {{ color: {t.text}; spacing: 8px; padding: 2px; }}
    QCheckBox::indicator {{
        width: 14px; height: 14px; border: 1px solid {t.muted}; border-radius: 3px; background: {t.surface};
    }}
    QCheckBox::indicator:hover, QCheckBox::indicator:focus {{ border-color: {t.accent}; }}
    QCheckBox::indicator:checked {{
        background: {t.accent}; border-color: {t.accent}; image: url("{(ASSETS / f"tick-{t.name}.svg").as_posix()}");
    }}
    QCheckBox:disabled {{ color: {t.muted}; }}
    QSlider {{ min-height: 20px; }}
    QSlider::groove:horizontal {{ height: 4px; background: {t.border}; border-radius: 2px; }}
    QSlider::sub-page:horizontal {{ background: {t.accent}; border-radius: 2px; }}
    QSlider::handle:horizontal {{
        background: {t.surface}; border: 2px solid {t.accent}; width: 12px; height: 12px; margin: -6px 0;
        border-radius: 8px;
    }}
    QSlider::handle:horizontal:focus {{ background: {t.accent}; }}
    QSlider::handle:horizontal:disabled {{ border-color: {t.border}; }}
    QSlider::sub-page:horizontal:disabled {{ background: {t.border}; }}
    #banner {{ border-radius: 8px; }}
    #banner[level="info"] {{ background: {t.info_soft}; }}
    #banner[level="warning"] {{ background: {t.warning_soft}; }}
    #banner[level="error"] {{ background: {t.danger_soft}; }}
    #banner QLabel {{ color: {t.text}; }}
    #card {{ background: {t.surface}; border: 1px solid {t.border}; border-radius: 12px; }}
    #title {{ color: {t.text}; font-size: 20px; font-weight: 600; }}
    #key {{
        background: {t.window}; color: {t.text}; border: 1px solid {t.border}; border-radius: 4px; padding: 2px 7px;
        font-weight: 600;
    }}
    #veil {{ background: rgba(10, 12, 15, 150); }}
    QScrollBar:vertical {{ background: transparent; width: 10px; }}
    QScrollBar::handle:vertical {{ background: {t.border}; border-radius: 4px; min-height: 24px; margin: 1px; }}
    QScrollBar::add-line, QScrollBar::sub-line {{ height: 0; }}
    QStatusBar {{ background: {t.surface}; border-top: 1px solid {t.border}; color: {t.muted}; }}
    QStatusBar::item {{ border: none; }}
    QStatusBar QLabel {{ color: {t.muted}; font-size: 12px; padding: 0 6px; }}
    """


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


def create_label(role: str, text: str = "") -> QLabel:
    """A label that the style sheet draws by its role, such as `heading` or `caption`."""
    label = QLabel(text)
    label.setObjectName(role)
    return label


def restyle(widget: QWidget) -> None:
    """Apply the style sheet again: Qt does not notice that a property or name in a selector has changed."""
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def create_icon(name: str, colour: str, *, disabled: str | None = None) -> QIcon:
    """An icon in one colour, sharp at every scale; `disabled` is its colour when disabled."""
    icon = QIcon()
    # For screens of one, two and three device pixels per pixel.
    for size in (20, 40, 60):
        icon.addPixmap(draw_icon(name, colour, size))
        if disabled:
            icon.addPixmap(draw_icon(name, disabled, size), QIcon.Mode.Disabled)
    return icon


def draw_icon(name: str, colour: str, size_px: int, ratio: float = 1.0) -> QPixmap:
    """The icon as a pixmap, `size_px` square, with `ratio` device pixels per pixel."""
    shape = SHAPES[name].replace("COLOUR", colour)
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" '
        f'stroke="{colour}" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round">{shape}</svg>'
    )
    device_px = round(size_px * ratio)
    pixmap = QPixmap(device_px, device_px)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(0, 0, device_px, device_px))
    painter.end()
    # Only now: a painter on a pixmap that knows its ratio would count in scaled pixels.
    pixmap.setDevicePixelRatio(ratio)
    return pixmap


class Choice(QComboBox):
    """A combo box; style sheets remove Qt's own arrow, so this draws one."""

    def __init__(self, name: str, tip: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setToolTip(tip)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the arrow over the box."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = QPen(self.palette().placeholderText().color(), 1.6)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        x, y, a = self.width() - 14.0, self.height() / 2 - 1.5, _ARROW_PX
        painter.drawPolyline([QPointF(x - a, y), QPointF(x, y + a), QPointF(x + a, y)])
        painter.end()
