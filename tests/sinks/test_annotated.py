from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from clips import VARIABLE_S, sound_of, sound_start_s, video_times_s, write_clip
from made_up import make_face

from mien.errors import ConfigError
from mien.reading.results import Result
from mien.sinks.annotated import Sound, VideoSink, even
from mien.structures import Frame


def results(times_s: list[float] = VARIABLE_S, shape: tuple[int, int] = (331, 423)) -> list[Result]:
    image = np.full((*shape, 3), 60, np.uint8)
    return [Result("clip.mp4", Frame(image, "clip.mp4", i, time_s), [make_face()]) for i, time_s in enumerate(times_s)]


def write(path: Path, found: list[Result], **options: object) -> Path:
    with VideoSink(path, **options) as sink:  # type: ignore[arg-type]
        for result in found:
            sink.write(result)
    return path


def test_frames_keep_their_times(tmp_path: Path) -> None:
    path = write(tmp_path / "out.mp4", results())
    assert video_times_s(path) == pytest.approx(VARIABLE_S, abs=1e-4)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4"]


def test_h264_of_even_size_with_the_faces_marked(tmp_path: Path) -> None:
    with av.open(write(tmp_path / "out.mp4", results())) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 424, 332)
        shown = next(container.decode(stream)).to_ndarray(format="rgb24")
    assert np.abs(shown[200:, 300:].astype(int) - 60).max() < 12
    assert (shown[15:70, 5:50].max(axis=2) > 150).any()


def test_equal_times_become_successive(tmp_path: Path) -> None:
    times_s = video_times_s(write(tmp_path / "out.mp4", results([0.0, 0.5, 0.5, 0.5, 1.0])))
    assert len(times_s) == 5
    assert (np.diff(times_s) > 0).all()


def test_a_part_of_a_video_begins_at_zero(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mkv", sound="aac")
    path = write(tmp_path / "out.mp4", results([0.5, 0.54, 0.8]), sound=Sound(source, end_s=0.82))
    assert video_times_s(path) == pytest.approx([0.0, 0.04, 0.3], abs=1e-4)
    codec, seconds = sound_of(path) or ("", 0.0)
    assert codec == "aac"
    assert 0.2 < seconds < 0.5


@pytest.mark.parametrize(
    ("codec", "suffix", "kept"), [("aac", ".mp4", "aac"), ("mp2", ".mkv", "aac"), ("pcm_s16le", ".mkv", "aac")]
)
def test_sound_is_kept(tmp_path: Path, codec: str, suffix: str, kept: str) -> None:
    source = write_clip(tmp_path / f"in{suffix}", sound=codec)
    path = write(tmp_path / "out.mp4", results(), sound=Sound(source))
    assert sound_of(path) == (kept, pytest.approx(1.0, abs=0.2))
    assert video_times_s(path) == pytest.approx(VARIABLE_S, abs=1e-4)


@pytest.mark.parametrize(("codec", "suffix"), [("aac", ".mp4"), ("pcm_s16le", ".mkv")])
def test_sound_that_starts_late_does_so_in_the_copy(tmp_path: Path, codec: str, suffix: str) -> None:
    times_s = [index / 10 for index in range(40)]
    source = write_clip(tmp_path / f"in{suffix}", times_s, sound=codec, sound_from_s=2.4)
    path = write(tmp_path / "out.mp4", results(times_s), sound=Sound(source))
    assert sound_start_s(path) == pytest.approx(2.4, abs=0.08)
    assert video_times_s(path) == pytest.approx(times_s, abs=1e-3)


def test_the_part_of_a_kill_plays_from_its_start_although_sound_starts_late(tmp_path: Path) -> None:
    times_s = [index / 10 for index in range(100)]
    source = write_clip(tmp_path / "in.mp4", times_s, sound="aac", sound_from_s=2.4)
    sink = VideoSink(tmp_path / "out.mp4", sound=Sound(source))
    for result in results(times_s):
        sink.write(result)
    # A copy is what a kill would leave now.
    left = tmp_path / "left.mp4"
    left.write_bytes(sink.part.read_bytes())
    sink.close()
    assert video_times_s(left)[:3] == pytest.approx([0.0, 0.1, 0.2], abs=1e-3)
    assert sound_start_s(left) == pytest.approx(2.4, abs=0.08)


def test_copied_sound_is_the_very_same(tmp_path: Path) -> None:
    def packets(path: Path) -> list[bytes]:
        with av.open(path) as container:
            return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

    source = write_clip(tmp_path / "in.mp4", sound="aac")
    written = packets(write(tmp_path / "out.mp4", results(), sound=Sound(source)))
    assert len(written) > 10
    assert written == packets(source)[-len(written) :]


def test_a_silent_video_stays_silent(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4")
    sound = Sound(source)
    assert sound_of(write(tmp_path / "out.mp4", results(), sound=sound)) is None
    assert sound.notice is None


def test_no_frame_is_no_file(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", [])
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_no_mp4_or_is_taken(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ending in \.mp4"):
        VideoSink(tmp_path / "out.avi")
    (tmp_path / "out.mp4").write_text("precious")
    with pytest.raises(ConfigError, match="already exists"):
        VideoSink(tmp_path / "out.mp4")


@pytest.mark.parametrize("shape", [(3, 5), (4, 5), (3, 4), (4, 4)])
def test_even_sides(shape: tuple[int, int]) -> None:
    image = np.arange(shape[0] * shape[1] * 3, dtype=np.uint8).reshape(*shape, 3)
    grown = even(image)
    assert grown.shape == (4, 6 if shape[1] == 5 else 4, 3)
    np.testing.assert_array_equal(grown[: shape[0], : shape[1]], image)


FILL_THE_DISK = """
import sys
import numpy as np
from made_up import make_face
from mien.errors import ConfigError
from mien.reading.results import Result
from mien.sinks.annotated import VideoSink
from mien.structures import Frame
noise = np.random.default_rng(0)
try:
    with VideoSink(sys.argv[1]) as sink:
        for i in range(200):
            image = noise.integers(0, 255, (120, 320, 3), np.uint8)
            sink.write(Result("a", Frame(image, "a", i, i / 25), []))
except ConfigError as error:
    sys.exit(str(error))
"""


def test_a_full_disk_is_told_and_the_part_can_be_played(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, str(tmp_path / "out.mp4")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000)),
        env={"PYTHONPATH": str(Path(__file__).parents[1])}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "cannot write" in done.stderr) == (1, True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4.part"]
    with av.open(tmp_path / "out.mp4.part") as container:
        assert next(container.decode(video=0)).height == 120
