from __future__ import annotations

import csv
import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from desk_fakes import BACK, BOX, FakeSource, face
from desks import Desk, discard
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QGuiApplication, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QApplication, QComboBox, QLineEdit

from mien.apps.desktop.controls import Camera
from mien.apps.desktop.playback import Reading, open_at
from mien.apps.desktop.settings import Settings
from mien.apps.desktop.theme import DARK, LIGHT
from mien.errors import ConfigError, SourceError
from mien.images.pictures import read, write
from mien.reading.drawing import PALETTE

Until = Callable[[Callable[[], object]], None]


def playing(desk: Desk, until: Until, source: FakeSource | None = None) -> None:
    """A window with the first frame in it."""
    desk.sources["clip.mp4"] = source or FakeSource(live=True)
    desk.window.open("clip.mp4")
    until(lambda: desk.window.picture.faces)


def pixels(desk: Desk) -> np.ndarray:
    """What the picture's widget shows, RGB uint8 (H, W, 3)."""
    grabbed = desk.window.picture.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    stride = grabbed.bytesPerLine()
    flat = np.frombuffer(grabbed.constBits(), np.uint8).reshape(grabbed.height(), stride)
    return flat[:, : 3 * grabbed.width()].reshape(grabbed.height(), grabbed.width(), 3)


def at(desk: Desk, x: float, y: float) -> tuple[int, ...]:
    """The colour that is shown at a point of the frame."""
    marks = desk.window.picture.marks()
    left, top = marks.target.left(), marks.target.top()
    return tuple(int(v) for v in pixels(desk)[round(top + y * marks.scale), round(left + x * marks.scale)])


