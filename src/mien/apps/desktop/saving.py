"""Snapshots and recordings: written only on request, into the folder that the user chose."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices

from mien.apps.desktop.controls import Transport
from mien.apps.desktop.picture import PicturePainter, judge
from mien.apps.desktop.playback import Opened, Player
from mien.apps.desktop.stage import Stage
from mien.errors import ConfigError, MienError
from mien.images.pictures import write
from mien.reading.pipeline import UInt8
from mien.reading.results import Result
from mien.sinks.annotated import VideoSink
from mien.sinks.base import Sink
from mien.sinks.formats import create_sink
from mien.structures import Face

CreateSinks = Callable[[Path, Opened], Sequence[Sink]]
ENDINGS = (".mp4", ".csv")
CLOSING_S = 0.9
WAITING = 16
"""Frames that may wait for the encoder; further ones are dropped and counted."""
POLL_S = 0.05


def create_sinks(path: Path, opened: Opened) -> list[Sink]:
    """The annotated video and the table of a recording; `path` has no suffix."""
    video, table = (path.with_name(path.name + ending) for ending in ENDINGS)
    # One for the whole video, so that bars keep their side from frame to frame.
    painter = PicturePainter(opened.draw)
    return [
        VideoSink(video, draw=lambda result: painter.draw(_image(result), result.faces)),
        create_sink(table, opened.labels, moving=True, geometry=bool(opened.draw)),
    ]


def free_name(folder: Path, endings: Sequence[str], now: datetime | None = None) -> Path:
    """A path without suffix in the folder, such that no file with one of the endings exists.

    Raises:
        ConfigError: the folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot create the folder {folder}: {error.strerror or error}") from error
    stem = f"mien-{now or datetime.now():%Y%m%d-%H%M%S}"
    path, number = folder / stem, 1
    # A recording is two files, which keep a common name.
    while any(path.with_name(path.name + ending).exists() for ending in endings):
        number += 1
        path = folder / f"{stem}-{number}"
    return path


class Recorder(threading.Thread):
    """Writes results in its own thread until it is stopped.

    Args:
        path: where to write, without suffix.
        sinks: what to write with.
        on_ended: called in the recorder's thread when the files are complete or have failed; see `error`.
    """

    def __init__(self, path: Path, sinks: Sequence[Sink], on_ended: Callable[[Recorder], None]) -> None:
        super().__init__(name="mien-recorder", daemon=True)
        self.path = path
        self.frames = 0
        self.dropped = 0
        self.threshold = 0.0
        self.error: str | None = None
        self._sinks = sinks
        self._on_ended = on_ended
        self._queue: queue.Queue[Result] = queue.Queue(WAITING)
        self._over = threading.Event()
        self._started_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started_s

    @property
    def files(self) -> list[Path]:
        """What has been written."""
        return [path for ending in ENDINGS if (path := self.path.with_name(self.path.name + ending)).exists()]

    def put(self, result: Result) -> None:
        """Queue a result; never blocks."""
        if self._over.is_set():
            return
        try:
            self._queue.put_nowait(result)
        except queue.Full:
            self.dropped += 1

    def stop(self) -> None:
        """Accept no more; what is queued is still written."""
        self._over.set()

    def run(self) -> None:
        """The thread's work."""
        try:
            with contextlib.ExitStack() as stack:
                for sink in self._sinks:
                    stack.enter_context(sink)
                self._write_all()
            if not self.frames:
                # The table is only a line of names.
                for path in self.files:
                    path.unlink()
        except (MienError, OSError) as error:
            # Reported by the window, since a thread has nobody to raise to.
            self.error = str(error)
        finally:
            # Also after an error, or frames would be queued for files that are lost.
            self._over.set()
            self._on_ended(self)

    def _write_all(self) -> None:
        while True:
            try:
                # Ends only when the queue is empty, so that all frames up to the stop are written.
                result = self._queue.get(timeout=POLL_S)
            except queue.Empty:
                if self._over.is_set():
                    return
                continue
            # Judged here: the threshold may change while frames wait.
            judged = replace(result, faces=judge(result.faces, self.threshold))
            for sink in self._sinks:
                sink.write(judged)
            self.frames += 1


