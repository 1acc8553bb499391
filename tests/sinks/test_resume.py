from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import make_face, make_result, make_video

from mien.errors import ConfigError, DataError
from mien.labels import EIGHT, SEVEN
from mien.reading.results import Result
from mien.sinks import create_sink
from mien.sinks.resume import OVERLAP_S, Renumbering, Seen, Writer, iter_rows, prepare_resume

WRITER = Writer(SEVEN, moving=True, model="toy 1.0", detector="fake")
TABLES = pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])


def write_part(path: Path, results: Iterable[Result]) -> Path:
    """What a killed run leaves."""
    sink = create_sink(path, SEVEN, moving=True, overwrite=True)
    for result in results:
        sink.write(result)
    sink._file.release()
    return path.with_name(f"{path.name}.part")


def two_faces(index: int) -> Result:
    return make_result(index, [make_face("happy", 1), make_face("sad", 2, x=90)], source='a "b",\n.mp4')


@TABLES
def test_a_resumed_table_is_as_one_written_at_once(tmp_path: Path, suffix: str) -> None:
    everything = [*(two_faces(i) for i in range(8)), make_result(8, source='a "b",\n.mp4')]
    with create_sink(tmp_path / f"whole{suffix}", SEVEN, moving=True) as sink:
        for result in everything:
            sink.write(result)
    whole = (tmp_path / f"whole{suffix}").read_bytes()
    path = tmp_path / f"rows{suffix}"
    full = write_part(path, everything[:6]).read_bytes()
    part = write_part(path, everything[:5])
    frame_bytes = len(full) - part.stat().st_size
    for cut in (0, 1, frame_bytes // 3, frame_bytes // 2 + 4, frame_bytes - 1, frame_bytes + 1):
        part.write_bytes(full[: len(full) - cut])
        written = prepare_resume(path, None, WRITER)
        whole_rows = 2 - (cut > 0) - (cut > frame_bytes // 2 + 3)
        assert written.frame == (4 if whole_rows else 3), "the last frame is done again, as it may lack a row"
        with create_sink(path, SEVEN, moving=True, append=True) as sink:
            for result in everything[written.frame + 1 :]:
                sink.write(result)
        assert path.read_bytes() == whole
        path.unlink()


@TABLES
def test_a_finished_table_can_be_gone_on_with(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    with create_sink(path, SEVEN, moving=True, overwrite=True) as sink:
        for result in make_video("happy", None, "sad"):
            sink.write(result)
    assert prepare_resume(path, None, WRITER).frame == 1
    assert [row["success"] for row in iter_rows(path)] == [1, 0]


def test_nothing_there_is_nothing_done(tmp_path: Path) -> None:
    written = prepare_resume(tmp_path / "rows.csv", None, WRITER)
    assert (written.source, written.frame, written.done) == (None, -1, set())
    assert list(tmp_path.iterdir()) == []


@TABLES
@pytest.mark.parametrize("kept", [0, 1, 30])
def test_a_torn_header_or_first_row_begins_anew(tmp_path: Path, suffix: str, kept: int) -> None:
    path = tmp_path / f"rows{suffix}"
    part = write_part(path, make_video("happy"))
    os.truncate(part, kept)
    assert prepare_resume(path, None, WRITER).frame == -1
    with create_sink(path, SEVEN, moving=True, append=True) as sink:
        sink.write(make_video("happy")[0])
    assert path.read_bytes().count(b"happy") >= 1


def test_where_the_next_run_begins(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write_part(path, [*make_video("sad", "sad", source="first.mp4"), *make_video(*["happy"] * 102)])
    written = prepare_resume(path, None, WRITER)
    assert (written.done, written.source, written.frame, written.highest_id) == ({"first.mp4"}, "clip.mp4", 100, 1)
    assert written.start_s == pytest.approx(10.0 - OVERLAP_S, abs=0.001)
    assert written.start_s < 10.0 - OVERLAP_S, "the frame at this time must be taken"
    assert [seen.frame for seen in written.recent] == list(range(80, 101))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (replace(WRITER, model="toy 2.0"), "model toy 1.0, this run has toy 2.0"),
        (replace(WRITER, detector="yunet"), "detector fake, this run has yunet"),
        (replace(WRITER, labels=EIGHT), "other columns"),
        (replace(WRITER, moving=False), "other columns"),
    ],
)
def test_a_table_of_another_run_is_refused_and_stays(tmp_path: Path, other: Writer, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    part = write_part(path, make_video("happy", "sad"))
    before = part.read_bytes()
    with pytest.raises(ConfigError, match=message):
        prepare_resume(path, None, other)
    assert part.read_bytes() == before
    assert list(tmp_path.iterdir()) == [part]


@pytest.mark.parametrize(
    ("name", "content"),
    [("my.csv", "garbage"), ("my.csv", "a,b\n"), ("my.csv", "name,age\nMarie,66"), ("my.csv", "\n"),
     ("my.jsonl", '{"my": 1}'), ("my.jsonl", "[1, 2"), ("my.parquet.part", "notes"), ("my.csv.part", "notes")],
)  # fmt: skip
def test_a_file_of_somebody_s_is_not_begun_anew(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=r"(?s)expected the table of an earlier run, .* --overwrite"):
        prepare_resume(tmp_path / name.removesuffix(".part"), None, WRITER)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, content)]


def test_a_table_of_others_without_rows_is_refused_too(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"a": arrow.array([], arrow.int8())}), tmp_path / "my.parquet")
    before = (tmp_path / "my.parquet").read_bytes()
    with pytest.raises(ConfigError, match="a table with other columns"):
        prepare_resume(tmp_path / "my.parquet", None, WRITER)
    assert (tmp_path / "my.parquet").read_bytes() == before