def press(desk: Desk, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    QTest.keyClick(desk.window, key, modifier)


def test_it_opens_empty_and_says_what_is_missing(desk: Desk) -> None:
    window = desk.window
    assert window.welcome.isVisible()
    assert "No camera found" in window.welcome.text.text()
    assert not window.welcome.open_camera.isVisible()
    assert not window.transport.play.isEnabled()
    assert not window.transport.record.isEnabled()
    assert "not an inner feeling" in window.source_label.text()
    assert desk.opened == [], "no camera is opened unasked"


def test_a_camera_is_offered(desk: Desk, until: Until) -> None:
    desk.cameras = [Camera("camera:2", "Desk camera")]
    desk.sources["camera:2"] = FakeSource(live=True)
    desk.window.refresh_cameras()
    assert [action.text() for action in desk.window.bar.cameras.actions()] == ["Desk camera"]
    desk.window.welcome.open_camera.click()
    until(lambda: desk.window.picture.faces)
    assert desk.opened == [("camera:2", 0.0)]
    assert desk.window.transport.live.isVisible()
    assert not desk.window.transport.seek.isVisible()


def test_label_and_box_are_where_they_belong(desk: Desk, until: Until) -> None:
    playing(desk, until)
    window = desk.window
    assert window.picture.isVisible()
    assert window.picture.accessibleDescription() == "1 happy 70 %"
    assert at(desk, BOX[0], 70) == PALETTE["happy"]
    assert at(desk, BOX[2], 70) == PALETTE["happy"]
    assert at(desk, 70, 70) == BACK
    until(lambda: window.timeline.track == 1)
    assert "fake 1" in window.figures.text()
    assert "1 face" in window.figures.text()


def test_frames_are_counted_to_the_paint(desk: Desk, until: Until) -> None:
    playing(desk, until)
    until(lambda: len(desk.window.meter.latency_ms) >= 5)
    assert all(value > 0 for value in desk.window.meter.latency_ms)


def test_the_threshold_changes_the_label_also_while_paused(desk: Desk, until: Until) -> None:
    playing(desk, until)
    press(desk, Qt.Key.Key_Space)
    desk.window.panel.threshold.setValue(80)
    assert desk.window.picture.accessibleDescription() == "1 not sure"
    assert at(desk, BOX[0], 70) != PALETTE["happy"]
    assert desk.window.panel.threshold_value.text() == "80 %"
    desk.window.panel.threshold.setValue(0)
    assert desk.window.picture.accessibleDescription() == "1 happy 70 %"


def test_space_holds_the_picture_and_lets_it_go(desk: Desk, until: Until) -> None:
    playing(desk, until)
    window = desk.window
    press(desk, Qt.Key.Key_Space)
    assert window.transport.state == "paused"
    QTest.qWait(100)
    held = window.time_s
    QTest.qWait(100)
    assert window.time_s == held
    press(desk, Qt.Key.Key_Space)
    until(lambda: window.time_s > held)


def test_a_file_ends_and_plays_again(desk: Desk, until: Until) -> None:
    playing(desk, until, FakeSource(3))
    window = desk.window
    until(lambda: window.transport.state == "ended")
    assert window.transport.time.text() == "0:00 / 0:00"
    press(desk, Qt.Key.Key_Space)
    until(lambda: len(desk.opened) == 2)
    assert window.transport.state == "playing"
    assert len(desk.readings) == 1, "the model is loaded once"


def test_seeking_goes_on_from_there(desk: Desk, until: Until) -> None:
    playing(desk, until, FakeSource(600))
    window = desk.window
    press(desk, Qt.Key.Key_Space)
    window.transport.seek.setSliderPosition(3000)
    window.transport.sought.emit(30.0)
    until(lambda: window.time_s == 30.0)
    assert desk.opened[-1] == ("clip.mp4", 30.0)
    assert window.transport.state == "paused"
    assert window.transport.time.text() == "0:30 / 1:00"
    # The report of the reopened file may come after its first frame.
    window.player.opened.emit(window.opened)
    assert window.transport.time.text() == "0:30 / 1:00"
    press(desk, Qt.Key.Key_Right)
    until(lambda: window.time_s == 35.0)


@pytest.mark.parametrize("plain", [False, True])
def test_a_snapshot_is_the_frame(desk: Desk, until: Until, plain: bool) -> None:
    playing(desk, until)
    modifier = Qt.KeyboardModifier.ShiftModifier if plain else Qt.KeyboardModifier.NoModifier
    press(desk, Qt.Key.Key_S, modifier)
    (path,) = desk.folder.glob("mien-*.png")
    picture = read(path)
    assert picture.shape == (120, 160, 3)
    assert (picture == BACK).all() == plain
    assert path.name in desk.window.banner.text.text()


def test_two_snapshots_in_a_second_are_two_files(desk: Desk, until: Until) -> None:
    playing(desk, until)
    paths = {desk.window.snapshot() for _ in range(3)}
    assert len(paths) == 3


def test_a_recording_is_a_video_and_a_table(desk: Desk, until: Until) -> None:
    playing(desk, until)
    window = desk.window
    window.panel.threshold.setValue(80)
    press(desk, Qt.Key.Key_R)
    assert window.transport.record.text().startswith("Recording 0:0")
    assert window.transport.record.property("recording")
    recorder = window.saver.recorder
    assert recorder is not None
    until(lambda: recorder.frames >= 5)
    press(desk, Qt.Key.Key_R)
    until(lambda: window.saver.recorder is None)
    assert window.transport.record.text() == "Record"
    (table,) = desk.folder.glob("mien-*.csv")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == recorder.frames
    assert {(row["top"], row["abstained"], row["track_id"]) for row in rows} == {("happy", "1", "1")}
    (video,) = desk.folder.glob("mien-*.mp4")
    assert _frames(video) == recorder.frames
    assert not list(desk.folder.glob("*.part"))


def _frames(video: Path) -> int:
    import av

    with av.open(video) as container:
        return sum(1 for _ in container.decode(video=0))


def test_nothing_is_recorded_unasked(desk: Desk, until: Until) -> None:
    playing(desk, until, FakeSource(3))
    until(lambda: desk.window.transport.state == "ended")
    assert {path.suffix for path in desk.folder.iterdir()} <= {".ini"}


def test_closing_finishes_a_recording(desk: Desk, until: Until) -> None:
    playing(desk, until)
    desk.window.toggle_recording()
    recorder = desk.window.saver.recorder
    assert recorder is not None
    until(lambda: recorder.frames >= 2)
    desk.window.close()
    recorder.join(120)
    assert len(list(desk.folder.glob("mien-*.mp4"))) == len(list(desk.folder.glob("mien-*.csv"))) == 1


def test_a_recording_without_a_frame_names_no_files(desk: Desk, until: Until) -> None:
    playing(desk, until)
    # As when a video ends at once, because it was paused on its last frame.
    assert desk.window.opened is not None
    desk.window.saver.start(desk.window.opened, 0.0)
    desk.window.toggle_recording()
    until(lambda: desk.window.saver.recorder is None)
    assert desk.window.banner.text.text() == "Nothing was recorded: no frame came after the start"
    assert {path.suffix for path in desk.folder.iterdir()} <= {".ini"}


def test_a_recording_that_cannot_be_written_is_told(desk: Desk, until: Until) -> None:
    playing(desk, until)
    desk.saver.folder = desk.folder / "file" / "below"
    (desk.folder / "file").write_text("in the way")
    desk.window.toggle_recording()
    assert "Recording not started: cannot create the folder" in desk.window.banner.text.text()
    assert desk.window.transport.record.text() == "Record"


class FullDisk:
    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *_: object) -> None: ...

    def write(self, result: object) -> None:
        raise ConfigError("cannot write a.csv: No space left on device")


