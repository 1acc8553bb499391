"""How `mien analyze` handles one video, camera or stream: a reading session, and what is left of it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import click

from mien.apps.cli.analyze_request import Request
from mien.apps.cli.outputs import Outputs, notice
from mien.apps.cli.progress import create_progress
from mien.reading.history import History
from mien.reading.pipeline import Pipeline
from mien.reading.session import ReadingSession, SessionOptions
from mien.reading.streaming import StreamOptions
from mien.reading.summary import find_all_episodes, summarize
from mien.reading.thresholds import find_all_beyond
from mien.sources.stream import Sampling


def read_moving(name: str, pipeline: Pipeline, outputs: Outputs) -> bool:
    """Analyze one source; whether the user interrupted a live one, whose files are finished all the same.

    Raises:
        SourceError: not one frame can be read.
        KeyboardInterrupt: during a file.
    """
    request, written = outputs.request, outputs.written
    if written is not None and name in written.done:
        _show(outputs, _recall(History(pipeline.labels), request, name), name)
        return False
    resumed = written if written is not None and name == written.source else None
    session = ReadingSession(
        pipeline, name, _session_options(outputs), sinks=[outputs.sink] if outputs.sink else [], resumed=resumed,
        on_notice=notice,
    )  # fmt: skip
    started = time.perf_counter()
    with session:
        if resumed is not None:
            # The summary is of the whole video, not of the part that was missing.
            _recall(session.history, request, name)
        video = request.video or (outputs.album.video_path(name) if outputs.album else None)
        if video is not None:
            session.annotate(video, draw=lambda result: result.plot(geometry=request.draw), overwrite=request.overwrite)
        interrupted = _iterate(session, outputs)
    _show(outputs, session.history, name)
    if request.profile:
        click.echo("\n".join(session.profile.lines(time.perf_counter() - started)), err=True)
    if session.error is not None:
        outputs.fail(session.error)
    return interrupted


def _session_options(outputs: Outputs) -> SessionOptions:
    request = outputs.request
    stream = StreamOptions(
        Sampling(start_s=request.start, end_s=request.end, every=request.every, rate_hz=request.rate),
        track=request.track, smooth_s=request.smooth, hold_s=request.hold, detect_every=request.detect_every,
        search_every=request.search_every,
    )  # fmt: skip
    return SessionOptions(stream, max_pixels=request.max_pixels, history=_keeps_history(outputs))


def _iterate(session: ReadingSession, outputs: Outputs) -> bool:
    """Go through all results; whether a live source was interrupted."""
    request = outputs.request
    try:
        with create_progress(session.info, request) as progress:
            for result in session:
                outputs.print_json(result)
                progress.update(result)
    except KeyboardInterrupt:
        if session.info.live:
            return True
        kept = f"; the rows so far are in {request.out}.part, --resume continues them" if request.out else ""
        click.echo(f"{session.info.name}: stopped at {session.time_s:.1f} s{kept}", err=True)
        raise
    return False


def _keeps_history(outputs: Outputs) -> bool:
    request = outputs.request
    drawn = request.timeline or request.circumplex
    return bool(outputs.listing or request.summary or request.episodes or drawn)


def _recall(history: History, request: Request, name: str) -> History:
    """Fill a history with what the table holds of a source."""
    from mien.sinks.resume import iter_rows

    assert request.out is not None
    for row in iter_rows(request.out, request.format_name):
        if row["source"] == name:
            history.add_row(row)
    return history


def _show(outputs: Outputs, history: History, name: str) -> None:
    """Write the expression intervals, timeline and summary of a source."""
    request = outputs.request
    if not _keeps_history(outputs):
        return
    episodes, summary = find_all_episodes(history), summarize(history, name)
    if request.episodes:
        from mien.sinks.intervals import write_episodes

        outputs.episodes[name] = [*episodes, *find_all_beyond(history, request.beyond)]
        # Written whole after each source, so that an interrupt keeps those before.
        write_episodes(request.episodes, outputs.episodes)
    if request.timeline:
        from mien.reading.timeline import write_timeline

        write_timeline(request.timeline, history, Path(name).name)
    if request.circumplex:
        from mien.reading.track_circumplex import write_circumplex

        write_circumplex(request.circumplex, history, Path(name).name)
    if request.summary and request.as_json:
        sys.stdout.write(json.dumps(summary.to_dict(), ensure_ascii=False) + "\n")
    elif request.summary:
        from mien.apps.cli.summary_table import print_summary

        print_summary(summary)
    elif outputs.listing:
        outputs.listing.add_moving(summary, episodes)