@TABLES
def test_a_finished_table_without_rows_is_gone_on_with(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    with create_sink(path, SEVEN, moving=True):
        pass
    assert prepare_resume(path, None, WRITER).source is None


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_table_damaged_in_the_middle_is_told(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    part = write_part(path, make_video("happy", "sad", "sad"))
    lines = part.read_text().splitlines(keepends=True)
    part.write_text("".join([*lines[:-2], lines[-2][:40] + "\n", lines[-1]]))
    with pytest.raises(DataError, match="line"):
        prepare_resume(path, None, WRITER)


def test_foreign_tables_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Mien's own tables"):
        prepare_resume(tmp_path / "rows.openface.csv", None, WRITER)


class TestRenumbering:
    seen = (
        Seen(5, 0.5, ((4, (10.0, 20.0, 40.0, 60.0)), (7, (90.0, 20.0, 120.0, 60.0)))),
        Seen(6, 0.6, ((4, (10.0, 20.0, 40.0, 60.0)), (7, (90.0, 20.0, 120.0, 60.0)))),
    )

    def tracks(self, *results: Result) -> list[int | None]:
        numbers = Renumbering(self.seen, 9)
        for result in results[:-1]:
            numbers.learn(result)
        return [face.track_id for face in numbers.apply(results[-1]).faces]

    def test_faces_at_the_same_place_keep_their_numbers(self) -> None:
        swapped = [make_result(i, [make_face(track_id=2), make_face(track_id=1, x=92)]) for i in (5, 6, 7)]
        assert self.tracks(*swapped) == [4, 7]

    def test_a_new_face_gets_a_number_above_all(self) -> None:
        known = make_result(6, [make_face(track_id=1)])
        later = make_result(7, [make_face(track_id=1), make_face(track_id=2, x=90), make_face(track_id=3, x=50)])
        assert self.tracks(known, later) == [4, 10, 11]

    def test_frames_that_only_one_run_has_seen_tell_nothing(self) -> None:
        assert self.tracks(make_result(2, [make_face(track_id=1)]), make_result(7, [make_face(track_id=1)])) == [10]

    def test_events_are_renamed_too(self) -> None:
        numbers = Renumbering(self.seen, 9)
        numbers.learn(make_result(6, [make_face(track_id=1)]))
        result = numbers.apply(replace(make_result(7), entered=(2,), left=(1,)))
        assert (result.entered, result.left) == ((10,), (4,))
