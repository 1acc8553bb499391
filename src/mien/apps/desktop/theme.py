"""Colours of the window, light and dark, and what Qt needs to wear them."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from mien.reading.drawing import PALETTE, UNSURE

THEMES = ("system", "light", "dark")


@dataclass(frozen=True)
class Theme:
    """The colours of one look, as Qt writes them."""

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
    """The colour that stands for an expression, here as in annotated pictures."""
    return QColor(*(UNSURE if abstained else PALETTE.get(label, UNSURE)))


def choose_theme(name: str) -> Theme:
    """The theme of that name; `system` is what the desktop wears now, light where it does not say."""
    if name == "system":
        return DARK if QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark else LIGHT
    return DARK if name == "dark" else LIGHT


def apply_theme(app: QApplication, theme: Theme) -> None:
    """Dress the whole application."""
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
