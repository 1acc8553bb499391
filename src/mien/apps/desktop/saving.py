"""Snapshots and recordings: written only when asked for, into the folder that was chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal

from mien.apps.desktop.marks import PicturePainter
from mien.apps.desktop.playback import Opened
from mien.apps.desktop.recorder import Recorder, free_name
from mien.errors import ConfigError, MienError
from mien.images.pictures import write
from mien.reading.pipeline import UInt8
from mien.sinks.base import Sink
from mien.sinks.factory import create_sink
from mien.sinks.video import VideoSink
from mien.structures import Face, Result

CreateSinks = Callable[[Path, Opened], Sequence[Sink]]
ENDINGS = (".mp4", ".csv")
CLOSING_S = 0.9


def create_sinks(path: Path, opened: Opened) -> list[Sink]:
    """The annotated video and the table of a recording; `path` has no ending."""
    video, table = (path.with_name(path.name + ending) for ending in ENDINGS)
    painter = PicturePainter()
    return [
        VideoSink(video, draw=lambda result: painter.draw(_image(result), result.faces)),
        create_sink(table, opened.labels, moving=True),
    ]


class Saver(QObject):
    """Writes what the window shows.

    Args:
        ask_folder: asks the user for a folder, None when they do not want to say.
        folder: where files went last time.
        create_sinks: opens the files of a recording.
    """

    saved = Signal(str, object)
    failed = Signal(str)
    folder_chosen = Signal(object)
    _ended = Signal(object)

    def __init__(
        self, ask_folder: Callable[[], Path | None], folder: Path | None, create_sinks: CreateSinks = create_sinks
    ) -> None:
        super().__init__()
        self.folder = folder
        self.recorder: Recorder | None = None
        self._ask_folder = ask_folder
        self._create_sinks = create_sinks
        self._ended.connect(self._tell_end, Qt.ConnectionType.QueuedConnection)

    def choose_folder(self) -> bool:
        """Ask where files shall go; whether there is an answer."""
        folder = self._ask_folder()
        if folder is not None:
            self.folder = folder
            self.folder_chosen.emit(folder)
        return folder is not None

    def snapshot(self, image: UInt8, faces: Sequence[Face], *, plain: bool) -> Path | None:
        """Write the picture as PNG, annotated as in the window or plain."""
        if self.folder is None and not self.choose_folder():
            return None
        assert self.folder is not None
        try:
            path = free_name(self.folder, (".png",)).with_suffix(".png")
            write(path, image if plain else PicturePainter().draw(image, faces))
        except (MienError, OSError) as error:
            self.failed.emit(f"The picture was not saved: {_told(error)}")
            return None
        self.saved.emit(f"Saved {path.name}", path.parent)
        return path

    def start(self, opened: Opened, threshold: float) -> Recorder | None:
        """Begin a recording; None when it cannot be."""
        if self.folder is None and not self.choose_folder():
            return None
        assert self.folder is not None
        try:
            path = free_name(self.folder, ENDINGS)
            sinks = self._create_sinks(path, opened)
        except (MienError, OSError) as error:
            self.failed.emit(f"Nothing is recorded: {_told(error)}")
            return None
        self.recorder = Recorder(path, sinks, self._ended.emit)
        self.recorder.threshold = threshold
        self.recorder.start()
        return self.recorder

    def put(self, result: Result) -> None:
        """Take a result; called in the playback's thread."""
        recorder = self.recorder
        if recorder is not None:
            recorder.put(result)

    def stop(self) -> None:
        """End the recording; the files are completed in the background, and told of."""
        if self.recorder is not None:
            self.recorder.stop()

    def close(self) -> None:
        """End the recording and wait until it is written."""
        if self.recorder is not None:
            self.recorder.stop()
            self.recorder.join(CLOSING_S)

    def _tell_end(self, recorder: Recorder) -> None:
        if recorder is self.recorder:
            self.recorder = None
        if recorder.error is not None:
            self.failed.emit(f"The recording broke off after {recorder.frames} frames: {recorder.error}")
            return
        left_out = f", {recorder.dropped} left out because the disk or processor was busy" if recorder.dropped else ""
        names = " and ".join(f"{recorder.path.name}{ending}" for ending in ENDINGS)
        self.saved.emit(f"Recorded {recorder.frames} frames{left_out}: {names}", recorder.path.parent)


def _told(error: MienError | OSError) -> str:
    return str(error) if isinstance(error, ConfigError | MienError) else error.strerror or str(error)


def _image(result: Result) -> UInt8:
    assert result.frame is not None
    return result.frame.image
