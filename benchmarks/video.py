"""Speed, memory, latency and flicker of reading video, on a 1280×720 clip with one face made from a small one.

    python benchmarks/video.py --clip FILE [--home FOLDER] [--flicker FILE ...] [--peers] [--out video.json]

`--clip` is any video with one face; it is played to and fro, enlarged to 1280×720 at 30 frames a second, and encoded as
H.264. `--peers` reads the same clip with the PyPI package `fer` in an environment of its own, as peers.py makes it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from peers import install, interpreter, machine, quiet_environment
from video_material import SyntheticCamera, loop_clip, make_clip, read_frames

LONG_S = 600.0
RATE_HZ = 30.0


def read_file(
    pipeline: Any, clip: Path, rows: Path, options: Any = None, *, first_minute_s: float = 60.0
) -> dict[str, Any]:
    """Frames a second from opening the file to its closed table, time by stage, resident memory on the way."""
    from mien.reading.stages import Profile
    from mien.sinks import create_sink

    profile = Profile()
    frames, memory_mb = 0, {}
    started = time.perf_counter()
    with create_sink(rows, pipeline.labels, moving=True, overwrite=True) as sink:
        for result in pipeline.stream(str(clip), options, profile=profile):
            with profile.stage("write"):
                sink.write(result)
            frames += 1
            if "minute" not in memory_mb and result.frame.time_s >= first_minute_s:
                memory_mb["minute"] = resident_mb()
    seconds = time.perf_counter() - started
    memory_mb["end"] = resident_mb()
    stages = {name: 1000 * spent / frames for name, spent in profile.seconds.items()}
    return {"frames": frames, "frames_a_second": frames / seconds, "stages_ms": stages, "memory_mb": memory_mb}


def resident_mb() -> float:
    """What this process holds in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure_speed(clip: Path, folder: Path, repeats: int) -> dict[str, Any]:
    """The median run of each detector, after one run to warm up."""
    from mien import Pipeline
    from mien.errors import MienError
    from mien.reading.streaming import StreamOptions

    # As users have it, and as it would be if the whole frame were searched each time.
    ways = {name: StreamOptions() for name in ("mien", "yunet", "haar")}
    ways |= {f"{name}, searching": StreamOptions(search_every=0) for name in ("mien", "yunet")}
    found = {}
    for way, options in ways.items():
        name = way.partition(",")[0]
        try:
            pipeline = Pipeline(detector=name)
        except MienError as error:
            print(f"{name} is left out: {error}")
            continue
        runs = [read_file(pipeline, clip, folder / "rows.csv", options) for _ in range(repeats + 1)][1:]
        runs.sort(key=lambda run: run["frames_a_second"])
        found[way] = {key: runs[len(runs) // 2][key] for key in ("frames", "frames_a_second", "stages_ms")}
    return found


def measure_memory(clip: Path, folder: Path) -> dict[str, float]:
    """Memory of a process of its own that reads ten minutes, after the first one and at the end."""
    long_clip = loop_clip(clip, folder / "long.mp4", LONG_S)
    command = [sys.executable, __file__, "--memory-of", str(long_clip)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    long_clip.unlink()
    found: dict[str, float] = json.loads(done.stdout)["memory_mb"]
    return found | {"growth": found["end"] - found["minute"]}


def measure_latency(clip: Path, seconds: float) -> dict[str, float]:
    """Milliseconds from a frame's capture to its result, and the share of frames that got one."""
    from mien import Pipeline

    pipeline = Pipeline()
    pipeline.analyze_frame(read_frames(clip, 1)[0])
    camera = SyntheticCamera(read_frames(clip, 90), RATE_HZ)
    took: list[float] = []
    for result in pipeline.stream(camera):
        took.append(1000 * (time.perf_counter() - camera.captured_at(result.frame.index)))
        if result.frame.time_s > seconds:
            break
    camera.close()
    took = took[5:]
    return {
        "p50_ms": statistics.median(took),
        "p95_ms": float(np.percentile(took, 95)),
        "results_a_second": len(took) / seconds,
    }


def measure_flicker(clips: list[Path]) -> dict[str, list[dict[str, float]]]:
    """Changes of the label a minute for each face of each clip, of the frames alone and as shown."""
    from mien import Pipeline
    from mien.reading.history import History
    from mien.reading.summary import summarize

    found = {}
    pipeline = Pipeline()
    for clip in clips:
        history = History(pipeline.labels)
        for result in pipeline.stream(str(clip)):
            history.add(result)
        found[clip.name] = [
            {"face": t.track_id, "seen_s": t.visible_s, "raw": t.raw_changes_a_minute, "shown": t.changes_a_minute}
            for t in summarize(history, clip.name).tracks
        ]
    return found


def measure_fer(venv: Path, clip: Path, frames: int) -> dict[str, float]:
    """fer's frames a second on the same clip, from a process of its own environment."""
    worker = [str(interpreter(venv)), str(Path(__file__).with_name("video_fer.py")), str(clip), str(frames)]
    done = subprocess.run(worker, env=quiet_environment(), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(worker)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def table(found: dict[str, Any]) -> str:
    """The figures in Markdown."""
    lines = ["| 1280×720, one face | |", "|---|---:|"]
    for name, run in found["speed"].items():
        lines.append(f"| {name}: file to rows, frames/s | {run['frames_a_second']:.1f} |")
        stages = ", ".join(f"{stage} {spent:.1f}" for stage, spent in run["stages_ms"].items())
        lines.append(f"| {name}: ms a frame by stage, side by side | {stages} |")
    for key, title in (("p50_ms", "p50"), ("p95_ms", "p95")):
        lines.append(f"| 30 Hz camera to result, {title}: ms | {found['latency'][key]:.1f} |")
    if "memory" in found:
        memory = found["memory"]
        lines.append(f"| ten minutes: MB after the first, at the end | {memory['minute']:.0f}, {memory['end']:.0f} |")
    for clip, faces in found["flicker"].items():
        for face in faces:
            title = f"{clip}, face {face['face']}, {face['seen_s']:.1f} s: label changes a minute, raw, shown"
            lines.append(f"| {title} | {face['raw']:.0f}, {face['shown']:.0f} |")
    if "fer" in found:
        lines.append(f"| fer: file to answers, frames/s | {found['fer']['frames_a_second']:.1f} |")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="a video with one face")
    parser.add_argument("--home", type=Path, help="MIEN_HOME, a folder that may hold YuNet")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the clip that is made")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--flicker", type=Path, nargs="*", default=[], help="further clips to count label changes in")
    parser.add_argument("--skip-memory", action="store_true", help="leave the ten minutes out")
    parser.add_argument("--peers", action="store_true", help="measure the PyPI package fer too (8.5 GB)")
    parser.add_argument("--venv", type=Path, default=Path(__file__).parents[1] / ".venv-peers")
    parser.add_argument("--out", type=Path, help="JSON file to write; the table goes beside it as .md")
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.clip is None and arguments.memory_of is None:
        parser.error("--clip is needed: a video with one face")
    return arguments


def main() -> None:
    arguments = parse()
    if arguments.home:
        os.environ["MIEN_HOME"] = str(arguments.home.resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.memory_of:
            from mien import Pipeline

            print(json.dumps(read_file(Pipeline(), arguments.memory_of, folder / "rows.csv")))
            return
        found: dict[str, Any] = {"date": date.today().isoformat(), "machine": machine()}
        clip = make_clip(arguments.clip, folder / "clip.mp4", arguments.seconds, RATE_HZ)
        found["speed"] = measure_speed(clip, folder, arguments.repeats)
        found["latency"] = measure_latency(clip, min(arguments.seconds, 15.0))
        found["flicker"] = measure_flicker(list(itertools.chain([clip], arguments.flicker)))
        if not arguments.skip_memory:
            found["memory"] = measure_memory(clip, folder)
        if arguments.peers:
            install(arguments.venv)
            found["fer"] = measure_fer(arguments.venv, clip, 150)
    text = table(found)
    print(f"{text}\n\n{found['date']}, {found['machine']['cpu']}, {found['machine']['cores']} cores")
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        arguments.out.with_suffix(".md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
