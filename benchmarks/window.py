"""Milliseconds from the capture of a frame to the end of the paint that shows it, in the window of `mien watch`.

    QT_QPA_PLATFORM=offscreen python benchmarks/window.py [--seconds 15]      (or under Xvfb, or on a screen)

The camera is synthetic: 1280×720 at 30 Hz, a public-domain portrait that moves sideways.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from skimage.data import astronaut

from mien.apps.desktop.playback import Player
from mien.apps.desktop.settings import Settings
from mien.apps.desktop.window import Window
from mien.sources.camera import create_synthetic

WARM_UP_S = 3
RATE_HZ = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15)
    seconds = parser.parse_args().seconds
    picture = np.zeros((720, 1280, 3), np.uint8)
    picture[100:612, 384:896] = astronaut()
    pictures = [np.ascontiguousarray(np.roll(picture, 4 * step, axis=1)) for step in range(8)]
    app = QApplication(["mien"])
    with tempfile.TemporaryDirectory() as folder:
        player = Player(open_source=lambda *_: create_synthetic(pictures, RATE_HZ))
        window = Window(Settings(Path(folder, "settings.ini")), player)
        window.resize(1120, 760)
        window.show()
        window.open("synthetic")
        used_s = 0.0

        def start() -> None:
            nonlocal used_s
            window.meter.clear()
            used_s = time.process_time()

        def end() -> None:
            latencies = np.sort(np.array(window.meter.latency_ms))
            p50, p95 = np.percentile(latencies, [50, 95])
            cpu_ms = 1000 * (time.process_time() - used_s) / len(latencies)
            print(f"{len(latencies)} frames in {seconds:g} s: p50 {p50:.1f} ms, p95 {p95:.1f} ms")
            print(f"processor {cpu_ms:.1f} ms a frame")
            window.close()
            app.quit()

        QTimer.singleShot(WARM_UP_S * 1000, start)
        QTimer.singleShot(round(1000 * (WARM_UP_S + seconds)), end)
        app.exec()


if __name__ == "__main__":
    main()