def test_a_disk_that_fills_up_ends_the_recording(desk: Desk, until: Until) -> None:
    playing(desk, until)
    desk.saver._create_sinks = lambda *_: [FullDisk()]
    desk.window.toggle_recording()
    until(lambda: desk.window.banner.isVisible())
    assert "failed after 0 frames: cannot write a.csv: No space left" in desk.window.banner.text.text()
    assert not desk.window.transport.record.property("recording")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SourceError("clip.mp4: no such file"), "clip.mp4: no such file"),
        (RuntimeError("odd"), "unexpected RuntimeError: odd"),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_is_told(desk: Desk, until: Until, error: Exception, told: str) -> None:
    desk.sources["clip.mp4"] = error
    desk.window.open("clip.mp4")
    until(lambda: desk.window.banner.isVisible())
    assert desk.window.banner.text.text() == told
    assert desk.window.welcome.isVisible()
    assert desk.window.transport.state == "idle"


def test_an_error_on_the_way_leaves_the_picture(desk: Desk, until: Until) -> None:
    playing(desk, until, FakeSource(2, breaks_with=SourceError("clip.mp4 breaks off at 0.2 s")))
    until(lambda: desk.window.banner.isVisible())
    assert desk.window.banner.text.text() == "clip.mp4 breaks off at 0.2 s"
    assert desk.window.picture.isVisible()


def test_an_error_of_the_model_is_told(desk: Desk, until: Until) -> None:
    desk.pipeline.error = ValueError("a bad crop")
    desk.sources["clip.mp4"] = FakeSource()
    desk.window.open("clip.mp4")
    until(lambda: "unexpected ValueError: a bad crop" in desk.window.banner.text.text())


def test_a_lost_camera_is_told(desk: Desk, until: Until) -> None:
    playing(desk, until)
    desk.notice("camera 0 is lost: trying again")
    until(lambda: desk.window.banner.isVisible())
    assert desk.window.banner.text.text() == "camera 0 is lost: trying again"
    assert not desk.window.banner._timer.isActive()
    until(lambda: desk.window.banner._timer.isActive())


def test_no_camera_leads_to_a_file(desk: Desk, until: Until) -> None:
    press(desk, Qt.Key.Key_C)
    assert desk.window.banner.button.text() == "Open file…"
    desk.files, desk.sources["a.mp4"] = ["a.mp4"], FakeSource(live=True)
    desk.window.banner.button.click()
    until(lambda: desk.window.picture.faces)
    assert desk.opened == [("a.mp4", 0.0)]


