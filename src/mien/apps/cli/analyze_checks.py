"""What `mien analyze` refuses before it opens a video."""

from __future__ import annotations

from mien.apps.cli.analyze_request import Request
from mien.errors import ConfigError


def check_moving(request: Request, moving: int) -> None:
    """Refuse files about one video when there is none, or more than the file can hold.

    Raises:
        ConfigError: with what is expected.
    """
    from mien.sinks.annotated import ENDINGS
    from mien.sinks.intervals import find_writer

    pictures = {"--timeline": request.timeline, "--circumplex": request.circumplex}
    single = {"--video": request.video, **pictures}
    if request.episodes:
        find_writer(request.episodes)
        if request.episodes.suffix.lower() in (".eaf", ".textgrid"):
            single[f"--episodes FILE{request.episodes.suffix}"] = request.episodes
        if moving == 0:
            raise ConfigError("--episodes needs a video, camera or stream; there is none among the sources")
    elif request.beyond:
        raise ConfigError("--beyond adds to the intervals of --episodes: add --episodes FILE.csv, .eaf or .TextGrid")
    for name, path in single.items():
        if path and moving != 1:
            raise ConfigError(f"{name} takes one video, camera or stream; there are {moving} among the sources")
    if request.video and request.video.suffix.lower() not in ENDINGS:
        raise ConfigError(f"{request.video}: an annotated video is an MP4: expected a name ending in .mp4")
    # What was encoded before the interrupt cannot be appended to.
    if request.video and request.resume:
        raise ConfigError("an annotated video cannot be resumed: leave out --video or --resume")
    for name, path in pictures.items():
        if path and path.suffix.lower() != ".png":
            raise ConfigError(f"{name} {path}: is an image: expected a name ending in .png")
