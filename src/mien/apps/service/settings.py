"""The settings of the service: from a TOML file, the environment (`MIEN_SERVICE_…`) and the command line."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from mien.apps.cores import count_cores
from mien.apps.storage import BUCKETS, scheme_of
from mien.errors import ConfigError

PREFIX = "MIEN_SERVICE_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"

Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """All settings and their defaults. An unknown name in the file is an error."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all interfaces.")
    port: int = Field(8000, ge=0, le=65535, description="TCP port; 0 for a free one.")
    allowed_hosts: list[str] = Field(
        default_factory=list,
        description="Names accepted in `Host` besides localhost, `host` and IP addresses; * for any, "
        "*.example.org for subdomains.",
    )
    root_path: str = Field("", description="Path prefix that a reverse proxy strips.")
    trusted_proxies: str = Field(
        "127.0.0.1", description="Addresses whose X-Forwarded-For is trusted, comma-separated; * for all."
    )

    models: list[str] = Field(
        default_factory=list,
        description="Models to serve: bundled names, folders or models:/NAME@ALIAS; the first is the default.",
    )
    flip: bool = Field(False, description="Average each face with its mirror image; twice the work.")
    balance: float | None = Field(
        None, ge=0, le=1,
        description="0: expressions are as frequent as in the training data; 1: all equally; none: the model's rule.",
    )  # fmt: skip
    detector: Literal["auto", "mien", "yunet", "haar", "none"] = Field("auto", description="Default detector.")

    workers: int = Field(0, ge=0, description="Threads that decode images and find faces; 0 for one per core.")
    model_threads: int = Field(1, ge=0, description="Threads of the model; 0 for one per core, up to 4.")
    batch_faces: Positive = Field(64, description="Most faces per model run.")
    batch_wait_ms: float = Field(4.0, ge=0, description="Longest wait for faces of other requests.")
    queue_images: Positive = Field(128, description="Most images in progress; further ones get 503.")
    queue_s: Seconds = Field(10.0, description="Longest expected wait of an image; further ones get 503.")
    buffer_mb: Positive = Field(256, description="Most memory for request bodies; further ones get 503.")
    connections: Positive = Field(512, description="Most concurrent requests, uploads included; further ones get 503.")

    max_body_mb: float = Field(25.0, gt=0, description="Largest request body.")
    max_images: Positive = Field(16, description="Most images in one request.")
    max_pixels: Positive = Field(40_000_000, description="Largest width × height, checked before decoding.")

    page_dir: Path | None = Field(
        None, description="Folder of the page that analyzes in the browser; default: web/dist of the checkout."
    )
    state_dir: Path | None = Field(
        None, description="Folder for the videos and results of jobs; default: `service` in MIEN_HOME."
    )
    jobs: SecretStr | None = Field(
        None, description="postgresql://… for jobs that several machines share, with `files`, or `state_dir` a folder "
        "of all; default: SQLite in `state_dir`.",
    )  # fmt: skip
    files: str | None = Field(
        None, description="s3://, gs:// or az://… for the videos and results of `jobs` in PostgreSQL; `state_dir` is "
        "then each machine's own; default: `state_dir`.",
    )  # fmt: skip
    video_workers: int = Field(
        1, ge=0, description="Videos analyzed at the same time; 0 leaves them to others, with `jobs` in PostgreSQL."
    )
    video_queue: int = Field(16, ge=0, description="Most queued videos; further ones get 503; 0 disables videos.")
    video_keep_s: Seconds = Field(24 * 3600.0, description="Seconds for which a result is kept.")
    video_receive_timeout_s: Seconds = Field(600.0, description="Time limit for uploading a video.")
    max_video_mb: float = Field(512.0, gt=0, description="Largest video.")
    max_video_s: Seconds = Field(3600.0, description="Longest video, or part of a video.")
    max_video_frames: Positive = Field(200_000, description="Most frames analyzed per video.")

    streams: int = Field(16, ge=0, description="Most concurrent live streams; 0 disables them.")
    stream_frame_mb: float = Field(2.0, gt=0, le=16, description="Largest frame of a live stream.")
    stream_pixels: Positive = Field(4_000_000, description="Largest width × height of a stream frame.")
    stream_idle_s: Seconds = Field(60.0, description="A live stream is closed after this time without frames.")

    header_timeout_s: Seconds = Field(10.0, description="Time limit for receiving a request header.")
    receive_timeout_s: Seconds = Field(30.0, description="Time limit for receiving a request body.")
    request_timeout_s: Seconds = Field(30.0, description="Time limit for answering once the body has arrived.")
    send_timeout_s: Seconds = Field(30.0, description="How long a client may leave an answer untaken.")
    keep_alive_s: Positive = Field(5, description="How long an idle connection stays open.")
    drain_s: float = Field(
        0.5, ge=0, description="After SIGTERM: how long new requests are accepted while /readyz answers 503."
    )
    grace_s: Positive = Field(30, description="After that: time limit for requests in progress.")

    api_keys: dict[str, str] = Field(
        default_factory=dict,
        description="Names with key hashes from `mien serve --make-key NAME`; none: open to all.",
    )
    rate_per_minute: float = Field(
        0.0, ge=0, description="Requests per minute and key, or client address without keys; 0: unlimited."
    )
    rate_burst: Positive = Field(20, description="Requests allowed in a burst.")
    cors_origins: list[str] = Field(
        default_factory=list, description="Other web origins whose pages may call the service."
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level to log.")
    log_clients: bool = Field(False, description="Log the client's address with each request.")

    @field_validator("api_keys")
    @classmethod
    def _check_keys(cls, keys: dict[str, str]) -> dict[str, str]:
        from mien.apps.service.admission import check_hash

        for name, digest in keys.items():
            check_hash(name, digest)
        return keys

    @model_validator(mode="after")
    def _check_room(self) -> Self:
        # Or a request could be within its own limit and still never be accepted.
        if self.buffer_mb < self.max_body_mb:
            raise ValueError(
                f"buffer_mb = {self.buffer_mb} leaves no room for a body of max_body_mb = {self.max_body_mb:g}"
            )
        if self.queue_images < self.max_images:
            raise ValueError(f"queue_images = {self.queue_images} leaves no room for max_images = {self.max_images}")
        if self.jobs is not None and not self.jobs.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("jobs is the address of a PostgreSQL database: postgresql://USER:PASSWORD@HOST/DATABASE")
        if self.files is not None and self.jobs is None:
            raise ValueError("files is for jobs that several machines share: give `jobs`, postgresql://…, as well")
        if self.files is not None and scheme_of(self.files) not in BUCKETS:
            raise ValueError("files is the address of a bucket: s3://BUCKET/FOLDER, gs://… or az://…")
        if self.jobs is None and not self.video_workers:
            raise ValueError("video_workers = 0 leaves videos unread: give `jobs`, or set video_queue = 0")
        return self

    @property
    def max_body_bytes(self) -> int:
        """Largest request body, in bytes."""
        return int(self.max_body_mb * 2**20)

    @property
    def stream_frame_bytes(self) -> int:
        """Largest frame of a live stream, in bytes."""
        return int(self.stream_frame_mb * 2**20)

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
        """The environment overrides the file; `load_settings` puts the command line over both."""
        return env_settings, init_settings


def load_settings(config: Path | None = None, **given: Any) -> Settings:
    """Settings from a file, overridden by the environment, overridden by the values given that are not None.

    Args:
        config: a TOML file; default: the one named by MIEN_SERVICE_CONFIG, if any.
        given: settings by name.

    Raises:
        ConfigError: names the setting, what was expected and what came.
    """
    path = config or (Path(named) if (named := os.environ.get(CONFIG_VARIABLE)) else None)
    try:
        settings = Settings(**(_read(path) if path else {}))
        chosen = {name: value for name, value in given.items() if value is not None}
        # Validated together: a limit from the file may not fit one from the command line.
        return _Given.model_validate(settings.model_dump() | chosen) if chosen else settings
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise ConfigError(f"service settings: {first['msg'].removeprefix('Value error, ')}") from error
        name = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = ", ".join(sorted(Settings.model_fields))
            raise ConfigError(f"unknown service setting {name!r}: expected one of {known}") from error
        # The value may be a key in place of its hash, so it is not echoed.
        came = "" if name.startswith("api_keys") else f", not {first['input']!r}"
        raise ConfigError(f"service setting {name!r}: {first['msg']}{came}") from error


class _Given(Settings):
    """Final settings: the environment is not read again."""

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
        raise ConfigError(f"{path}: no such file; expected the service settings as TOML") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error
