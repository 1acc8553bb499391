"""The files of the live page: a camera in the browser, its faces and their cards; nothing comes from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}  # fmt: skip

_IMPORT = re.compile(r"^import \{[^}]*\} from \"\./(\w+\.js)\";\n", re.MULTILINE)


def page_headers(frame_ancestors: str) -> dict[str, str]:
    """What the page's answers carry: it handles a camera, so nothing from elsewhere may run in it.

    Args:
        frame_ancestors: who may show it in a frame, `'none'` or `'self'`.
    """
    return {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {frame_ancestors}",
        "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }


def find_part(name: str) -> tuple[bytes, str] | None:
    """A file of the page with its media type; None if there is none of this name."""
    # Looked up among the files that exist, so a name cannot lead out of the folder.
    known = {path.name: path for path in FOLDER.iterdir() if path.suffix in TYPES}
    return (known[name].read_bytes(), TYPES[known[name].suffix]) if name in known else None


def join_scripts(path: Path) -> str:
    """A script with all that it imports, as one module, for pages that take one text.

    Scripts of the live page may be imported by others beside it under their bare names: `import { a } from "./b.js";`.
    """
    text = path.read_text("utf-8")
    parts = [join_scripts(FOLDER / name).replace("export ", "") for name in _IMPORT.findall(text)]
    return "\n".join([*parts, _IMPORT.sub("", text)])
