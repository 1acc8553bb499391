"""Makes watch-light.png and watch-dark.png: `mien watch` on a clip made of a portrait in the public domain.

    python docs/images/make_watch.py            with a screen, or QT_QPA_PLATFORM=offscreen

The portrait is Eileen Collins, NASA, as shipped by scikit-image. The clip moves over it, comes nearer, and fades.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QTimer
from PySide6.QtGui import QCursor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from skimage.data import astronaut

from mien.apps.desktop.app import need_display
from mien.apps.desktop.settings import Settings
from mien.apps.desktop.window import Window

HERE = Path(__file__).parent
SECONDS, RATE_HZ, WIDTH, HEIGHT = 26, 10, 600, 400
SHOWN_AT_S = 24.0
LOOK_MS = 100

UInt8 = npt.NDArray[np.uint8]


def iter_pictures() -> Iterator[UInt8]:
    """The clip: the portrait from near and far, blurred and dark for a while, so that the reading has to change."""
    portrait = astronaut()
    for number in range(SECONDS * RATE_HZ):
        time_s = number / RATE_HZ
        scale = 1.5 + 0.3 * np.sin(2 * np.pi * time_s / 13)
        half_width, half_height = WIDTH / 2 / scale, HEIGHT / 2 / scale
        x = np.clip(245 + 45 * np.sin(2 * np.pi * time_s / 9), half_width, portrait.shape[1] - half_width)
        y = np.clip(150 + 15 * np.sin(2 * np.pi * time_s / 7), half_height, portrait.shape[0] - half_height)
        move = np.array([[scale, 0, WIDTH / 2 - scale * x], [0, scale, HEIGHT / 2 - scale * y]])
        picture = cv2.warpAffine(portrait, move, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
        hidden = np.clip(1 - abs(time_s - 12) / 3, 0, 1)
        if hidden:
            picture = cv2.GaussianBlur(picture, (0, 0), 0.1 + 9 * hidden * scale)
        light = 1 - 0.45 * hidden
        yield np.ascontiguousarray((picture * light).astype(np.uint8))


def write_clip(path: Path) -> None:
    """H.264 in MP4."""
    import av

    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in iter_pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def main() -> int:
    """Play the clip, write both pictures."""
    need_display(os.environ)
    app = QApplication(sys.argv[:1])
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "portrait.mp4"
        write_clip(clip)
        window = Window(Settings(Path(folder) / "desktop.ini"))
        window.resize(1120, 720)
        window.show()
        window.open(str(clip))

        def look() -> None:
            if window.time_s < SHOWN_AT_S:
                return
            timer.stop()
            window.toggle_play()
            QCursor.setPos(0, 0)
            QTest.qWait(300)
            for theme in ("light", "dark"):
                window.set_theme(theme)
                app.processEvents()
                window.grab().save(str(HERE / f"watch-{theme}.png"))
            window.close()

        timer = QTimer()
        timer.timeout.connect(look)
        timer.start(LOOK_MS)
        return app.exec()


if __name__ == "__main__":
    sys.exit(main())
