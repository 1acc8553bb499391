"""How `mien analyze` reads one video, camera or stream, and what it leaves of it."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.apps.cli.analyze_options import Request
from mien.apps.cli.progress import create_progress
from mien.errors import ConfigError, SourceError
from mien.reading.history import History
from mien.reading.profile import Profile
from mien.reading.streaming import StreamOptions
from mien.sinks.renumber import Renumbering
from mien.sources.factory import open_source
from mien.sources.stream import FrameSource, Sampling
from mien.structures import Result

if TYPE_CHECKING:
    from mien.apps.cli.analyze import Run
    from mien.sinks.video import VideoSink


def check_moving(request: Request, moving: int) -> None:
    """Refuse files about one video when there is none, or more than the file can hold.

    Raises:
        ConfigError: with what is expected.
    """
    from mien.sinks.episodes import find_writer
    from mien.sinks.video import ENDINGS

    single = {"--video": request.video, "--timeline": request.timeline}
    if request.episodes:
        find_writer(request.episodes)
        if request.episodes.suffix.lower() == ".eaf":
            single["--episodes FILE.eaf"] = request.episodes
        if moving == 0:
            raise ConfigError("--episodes needs a video, camera or stream; there is none among the sources")
    for name, path in single.items():
        if path and moving != 1:
            raise ConfigError(f"{name} takes one video, camera or stream; there are {moving} among the sources")
    if request.video and request.video.suffix.lower() not in ENDINGS:
        raise ConfigError(f"{request.video}: an annotated video is an MP4: expected a name ending in .mp4")
    if request.video and request.resume:
        raise ConfigError("an annotated video cannot be gone on with: leave --video or --resume out")
    if request.timeline and request.timeline.suffix.lower() != ".png":
        raise ConfigError(f"{request.timeline}: the timeline is a picture: expected a name ending in .png")


class MovingRun:
    """One source from its first frame to its summary."""

    def __init__(self, run: Run, name: str) -> None:
        self.run, self.request, self.name = run, run.request, name
        self.profile = Profile()
        self.history = History(run.pipeline.labels)
        self.read_on = name == run.written.source
        self.complete = name in run.written.done

    def read(self) -> bool:
        """Read it; whether the user interrupted a live source, whose files are finished all the same.

        Raises:
            SourceError: it cannot be opened, or breaks off; what came before is written and told.
            KeyboardInterrupt: of a file.
        """
        if self.complete or self.read_on:
            self._recall()
        if self.complete:
            self._tell()
            return False
        source = self._open()
        if source.info.live and self.request.resume:
            source.close()
            raise ConfigError(f"{self.name}: a camera or stream cannot be gone on with: leave --resume out")
        broken: SourceError | None = None
        interrupted = False
        started = time.perf_counter()
        with source, self._video(live=source.info.live) as video:
            try:
                interrupted = self._read_frames(source, video)
            except SourceError as error:
                broken = error
        self._leave(time.perf_counter() - started)
        if broken is not None:
            raise broken
        return interrupted

    def _open(self) -> FrameSource:
        request = self.request
        start_s = max(request.start, self.run.written.start_s) if self.read_on else request.start
        sampling = Sampling(start_s=start_s, end_s=request.end, every=request.every, rate_hz=request.rate)
        return open_source(self.name, sampling, max_pixels=request.max_pixels, on_notice=_notice)

    def _read_frames(self, source: FrameSource, video: VideoSink | None) -> bool:
        progress = create_progress(source.info, self.request)
        try:
            with progress:
                for result in self._results(source):
                    with self.profile.stage("write"):
                        self._write(result, video)
                    progress.update(result)
        except KeyboardInterrupt:
            if source.info.live:
                return True
            self._tell_interrupt(progress.time_s)
            raise
        return False

    def _results(self, source: FrameSource) -> Iterator[Result]:
        """The results that are new, under the numbers that an earlier run began."""
        request, written = self.request, self.run.written
        options = StreamOptions(
            track=request.track, smooth_s=request.smooth, hold_s=request.hold, detect_every=request.detect_every
        )
        numbers = Renumbering(written.recent, written.highest_id)
        results = self.run.pipeline.stream(source, options, profile=self.profile)
        with contextlib.closing(results):  # type: ignore[type-var]
            for result in results:
                if not self.read_on:
                    yield result
                elif result.frame is not None and result.frame.index <= written.frame:
                    numbers.learn(result)
                else:
                    yield numbers.apply(result)

    def _write(self, result: Result, video: VideoSink | None) -> None:
        if self.run.sink:
            self.run.sink.write(result)
        if video:
            video.write(result)
        if self._keeps_history():
            self.history.add(result)
        if self.request.as_json and not self.request.summary and result.frame is not None:
            from mien.apps.cli.listing import document

            told = document(result, frame=result.frame.index, time_s=round(result.frame.time_s, 4))
            sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")

    def _keeps_history(self) -> bool:
        request = self.request
        return bool(self.run.listing or request.summary or request.episodes or request.timeline)

    def _recall(self) -> None:
        """Learn what the table holds of this source."""
        from mien.sinks.resume import iter_rows

        assert self.request.out is not None
        for row in iter_rows(self.request.out, self.request.format_name):
            if row["source"] == self.name:
                self.history.add_row(row)

    @contextlib.contextmanager
    def _video(self, *, live: bool) -> Iterator[VideoSink | None]:
        request, album = self.request, self.run.album
        path = request.video or (album.video_path(self.name) if album else None)
        if path is None:
            yield None
            return
        from mien.sinks.sound import Sound
        from mien.sinks.video import VideoSink

        sound = Sound(self.name, end_s=request.end) if not live and Path(self.name).is_file() else None
        with VideoSink(path, sound=sound, overwrite=request.overwrite) as video:
            yield video
        if sound and sound.notice:
            _notice(sound.notice)

    def _leave(self, seconds: float) -> None:
        """Write what is known at the end only, and show it."""
        self._tell()
        if self.request.profile:
            from mien.apps.cli.progress import profile_lines

            click.echo("\n".join(profile_lines(self.profile, seconds)), err=True)

    def _tell(self) -> None:
        """Episodes, timeline, summary."""
        from mien.reading.episodes import find_all_episodes
        from mien.reading.summary import summarize

        if not self._keeps_history():
            return
        episodes = find_all_episodes(self.history)
        summary = summarize(self.history, self.name)
        if self.request.episodes:
            from mien.sinks.episodes import write_episodes

            self.run.episodes[self.name] = episodes
            write_episodes(self.request.episodes, self.run.episodes)
        if self.request.timeline:
            _write_timeline(self.request.timeline, self.history, Path(self.name).name)
        if self.request.summary and self.request.as_json:
            sys.stdout.write(json.dumps(summary.to_dict(), ensure_ascii=False) + "\n")
        elif self.request.summary:
            from mien.apps.cli.summary_table import print_summary

            print_summary(summary)
        elif self.run.listing:
            self.run.listing.add_moving(summary, episodes)

    def _tell_interrupt(self, time_s: float) -> None:
        out = self.request.out
        kept = f"; the rows so far are in {out}.part, --resume goes on with them" if out else ""
        click.echo(f"{self.name}: stopped at {time_s:.1f} s{kept}", err=True)


def _write_timeline(path: Path, history: History, title: str) -> None:
    from mien.images.pictures import write
    from mien.reading.timeline import draw_timeline

    try:
        write(path, draw_timeline(history, title))
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error


def _notice(text: str) -> None:
    click.echo(text, err=True)
