"""The settings at the side: model, detector, labels, threshold, balance, smoothing, theme, save folder."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from mien.apps.desktop.playback import Reading
from mien.apps.desktop.theme import Choice, create_label
from mien.artifact.artifact import load_manifest
from mien.artifact.catalog import DEFAULT_MODEL, list_bundled, resolve
from mien.errors import MienError
from mien.labels import percent

WIDTH_PX = 264
DETECTOR_NAMES = {"auto": "Automatic", "mien": "Mien", "yunet": "YuNet", "haar": "Haar"}
LABEL_NAMES = {"seven": "Seven", "eight": "Eight (with contempt)"}
THEME_NAMES = {"system": "System", "light": "Light", "dark": "Dark"}
DRAW_NAMES = {"landmarks": "Landmarks", "pose": "Head pose"}
_FOLDER = "Folder…"


class Panel(QScrollArea):
    """Controls in order of importance; changes are signals."""

    reading_changed = Signal(object)
    threshold_changed = Signal(float)
    theme_changed = Signal(str)
    model_folder_wanted = Signal()
    save_folder_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.setAccessibleName("Settings")
        self.setWidgetResizable(True)
        self.setFixedWidth(WIDTH_PX)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.model = _choice("Model", "The model that reads expressions", {n: n for n in list_bundled()})
        self.model.addItem(_FOLDER, _FOLDER)
        self.detector = _choice("Detector", "What finds the faces; automatic is Mien's own", DETECTOR_NAMES)
        self.labels = _choice("Labels", "The set of labels", LABEL_NAMES)
        self.theme = _choice("Theme", "Light or dark (T)", THEME_NAMES)
        self.smooth = QCheckBox("Smooth over time")
        self.smooth.setToolTip("Average over a third of a second, and change a label only on lasting evidence")
        self.draw = {name: QCheckBox(text) for name, text in DRAW_NAMES.items()}
        self.draw["landmarks"].setToolTip("Draw 68 landmarks of each face (L)")
        self.draw["pose"].setToolTip("Draw the axes of each head: red to the person's left, green up, blue forward (H)")
        self.threshold = _slider("Not sure below", "Faces whose confidence is below this are shown as not sure")
        self.threshold_value = create_label("figure")
        self.balance = _slider(
            "Balance",
            "Off: expressions are as frequent as in the training data, mostly neutral and happy. 100 %: all are "
            "equally frequent, so rare ones are found more often, sometimes wrongly. The model has its own default",
        )
        self.balance_value = create_label("figure")
        self.save_folder = QPushButton("Choose…")
        self.save_folder.setObjectName("outlined")
        self.save_folder.setAccessibleName("Folder for snapshots and recordings")
        self._model: str | None = None
        self._balance: float | None = None
        self._temporal: str | None = None
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        body = QWidget()
        body.setObjectName("panelbody")
        column = QVBoxLayout(body)
        column.setContentsMargins(16, 14, 16, 14)
        column.setSpacing(8)
        column.addWidget(create_label("heading", "Analysis"))
        column.addLayout(_form({"Model": self.model, "Detector": self.detector, "Labels": self.labels}))
        for slider, value in ((self.threshold, self.threshold_value), (self.balance, self.balance_value)):
            line = QHBoxLayout()
            line.addWidget(create_label("caption", slider.accessibleName()))
            line.addStretch()
            line.addWidget(value)
            column.addSpacing(2)
            column.addLayout(line)
            column.addWidget(slider)
        for box in (self.smooth, *self.draw.values()):
            column.addWidget(box)
        column.addSpacing(8)
        column.addWidget(create_label("heading", "Window"))
        column.addLayout(_form({"Theme": self.theme, "Save to": self.save_folder}))
        column.addStretch()
        self.setWidget(body)

    def _connect(self) -> None:
        # `activated` comes from the user alone, and also if Folder… is chosen a second time.
        self.model.activated.connect(self._model_chosen)
        for choice in (self.detector, self.labels):
            choice.currentIndexChanged.connect(self._emit)
        for box in (self.smooth, *self.draw.values()):
            box.toggled.connect(self._emit)
        self.threshold.valueChanged.connect(self._threshold_moved)
        self.balance.valueChanged.connect(self._balance_moved)
        self.balance.sliderReleased.connect(self._emit)
        self.theme.currentIndexChanged.connect(lambda: self.theme_changed.emit(self.theme.currentData()))
        self.save_folder.clicked.connect(self.save_folder_wanted)

    @property
    def reading(self) -> Reading:
        """The current choices."""
        return Reading(
            model=self._model,
            detector=self.detector.currentData(),
            labels=self.labels.currentData(),
            smooth=self.smooth.isChecked(),
            balance=self._balance,
            draw=tuple(name for name, box in self.draw.items() if box.isChecked()),
            temporal=self._temporal,
        )

    def set_reading(self, reading: Reading) -> None:
        """Show these choices without emitting signals."""
        # Each blocks as long as it exists.
        parts = (self.model, self.detector, self.labels, self.smooth, self.balance, *self.draw.values())
        blockers = [QSignalBlocker(part) for part in parts]
        self._balance, self._temporal = reading.balance, reading.temporal
        self._show_model(reading.model)
        self.detector.setCurrentIndex(max(0, self.detector.findData(reading.detector)))
        self.labels.setCurrentIndex(max(0, self.labels.findData(reading.labels)))
        self.smooth.setChecked(reading.smooth)
        for name, box in self.draw.items():
            box.setChecked(name in reading.draw)
        del blockers

    def set_threshold(self, threshold: float) -> None:
        """Move the slider."""
        self.threshold.setValue(round(100 * threshold))
        self._threshold_moved(self.threshold.value())

    def set_theme_name(self, name: str) -> None:
        """Show which theme is chosen."""
        blocker = QSignalBlocker(self.theme)
        self.theme.setCurrentIndex(max(0, self.theme.findData(name)))
        del blocker

    def set_save_folder(self, folder: Path | None) -> None:
        """Show where files are saved."""
        self.save_folder.setText("Choose…" if folder is None else folder.name or str(folder))
        self.save_folder.setToolTip("Where snapshots and recordings are saved" + (f": {folder}" if folder else ""))

    def use_model_folder(self, folder: Path) -> None:
        """Use the model in this folder."""
        blocker = QSignalBlocker(self.model)
        self._show_model(str(folder))
        del blocker
        self._emit()

    def _show_model(self, model: str | None) -> None:
        self._model = model
        at = self.model.findData(DEFAULT_MODEL if model is None else model)
        # The last entry is Folder…, which also shows a model that was chosen by its folder.
        last = self.model.count() - 1
        if 0 <= at < last:
            self.model.setItemText(last, _FOLDER)
            self.model.setCurrentIndex(at)
        else:
            self.model.setItemText(last, f"{Path(str(model)).name} ({_FOLDER})")
            self.model.setCurrentIndex(last)
        self._show_balance()

    def _show_balance(self) -> None:
        """What was chosen, or else the model's own rule."""
        blocker = QSignalBlocker(self.balance)
        self.balance.setValue(round(100 * (_rule(self._model) if self._balance is None else self._balance)))
        del blocker
        self.balance_value.setText(_share(self.balance.value()))

    def _model_chosen(self) -> None:
        chosen = self.model.currentData()
        # Folder… is no model: the box shows the present one until a folder is chosen.
        if chosen == _FOLDER:
            self._show_model(self._model)
            self.model_folder_wanted.emit()
        elif chosen != (self._model or DEFAULT_MODEL):
            self._show_model(chosen)
            self._emit()

    def _emit(self) -> None:
        self.reading_changed.emit(self.reading)

    def _threshold_moved(self, value: int) -> None:
        self.threshold_value.setText(_share(value))
        self.threshold_changed.emit(value / 100)

    def _balance_moved(self, value: int) -> None:
        """Emit at the end of a drag, and after each key or wheel step: every change restarts the reading."""
        self._balance = value / 100
        self.balance_value.setText(_share(value))
        if not self.balance.isSliderDown():
            self._emit()


def _rule(model: str | None) -> float:
    """The balance that a model's manifest asks for; 0 for a model that cannot be read: playing it says so."""
    try:
        return load_manifest(resolve(model)).reading.balance
    except MienError:
        return 0.0


def _slider(name: str, tip: str) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(0, 100)
    slider.setPageStep(5)
    slider.setAccessibleName(name)
    slider.setToolTip(tip)
    return slider


def _share(value: int) -> str:
    return "off" if value == 0 else percent(value / 100)


def _choice(name: str, tip: str, items: dict[str, str]) -> QComboBox:
    box = Choice(name, tip)
    box.setMinimumContentsLength(8)
    # A long model name must not widen the panel.
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    for value, text in items.items():
        box.addItem(text, value)
    return box


def _form(rows: dict[str, QWidget]) -> QFormLayout:
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setHorizontalSpacing(14)
    form.setVerticalSpacing(7)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for name, widget in rows.items():
        form.addRow(create_label("caption", name), widget)
    return form
