"""The settings of the service: from a TOML file, the environment (`MIEN_SERVICE_…`) and the command line."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from mien.errors import ConfigError

PREFIX = "MIEN_SERVICE_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"

Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """What can be set, with the defaults. An unknown name in the file is an error."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all of the machine's.")
    port: int = Field(8000, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    allowed_hosts: list[str] = Field(
        default_factory=list,
        description="Names in `Host` that are answered beside localhost, `host` and IP addresses; * for any, "
        "*.example.org for all below one.",
    )
    root_path: str = Field("", description="Path prefix that a proxy in front takes off.")
    trusted_proxies: str = Field(
        "127.0.0.1", description="Addresses whose X-Forwarded-For is believed, comma-separated; * for all."
    )

    models: list[str] = Field(
        default_factory=list,
        description="Models to serve: bundled names, folders or models:/NAME@ALIAS; the first one is the default.",
    )
    flip: bool = Field(False, description="Read each face and its mirror image as well, twice the work.")
    balance: float = Field(
        0.0, ge=0, le=1, description="0: expressions are as frequent as in the training data; 1: all equally frequent."
    )
    detector: Literal["auto", "mien", "yunet", "haar", "none"] = Field(
        "auto", description="Detector when none is asked for."
    )

    workers: int = Field(0, ge=0, description="Threads that decode pictures and find faces; 0 for one a core.")
    model_threads: int = Field(1, ge=0, description="Threads of the classifier; 0 for the cores, up to 4.")
    batch_faces: Positive = Field(64, description="Most faces in one run of the model.")
    batch_wait_ms: float = Field(4.0, ge=0, description="Longest wait for the faces of other requests.")
    queue_pictures: Positive = Field(128, description="Most pictures in hand; more are refused with 503.")
    buffer_mb: Positive = Field(256, description="Most memory for request bodies in hand; more are refused with 503.")
    connections: Positive = Field(
        512, description="Most requests at once, uploads included; more are refused with 503."
    )

    max_body_mb: float = Field(25.0, gt=0, description="Largest request body.")
    max_pictures: Positive = Field(16, description="Most pictures in one request.")
    max_pixels: Positive = Field(40_000_000, description="Largest width × height, checked before decoding.")

    state_dir: Path | None = Field(None, description="Folder of video jobs; `service` in MIEN_HOME by default.")
    video_workers: Positive = Field(1, description="Videos that are read at the same time.")
    video_queue: int = Field(16, ge=0, description="Most videos that wait, more are refused with 503; 0: no videos.")
    video_keep_s: Seconds = Field(24 * 3600.0, description="How long a result is kept.")
    video_receive_timeout_s: Seconds = Field(600.0, description="Time to send a video.")
    max_video_mb: float = Field(512.0, gt=0, description="Largest video.")
    max_video_s: Seconds = Field(3600.0, description="Longest video, or part of one.")
    max_video_frames: Positive = Field(200_000, description="Most frames of a video that are read.")

    streams: int = Field(16, ge=0, description="Most live streams at once; 0: none.")
    stream_frame_mb: float = Field(2.0, gt=0, le=16, description="Largest frame of a live stream.")
    stream_pixels: Positive = Field(4_000_000, description="Largest width × height of such a frame.")
    stream_idle_s: Seconds = Field(60.0, description="A live stream without frames for so long is closed.")

    header_timeout_s: Seconds = Field(10.0, description="Time to send a request's header.")
    receive_timeout_s: Seconds = Field(30.0, description="Time to send a request's body.")
    request_timeout_s: Seconds = Field(30.0, description="Time to answer once the body is there.")
    keep_alive_s: Positive = Field(5, description="How long an idle connection stays open.")
    drain_s: float = Field(
        0.5, ge=0, description="After SIGTERM: how long new requests are still taken while /readyz says 503."
    )
    grace_s: Positive = Field(30, description="After that: how long requests in hand may take.")

    api_keys: dict[str, str] = Field(
        default_factory=dict,
        description="Name to hash, as `mien serve --make-key NAME` prints them; none: open to all.",
    )
    rate_per_minute: float = Field(
        0.0, ge=0, description="Requests a minute and key, or client address without keys; 0: any."
    )
    rate_burst: Positive = Field(20, description="Requests that may come at once before the rate counts.")
    cors_origins: list[str] = Field(
        default_factory=list, description="Web origins whose pages may call the service; none by default."
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_clients: bool = Field(False, description="Log the client's address with each request.")

    @field_validator("api_keys")
    @classmethod
    def _check_keys(cls, keys: dict[str, str]) -> dict[str, str]:
        from mien.apps.service.keys import check_hash

        for name, digest in keys.items():
            check_hash(name, digest)
        return keys

    @model_validator(mode="after")
    def _check_room(self) -> Self:
        if self.buffer_mb < self.max_body_mb:
            raise ValueError(
                f"buffer_mb = {self.buffer_mb} leaves no room for a body of max_body_mb = {self.max_body_mb:g}"
            )
        if self.queue_pictures < self.max_pictures:
            raise ValueError(
                f"queue_pictures = {self.queue_pictures} leaves no room for max_pictures = {self.max_pictures}"
            )
        return self

    @property
    def max_body_bytes(self) -> int:
        """Largest request body in bytes."""
        return int(self.max_body_mb * 2**20)

    @property
    def worker_threads(self) -> int:
        """Threads that decode and detect."""
        return self.workers or count_cores()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before what is given: that is the file (the command line is laid over both)."""
        return env_settings, init_settings


def load_settings(config: Path | None = None, **given: Any) -> Settings:
    """Settings from a file, over it the environment, over that what is given and not None.

    Args:
        config: a TOML file; default the one that MIEN_SERVICE_CONFIG names, if any.
        given: settings by name.

    Raises:
        ConfigError: naming the setting, what was expected and what came.
    """
    path = config or (Path(named) if (named := os.environ.get(CONFIG_VARIABLE)) else None)
    try:
        settings = Settings(**(_read(path) if path else {}))
        chosen = {name: value for name, value in given.items() if value is not None}
        return _Given.model_validate(settings.model_dump() | chosen) if chosen else settings
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise ConfigError(f"settings of the service: {first['msg'].removeprefix('Value error, ')}") from error
        name = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = ", ".join(sorted(Settings.model_fields))
            raise ConfigError(f"unknown setting {name!r} of the service: expected some of {known}") from error
        # A key may have been written in place of its hash: it is not shown again.
        came = "" if name.startswith("api_keys") else f", not {first['input']!r}"
        raise ConfigError(f"setting {name!r} of the service: {first['msg']}{came}") from error


def count_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Given(Settings):
    """Settings that are final: the environment is not looked at again."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *others: Any, **more: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given."""
        return (init_settings,)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file, expected the service's settings as TOML") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error
