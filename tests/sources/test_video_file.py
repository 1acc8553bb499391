from __future__ import annotations

import gc
import itertools
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from small_clips import gif, held, number_of, open_files, picture, write_clip, write_sound

from mien.errors import ImageTooLargeError, SourceError
from mien.images import pictures as images
from mien.sources.decoding import Decoder
from mien.sources.stream import Sampling
from mien.sources.video import VideoFile

TWENTY = [picture(number) for number in range(20)]
UNEVEN_MS = [0, 10, 50, 51, 90, 200, 1000, 1017, 1033, 2500]


def read(path: Path, sampling: Sampling | None = None) -> list[tuple[int, float]]:
    with VideoFile(path, sampling) as video:
        return [(frame.index, frame.time_s) for frame in video]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("start_ms", [0, 700])
def test_times_are_those_that_were_written_from_the_start(tmp_path: Path, suffix: str, start_ms: int) -> None:
    stamps = [start_ms + stamp for stamp in UNEVEN_MS]
    path = write_clip(tmp_path / f"uneven{suffix}", TWENTY[:10], stamps_ms=stamps)
    with VideoFile(path) as video:
        frames = list(video)
    assert [frame.index for frame in frames] == list(range(10))
    # An MP4 that starts late shows its first picture at once, or after the delay: both are the container's word.
    origin = frames[0].time_s
    assert origin in (0.0, start_ms / 1000)
    np.testing.assert_allclose([frame.time_s - origin for frame in frames], np.array(UNEVEN_MS) / 1000, atol=5e-4)
    assert [number_of(frame.image) for frame in frames] == list(range(10))
    assert {frame.source for frame in frames} == {str(path)}


@pytest.mark.data
@pytest.mark.parametrize("kind", ["gif", "mp4", "mov", "mkv"])
def test_real_clips_have_their_frames(shared: Path, kind: str) -> None:
    folder = shared / "data" / "photos"
    truth = json.loads((folder / "truth.json").read_text())["videos"]
    clips = {name: known for name, known in truth.items() if name.endswith(kind)}
    assert clips
    for name, known in clips.items():
        with VideoFile(folder / name) as video:
            assert [video.info.width, video.info.height] == known["size"]
            frames = [(frame.index, frame.time_s, frame.image.shape) for frame in video]
        assert [index for index, _, _ in frames] == list(range(known["frames"])), name
        assert frames[0][1] == 0.0
        assert all(a[1] < b[1] for a, b in itertools.pairwise(frames)), name
        assert {shape for _, _, shape in frames} == {(known["size"][1], known["size"][0], 3)}


@pytest.mark.data
def test_a_gif_begins_with_the_picture_that_it_is_elsewhere(shared: Path) -> None:
    path = shared / "data" / "photos" / "classroom.gif"
    with VideoFile(path) as video:
        first = next(iter(video))
    np.testing.assert_array_equal(first.image, images.read(path))


def test_a_transparent_gif_lies_on_white_and_is_cleared_between(tmp_path: Path) -> None:
    path = tmp_path / "two.gif"
    path.write_bytes(gif([[0, 3, 3, 3], [3, 1, 3, 3]], width=2, disposal=2, transparent=3))
    with VideoFile(path) as video:
        frames = list(video)
    red, green, white = [255, 0, 0], [0, 255, 0], [255, 255, 255]
    assert frames[0].image.reshape(-1, 3).tolist() == [red, white, white, white]
    assert frames[1].image.reshape(-1, 3).tolist() == [white, green, white, white]
    assert [frame.time_s for frame in frames] == [0.0, 0.1]