def test_a_file_can_be_dropped(desk: Desk, until: Until) -> None:
    path = str(desk.folder / "clip.mp4")
    desk.sources[path] = FakeSource(live=True)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(path)])
    copy, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    desk.window.dropEvent(QDropEvent(QPointF(5, 5), copy, data, left, Qt.KeyboardModifier.NoModifier))
    until(lambda: desk.window.picture.faces)


def test_an_address_can_be_typed(desk: Desk, until: Until) -> None:
    desk.sources["rtsp://host/live"] = FakeSource(live=True)
    desk.window.bar.address.setText("  rtsp://host/live ")
    desk.window.bar.open_address.click()
    until(lambda: desk.window.picture.faces)


def test_switching_fast_ends_with_the_last(desk: Desk, until: Until) -> None:
    for name in "abcdef":
        desk.sources[f"{name}.mp4"] = FakeSource(live=True)
        desk.window.open(f"{name}.mp4")
    until(lambda: desk.window.picture.faces)
    until(lambda: sum(thread.is_alive() for thread in desk.player._threads) == 1)
    assert desk.window.source == "f.mp4"
    assert desk.player.current is not None
    assert desk.player.current.source == "f.mp4"


def test_another_detector_reads_anew_at_the_same_place(desk: Desk, until: Until) -> None:
    playing(desk, until, FakeSource(600))
    window = desk.window
    press(desk, Qt.Key.Key_Space)
    window.seek(20.0)
    until(lambda: window.time_s == 20.0)
    window.panel.detector.setCurrentIndex(window.panel.detector.findData("haar"))
    until(lambda: len(desk.readings) == 2)
    assert desk.readings[-1] == Reading(detector="haar")
    until(lambda: desk.opened[-1] == ("clip.mp4", 20.0))
    window.panel.smooth.setChecked(False)
    until(lambda: desk.readings[-1] == Reading(detector="haar", smooth=False))
    window.panel.balance.setSliderDown(True)
    window.panel.balance.setValue(20)
    window.panel.balance.setValue(50)
    assert window.panel.balance_value.text() == "50 %"
    window.panel.balance.setSliderDown(False)
    until(lambda: desk.readings[-1] == Reading(detector="haar", smooth=False, balance=0.5))
    assert len(desk.readings) == 4, "a drag counts once"
    assert Reading(smooth=False).options().smooth_s == 0


def test_a_click_chooses_the_face_of_the_timeline(desk: Desk, until: Until) -> None:
    desk.pipeline.faces = [face(track=1), face("sad", track=2, box=(110, 60, 150, 100))]
    playing(desk, until)
    window = desk.window
    until(lambda: window.timeline.track == 1)
    marks = window.picture.marks()
    point = QPoint(round(marks.target.left() + 130 * marks.scale), round(marks.target.top() + 80 * marks.scale))
    QTest.mouseClick(window.picture, Qt.MouseButton.LeftButton, pos=point)
    until(lambda: window.timeline.track == 2)
    assert window.timeline.faces.currentText() == "Face 2"
    assert window.picture.chosen_track == 2


def test_the_theme_follows_the_choice(desk: Desk) -> None:
    window = desk.window
    window.set_theme("dark")
    assert window.grab().toImage().pixelColor(300, 5).name() == DARK.surface
    press(desk, Qt.Key.Key_T)
    assert window.grab().toImage().pixelColor(300, 5).name() == LIGHT.surface
    assert window.panel.theme.currentText() == "Light"


def test_the_systems_theme_is_followed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.window.set_theme("system")
    monkeypatch.setattr("mien.apps.desktop.window.choose_theme", lambda name: {"system": DARK}[name])
    QGuiApplication.styleHints().colorSchemeChanged.emit(Qt.ColorScheme.Dark)
    assert desk.window.theme is DARK


