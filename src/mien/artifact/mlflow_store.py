"""Where MLflow keeps runs and versions, and how Mien reaches it."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mien.errors import MissingExtraError, TrackingError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT = "mien"
"""The MLflow experiment of all runs, unless MLFLOW_EXPERIMENT_NAME names another."""

# mlflow-skinny comes without the two packages that its SQLite store needs.
PACKAGES = {"mlflow": "mlflow-skinny", "sqlalchemy": "sqlalchemy", "alembic": "alembic"}

_SETTINGS = {
    # MLflow reports its use to its makers unless switched off before it is imported.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Its own defaults are 7 tries of 2 minutes each.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def local_folder() -> Path:
    """Where runs and versions are kept when no server is named: `mlflow` in MIEN_HOME, else in the user's data folder.

    Not in a cache folder: what is registered must not go when caches are emptied.
    """
    if chosen := os.environ.get("MIEN_HOME"):
        return Path(chosen).expanduser() / "mlflow"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "mien" / "mlflow"


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, else a SQLite file in `local_folder`.

    Raises:
        TrackingError: the variable holds no address.
    """
    return _address("MLFLOW_TRACKING_URI") or f"sqlite:///{_database()}"


def _address(variable: str) -> str:
    """What a variable of the environment says; empty without it."""
    uri = os.environ.get(variable, "").strip()
    try:
        urlsplit(uri)
    except ValueError as error:
        # Not shown: it may hold a password.
        raise TrackingError(f"{variable}: expected an address or a path, this one is malformed: {error}") from error
    return uri


def is_local() -> bool:
    """Whether runs and versions are kept on this machine by default."""
    return not os.environ.get("MLFLOW_TRACKING_URI", "").strip()


def is_there() -> bool:
    """Whether there is something to ask: a server is named, or the local file exists."""
    return not is_local() or _database().is_file()


def is_installed() -> bool:
    """Whether the packages of the extra `journal` are there."""
    return all(find_spec(module) for module in PACKAGES)


def require_installed() -> None:
    """Raise MissingExtraError where a package of the extra `journal` is missing."""
    for module, package in PACKAGES.items():
        if find_spec(module) is None:
            raise MissingExtraError(package, "journal")


def shown_uri() -> str:
    """The tracking URI as shown to people, without its password."""
    uri = tracking_uri()
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    host = parts.hostname or ""
    return parts._replace(netloc=f"{parts.username}:…@{host}{f':{parts.port}' if parts.port else ''}").geturl()


def page() -> str:
    """How to look at runs and versions in the browser, in a few words."""
    if urlsplit(uri := shown_uri()).scheme in ("http", "https"):
        return uri
    return f"mlflow ui --backend-store-uri {uri} (after pip install mlflow: Mien brings only its client)"


def connect() -> MlflowClient:
    """A client of MLflow; nothing is asked yet of a server, a local file is made if need be.

    Telemetry is switched off, and a server that does not answer is given up after two short tries: variables of the
    environment that are set already stay as they are.

    Raises:
        MissingExtraError: MLflow is not installed.
        TrackingError: the database cannot be opened.
    """
    require_installed()
    for key, value in _SETTINGS.items():
        os.environ.setdefault(key, value)
    with warnings.catch_warnings():
        # SQLAlchemy 2.1 deprecates what MLflow's tables use.
        warnings.simplefilter("ignore")
        from mlflow.tracking import MlflowClient

        # MLflow makes its tables by Alembic, which logs every step.
        logging.getLogger("alembic").setLevel(logging.WARNING)
        uri = tracking_uri()
        with translated():
            if is_local():
                _database().parent.mkdir(parents=True, exist_ok=True)
            return MlflowClient(tracking_uri=uri, registry_uri=_address("MLFLOW_REGISTRY_URI") or uri)


def experiment_id(client: MlflowClient) -> str:
    """The experiment that runs go to, made if need be.

    Raises:
        TrackingError: the store cannot be reached.
    """
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    with translated():
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        # MLflow's default beside SQLite is `mlruns` in whatever folder the command runs in.
        place = (local_folder() / "artifacts").resolve().as_uri() if is_local() else None
        return str(client.create_experiment(name, artifact_location=place))


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn what MLflow and its database raise into a TrackingError that says where the store is and what to do."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
        raise TrackingError(_explained(error)) from error


def is_missing(error: TrackingError) -> bool:
    """Whether the store answered, and what was asked for is not in it."""
    return getattr(error.__cause__, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"


def _explained(error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    where = shown_uri()
    if urlsplit(where).scheme not in ("http", "https"):
        return f"MLflow's store {where} failed: {reason[:300]}"
    # MLflow turns a refused connection into a text: `API request to … failed with exception …`.
    if "Max retries exceeded" in reason or "exception" in reason.lower():
        return (
            f"the MLflow server {where} does not answer ({_root(error)}): start it, correct MLFLOW_TRACKING_URI, "
            "or unset it to keep runs and versions on this machine"
        )
    return f"the MLflow server {where} refused: {reason[:300]}"


def _root(error: BaseException) -> str:
    """The innermost reason in a few words: `Connection refused`."""
    while following := error.__cause__ or error.__context__:
        error = following
    text = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return str(text)[:120]


def _database() -> Path:
    return local_folder() / "mlflow.db"