@pytest.mark.parametrize(
    ("rotation", "mirror", "corners"),
    [(0, False, "rgbw"), (90, False, "gwrb"), (180, False, "wbgr"), (270, False, "brwg"), (0, True, "grwb"),
     (90, True, "wgbr")],
)  # fmt: skip
def test_frames_stand_upright(tmp_path: Path, rotation: int, mirror: bool, corners: str) -> None:
    colours = {"r": (255, 0, 0), "g": (0, 255, 0), "b": (0, 0, 255), "w": (255, 255, 255)}
    stored = np.zeros((32, 64, 3), np.uint8)
    stored[:16, :32], stored[:16, 32:], stored[16:, :32], stored[16:, 32:] = (colours[name] for name in "rgbw")
    path = write_clip(tmp_path / "turned.mp4", [stored] * 2, rotation=rotation, mirror=mirror)
    with VideoFile(path) as video:
        image = next(iter(video)).image
        assert (video.info.height, video.info.width) == image.shape[:2]
    assert image.shape[:2] == ((64, 32) if rotation in (90, 270) else (32, 64))
    seen = [image[4, 4], image[4, -4], image[-4, 4], image[-4, -4]]
    np.testing.assert_allclose(seen, [colours[name] for name in corners], atol=12)


@pytest.fixture(scope="module")
def long_clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two hundred frames over eight seconds, a keyframe each second, with frames that point ahead."""
    folder = tmp_path_factory.mktemp("long")
    frames = [picture(index % 20, 32, 32) for index in range(200)]
    options = {"g": "25", "bf": "3", "preset": "ultrafast", "x264-params": "b-adapt=0"}
    return {
        suffix: write_clip(folder / f"long.{suffix}", frames, options=options) for suffix in ("mp4", "mkv", "ts")
    } | {"gif": write_clip(folder / "long.gif", frames, codec="gif", pixels="rgb8")}


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "gif"])
@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(start_s=5.1), range(128, 200)),
        (Sampling(start_s=4.0), range(100, 200)),
        (Sampling(start_s=3.99, end_s=4.1), range(100, 103)),
        (Sampling(end_s=0.2, every=2), range(0, 5, 2)),
        (Sampling(start_s=2.0, every=50), range(50, 200, 50)),
        (Sampling(start_s=6.0, rate_hz=5.0), range(150, 200, 5)),
        (Sampling(start_s=60.0), range(0)),
    ],
)
def test_sampled_frames_keep_their_number_and_time(
    long_clips: dict[str, Path], suffix: str, sampling: Sampling, expected: range
) -> None:
    with VideoFile(long_clips[suffix], sampling) as video:
        frames = list(video)
    assert [frame.index for frame in frames] == list(expected)
    np.testing.assert_allclose([frame.time_s for frame in frames], [0.04 * index for index in expected], atol=1e-3)
    if suffix != "gif":
        assert [number_of(frame.image) for frame in frames] == [index % 20 for index in expected]


def test_a_late_start_decodes_from_the_keyframe_before_it(long_clips: dict[str, Path]) -> None:
    decoder = Decoder(str(long_clips["mp4"]), remote=False, max_pixels=10**6)
    try:
        first, _ = next(iter(decoder.iter_from(5.1)))
    finally:
        decoder.close()
    assert 100 <= first <= 127


@pytest.mark.parametrize(("suffix", "options"), [(".mp4", {"movflags": "+faststart"}), (".mkv", {})])
def test_a_file_that_breaks_off_gives_its_frames_and_then_the_error(
    tmp_path: Path, suffix: str, options: dict[str, str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (50, 48, 64, 3), np.uint8)
    whole = write_clip(tmp_path / f"whole{suffix}", list(noise), container_options=options)
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    frames = []
    with pytest.raises(SourceError, match=r"breaks off: \d+ (of 50 )?frames read, [01].\d of 2.0 seconds"):
        frames.extend(frame.index for frame in VideoFile(cut))
    assert 10 < len(frames) < 40
    assert frames == list(range(len(frames)))
    assert read(cut, Sampling(end_s=0.2)) == read(whole, Sampling(end_s=0.2))
    assert not open_files(tmp_path)


def test_a_gif_that_breaks_off_gives_its_frames_and_then_the_error(tmp_path: Path) -> None:
    whole = gif([[0, 1], [1, 0], [2, 3]], width=2)
    path = tmp_path / "cut.gif"
    for end, complete in ((len(whole), True), (len(whole) - 1, False), (len(whole) - 8, False)):
        path.write_bytes(whole[:end] + b"junk after the end" * complete)
        frames: list[int] = []
        if complete:
            frames.extend(frame.index for frame in VideoFile(path))
        else:
            with pytest.raises(SourceError, match=r"breaks off: \d frames read, the end of the GIF is missing"):
                frames.extend(frame.index for frame in VideoFile(path))
        assert len(frames) >= 2


def test_files_that_are_no_video(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", TWENTY)
    bad = {
        "missing.mp4": (None, "no such file"),
        "empty.mp4": (b"", "the file is empty"),
        "text.mp4": (b"not a video at all\n" * 40, "damaged or of an unknown kind"),
        "notes.txt": (b"some notes\n" * 40, "expected a video file"),
        "picture.dat": (images.encode(picture(1), "jpeg"), "this is a JPEG image"),
        "nomoov.mp4": (whole.read_bytes().replace(b"moov", b"zoov"), "without its index"),
        "codec.mp4": (whole.read_bytes().replace(b"avc1", b"zzzz"), "codec is unknown"),
    }
    for name, (content, message) in bad.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SourceError, match=message) as caught:
            VideoFile(path)
        assert name in str(caught.value)
    with pytest.raises(SourceError, match="no video stream"):
        VideoFile(write_sound(tmp_path / "sound.m4a"))
    with pytest.raises(SourceError, match="this is a folder"):
        VideoFile(tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(SourceError, match="a pipe or device"):
        VideoFile(tmp_path / "pipe.mp4")
    assert not open_files(tmp_path)


def test_a_video_whose_frames_are_all_damaged(tmp_path: Path) -> None:
    data = bytearray(write_clip(tmp_path / "whole.mp4", TWENTY).read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    (tmp_path / "zeros.mp4").write_bytes(data)
    with pytest.raises(SourceError, match="none of its frames can be decoded"):
        VideoFile(tmp_path / "zeros.mp4")


def test_sound_and_its_length_do_not_matter(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "sound.mkv", TWENTY[:5], sound=True)
    assert [index for index, _ in read(path)] == list(range(5))


@pytest.mark.parametrize("name", ["100%d größe [1].mp4", "concat:a.mp4", "-x.mp4", "空.mp4"])
def test_names_are_taken_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write_clip(tmp_path / "plain.mp4", TWENTY[:3]).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(read(Path(name))) == 3


@pytest.mark.parametrize("size", [(17, 33), (1, 1), (270, 481)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    path = write_clip(tmp_path / "odd.mkv", [noise], codec="ffv1", pixels="bgr0")
    with VideoFile(path) as video:
        np.testing.assert_array_equal(next(iter(video)).image, noise)


def test_a_frame_over_the_limit_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", TWENTY[:2])
    with pytest.raises(ImageTooLargeError, match="64 × 48 pixels are more than max_pixels = 3,071"):
        VideoFile(path, max_pixels=64 * 48 - 1)
    with VideoFile(path, max_pixels=64 * 48) as video:
        assert len(list(video)) == 2


def test_frames_that_change_their_size_keep_it_and_are_noticed_once(tmp_path: Path) -> None:
    parts = [write_clip(tmp_path / f"{h}.h264", [picture(3, h, 2 * h)] * 5) for h in (32, 64)]
    both = tmp_path / "both.h264"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    notices: list[str] = []
    with VideoFile(both, on_notice=notices.append) as video:
        assert [frame.image.shape for frame in video] == [(32, 64, 3)] * 5 + [(64, 128, 3)] * 5
    (notice,) = notices
    assert "frames change from 64 × 32 to 128 × 64 pixels at 0.20 s" in notice


def test_files_are_let_go_on_every_way_out(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", TWENTY)
    video = VideoFile(path)
    assert open_files(tmp_path)
    assert len(list(video)) == 20
    assert not open_files(tmp_path)
    with pytest.raises(SourceError, match="open it again"):
        iter(video)
    with pytest.raises(KeyError), VideoFile(path) as video:
        raise KeyError
    assert not open_files(tmp_path)
    video = VideoFile(path)
    video.close()
    video.close()
    assert not open_files(tmp_path)
    for _ in range(30):
        next(iter(VideoFile(path, Sampling(start_s=0.5))))
    assert len(open_files(tmp_path)) < 30


def test_no_frame_waits_for_the_garbage_collector(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", TWENTY * 3, rotation=90)
    gc.collect()
    before = held()
    gc.disable()
    try:
        with VideoFile(path) as video:
            assert len(list(video)) == 60
        kept = len(held(before))
    finally:
        gc.enable()
    assert kept < 5


def test_closing_from_another_thread_ends_the_iteration(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", TWENTY * 10)
    video = VideoFile(path)
    frames = iter(video)
    next(frames)
    closer = threading.Thread(target=video.close)
    closer.start()
    closer.join()
    assert list(frames) == []
    assert not open_files(tmp_path)


@pytest.mark.parametrize(
    ("size", "stated", "luma"), [((1280, 720), None, (0.2126, 0.0722)), ((640, 480), None, (0.299, 0.114)),
     ((1280, 720), 5, (0.299, 0.114)), ((640, 480), 1, (0.2126, 0.0722))],
)  # fmt: skip
def test_video_that_does_not_state_its_colors_is_read_as_players_do(
    tmp_path: Path, size: tuple[int, int], stated: int | None, luma: tuple[float, float]
) -> None:
    red, green, blue = 200, 90, 60
    kr, kb = luma
    y = kr * red + (1 - kr - kb) * green + kb * blue
    code = (16 + 219 * y / 255, 128 + 112 * (blue - y) / (1 - kb) / 255, 128 + 112 * (red - y) / (1 - kr) / 255)
    path = tmp_path / "plain.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        if stated is not None:
            stream.codec_context.colorspace = stated
        frame = av.VideoFrame(*size, "yuv420p")
        for plane, value in zip(frame.planes, code, strict=True):
            np.frombuffer(plane, np.uint8)[:] = round(value)
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with VideoFile(path) as video:
        (shown,) = video
    assert shown.image[size[1] // 2, size[0] // 2].tolist() == pytest.approx([red, green, blue], abs=3)


def pq(light: float) -> float:
    """The code value of light, 1 for diffuse white (203 cd/m²), by SMPTE ST 2084."""
    power = (203 * light / 10000) ** (2610 / 16384)
    return float(((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** (2523 / 32))


def hlg(light: float) -> float:
    """The same by ARIB STD-B67 for a display of 1,000 cd/m²."""
    scene = (203 * light / 1000) ** (1 / 1.2)
    return float((3 * scene) ** 0.5 if scene <= 1 / 12 else 0.17883277 * np.log(12 * scene - 0.28466892) + 0.55991073)


@pytest.mark.parametrize(("transfer", "code"), [(16, pq), (18, hlg)])
def test_hdr_is_tone_mapped(tmp_path: Path, transfer: int, code: Callable[[float], float]) -> None:
    path = tmp_path / "hdr.mkv"
    shades = [0.02, 0.18, 0.5]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = transfer, 9, 9, 1
        for number, light in enumerate(shades):
            frame = av.VideoFrame(64, 64, "yuv420p10le")
            for plane, value in zip(frame.planes, (64 + 876 * code(light), 512, 512), strict=True):
                np.frombuffer(plane, np.uint16)[:] = round(value)
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with VideoFile(path) as video:
        found = [float(frame.image.mean()) for frame in video]
    wanted = [255 * (1.055 * light ** (1 / 2.4) - 0.055) for light in shades]
    assert found == pytest.approx(wanted, abs=5)
