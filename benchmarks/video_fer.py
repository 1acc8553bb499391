"""The side of `fer` in video.py: run by the Python of fer's own environment.

    python video_fer.py CLIP FRAMES

Reads the first frames of the clip by OpenCV, as fer's own `Video` does, and prints frames a second as JSON.
"""

from __future__ import annotations

import json
import sys
import time

import cv2
from fer.fer import FER


def main() -> None:
    clip, count = sys.argv[1], int(sys.argv[2])
    detector = FER()
    capture = cv2.VideoCapture(clip)
    frames = faces = 0
    detector.detect_emotions(capture.read()[1])
    started = time.perf_counter()
    while frames < count:
        there, frame = capture.read()
        if not there:
            break
        faces += len(detector.detect_emotions(frame))
        frames += 1
    seconds = time.perf_counter() - started
    print(json.dumps({"frames": frames, "frames_a_second": frames / seconds, "faces_a_frame": faces / max(frames, 1)}))


if __name__ == "__main__":
    main()