class Saver(QObject):
    """Saves what the window shows.

    Args:
        ask_folder: asks the user for a folder; None if cancelled.
        folder: the one chosen last time.
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
        # Queued: the signal comes from the recorder's thread.
        self._ended.connect(self._report_end, Qt.ConnectionType.QueuedConnection)

    def choose_folder(self) -> bool:
        """Ask for the folder; whether one was chosen."""
        folder = self._ask_folder()
        if folder is not None:
            self.folder = folder
            self.folder_chosen.emit(folder)
        return folder is not None

    def snapshot(
        self, image: UInt8, faces: Sequence[Face], *, plain: bool, geometry: tuple[str, ...] = ()
    ) -> Path | None:
        """Write the frame as PNG, annotated as in the window or plain."""
        if self.folder is None and not self.choose_folder():
            return None
        assert self.folder is not None
        try:
            path = free_name(self.folder, (".png",)).with_suffix(".png")
            write(path, image if plain else PicturePainter(geometry).draw(image, faces))
        except (MienError, OSError) as error:
            self.failed.emit(f"Snapshot not saved: {_reason(error)}")
            return None
        self.saved.emit(f"Saved {path.name}", path.parent)
        return path

    def start(self, opened: Opened, threshold: float) -> Recorder | None:
        """Start a recording; None if that fails."""
        if self.folder is None and not self.choose_folder():
            return None
        assert self.folder is not None
        try:
            path = free_name(self.folder, ENDINGS)
            sinks = self._create_sinks(path, opened)
        except (MienError, OSError) as error:
            self.failed.emit(f"Recording not started: {_reason(error)}")
            return None
        self.recorder = Recorder(path, sinks, self._ended.emit)
        self.recorder.threshold = threshold
        self.recorder.start()
        return self.recorder

    def put(self, result: Result) -> None:
        """Record a result; called in the playback's thread."""
        recorder = self.recorder
        if recorder is not None:
            recorder.put(result)

    def stop(self) -> None:
        """Stop the recording; the files are completed in the background, then reported."""
        if self.recorder is not None:
            self.recorder.stop()

    def close(self) -> None:
        """Stop the recording and wait until it is written."""
        self.stop()
        if self.recorder is not None:
            self.recorder.join(CLOSING_S)

    def _report_end(self, recorder: Recorder) -> None:
        # Another recording may have begun while this one was completed.
        if recorder is self.recorder:
            self.recorder = None
        if recorder.error is not None:
            self.failed.emit(f"Recording failed after {recorder.frames} frames: {recorder.error}")
            return
        if not recorder.frames:
            self.failed.emit("Nothing was recorded: no frame came after the start")
            return
        left_out = f" ({recorder.dropped} dropped because the disk or processor was busy)" if recorder.dropped else ""
        names = " and ".join(path.name for path in recorder.files)
        self.saved.emit(f"Recorded {recorder.frames} frames{left_out}: {names}", recorder.path.parent)


def _reason(error: MienError | OSError) -> str:
    return str(error) if isinstance(error, MienError) else error.strerror or str(error)


def _image(result: Result) -> UInt8:
    assert result.frame is not None
    return result.frame.image


class Keeper:
    """Connects the saver to what is shown.

    Args:
        saver: writes files.
        player: passes its results to the saver during a recording.
        stage: holds the picture, and the banner that reports what was saved.
        transport: shows the length of the recording.
    """

    def __init__(self, saver: Saver, player: Player, stage: Stage, transport: Transport) -> None:
        self.saver, self.player, self.transport = saver, player, transport
        self.picture, self.banner = stage.picture, stage.banner
        saver.saved.connect(self._on_saved)
        saver.failed.connect(self._on_failed)

    @property
    def is_recording(self) -> bool:
        """Whether a recording is running or still being completed."""
        return self.saver.recorder is not None

    def snapshot(self, *, plain: bool = False) -> Path | None:
        """Save the frame that is shown."""
        result = self.picture.result
        if result is None or result.frame is None:
            return None
        picture = self.picture
        return self.saver.snapshot(result.frame.image, picture.faces, plain=plain, geometry=picture.draw)

    def start(self, opened: Opened) -> None:
        """Start recording."""
        if self.saver.start(opened, self.picture.threshold) is not None:
            self.player.tap = self.saver.put
            self.transport.set_recording(0.0)

    def stop(self) -> None:
        """Stop recording, if a recording is running."""
        self.player.tap = None
        self.saver.stop()
        self.transport.set_recording(None)

    def set_threshold(self, threshold: float) -> None:
        """Apply the threshold to the rest of the recording too."""
        if self.saver.recorder is not None:
            self.saver.recorder.threshold = threshold

    def show(self) -> None:
        """Show the length of the recording, if there is one."""
        recorder = self.saver.recorder
        self.transport.set_recording(None if recorder is None else recorder.elapsed_s)
        # A recording may have ended by itself, on a full disk.
        if recorder is None:
            self.player.tap = None

    def _on_failed(self, text: str) -> None:
        self.show()
        self.banner.show_message(text, level="error")

    def _on_saved(self, text: str, folder: Path) -> None:
        self.show()
        url = QUrl.fromLocalFile(str(folder))
        self.banner.show_message(text, action="Show in folder", on_action=lambda: QDesktopServices.openUrl(url))
