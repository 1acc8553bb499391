"""What `mien doctor` says of the window, the page, the service and the cameras."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from mien.apps.cli.parameters import need
from mien.apps.cli.surfaces import PAGE_PORT, SERVICE_PACKAGES, SERVICE_PORT
from mien.errors import MienError
from mien.sources.camera import list_cameras


def surfaces() -> Iterator[tuple[str, str]]:
    """What can be shown here. A machine without a screen or a camera is no problem, so these change no exit code."""
    from mien.apps.desktop.app import need_display, need_qt
    from mien.apps.streamlit_server import Address, check_address, need_streamlit

    def window() -> str:
        need_qt()
        need_display(os.environ)
        return "can be opened: mien watch"

    def page() -> str:
        need_streamlit()
        check_address(Address("127.0.0.1", PAGE_PORT))
        return f"can be started: mien app, port {PAGE_PORT}"

    def service() -> str:
        need(SERVICE_PACKAGES, "service")
        check_address(Address("127.0.0.1", SERVICE_PORT))
        return f"can be started: mien serve, port {SERVICE_PORT}"

    for check in (window, page, service):
        try:
            yield check.__name__, check()
        except MienError as error:
            yield check.__name__, f"not here: {error}"
    cameras = [f"{path} ({name})" if name else path for path, name in list_cameras().items()]
    yield (
        "cameras",
        ", ".join(cameras) or ("none" if sys.platform.startswith("linux") else "mien watch 0 tries the first"),
    )