def test_choices_are_remembered_and_pictures_are_not(desk: Desk, until: Until) -> None:
    playing(desk, until)
    window = desk.window
    assert Settings(desk.folder / "desktop.ini").balance is None
    assert (window.panel.balance.value(), window.panel.balance_value.text()) == (30, "30 %")
    window.panel.threshold.setValue(40)
    window.panel.balance.setValue(50)
    window.panel.detector.setCurrentIndex(window.panel.detector.findData("haar"))
    window.set_theme("dark")
    window.close()
    again = Settings(desk.folder / "desktop.ini")
    assert (again.threshold, again.balance, again.detector, again.theme) == (0.4, 0.5, "haar", "dark")
    assert again.model is None
    assert "clip" not in (desk.folder / "desktop.ini").read_text()


def test_a_picture_is_a_source_of_one_frame(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", np.full((20, 30, 3), 7, np.uint8))
    with open_at(str(path), 0.0, print) as source:
        frames = list(source)
    assert [frame.image.shape for frame in frames] == [(20, 30, 3)]
    assert frames[0].source == str(path)


def test_settings_that_make_no_sense_count_as_not_set(tmp_path: Path) -> None:
    path = tmp_path / "desktop.ini"
    path.write_text("[General]\ntheme=pink\nthreshold=much\ndetector=eye\ngeometry=7\n")
    found = Settings(path)
    assert (found.theme, found.threshold, found.detector) == ("system", 0.0, "auto")
    assert found.geometry.isEmpty()


def test_keys_are_explained(desk: Desk) -> None:
    window = desk.window
    press(desk, Qt.Key.Key_F1)
    assert window.help.isVisible()
    press(desk, Qt.Key.Key_Escape)
    assert not window.help.isVisible()
    window.bar.about.click()
    assert window.about.isVisible()


def test_full_screen_shows_the_picture_alone(desk: Desk) -> None:
    press(desk, Qt.Key.Key_F)
    assert desk.window.isFullScreen()
    assert not desk.window.bar.isVisible()
    assert not desk.window.timeline.isVisible()
    press(desk, Qt.Key.Key_Escape)
    assert not desk.window.isFullScreen()
    assert desk.window.bar.isVisible()


def test_every_control_has_a_name_and_a_tip(desk: Desk) -> None:
    for kind in (QAbstractButton, QComboBox, QAbstractSlider, QLineEdit):
        for control in desk.window.findChildren(kind):
            if control.objectName().startswith("qt_") or "ScrollBar" in control.metaObject().className():
                continue
            assert control.accessibleName() or getattr(control, "text", str)(), control
    for control in (
        *desk.window.bar.findChildren(QAbstractButton),
        *desk.window.transport.findChildren(QAbstractButton),
    ):
        if control.parent() in (desk.window.bar, desk.window.transport):
            assert control.toolTip(), control.accessibleName()


@pytest.mark.parametrize("size", [(640, 480), (1600, 1000)])
def test_it_fits(desk: Desk, until: Until, size: tuple[int, int]) -> None:
    desk.window.resize(*size)
    playing(desk, until)
    desk.window.bar.panel.setChecked(False)
    assert (desk.window.width(), desk.window.height()) == size
    assert desk.window.picture.target().width() > 200


def test_closing_ends_all_threads(desk: Desk, until: Until) -> None:
    playing(desk, until)
    desk.window.close()
    until(lambda: not any(thread.is_alive() for thread in desk.player._threads))


def test_a_source_that_ended_is_let_go_while_its_window_is_open(desk: Desk, until: Until) -> None:
    playing(desk, until)
    playback = desk.player.current
    assert playback is not None
    source = weakref.ref(playback._opened)
    desk.player.stop()
    until(lambda: not playback.is_alive())
    gc.collect()
    assert source() is None


def test_a_window_that_was_closed_is_freed(qt: QApplication, tmp_path: Path) -> None:
    """Who opens one after another, as in a notebook, keeps none of their pictures."""
    shown = Desk(tmp_path).window
    shown.show()
    discard(shown)
    window = weakref.ref(shown)
    del shown
    gc.collect()
    assert window() is None
