"""The pages of the service: the home page, the API reference and `/live`; no scripts or files from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from mien.apps.live.parts import find_part, page_headers
from mien.apps.service.problems import KINDS, TYPE_PREFIX, Problem
from mien.apps.service.reading_page import find_page, read_headers
from mien.html import html_table, page

router = APIRouter(include_in_schema=False)

HEADERS = page_headers("'none'")
STYLE = """
h3 code { font-size: 1rem; } .verb { color: var(--accent); font-weight: 700; margin-right: .4rem; }
details { margin: .8rem 0; } summary { cursor: pointer; color: var(--soft); }
pre { font-size: .85rem; max-height: 26rem; overflow: auto; }
"""
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "Cache-Control": "no-cache",
}  # fmt: skip
LEAD = "Estimates facial expressions in images and videos: what a face shows, not what a person feels."


def render_home(app: FastAPI) -> str:
    """The home page as HTML: what there is, and how to call it."""
    root = escape(app.root_path)
    on_device = find_page(app.state.service.settings) is not None
    links = {
        **({"read/": ("Mien on this device", "photos, videos, camera: nothing is sent")} if on_device else {}),
        "live": ("Live camera", "your own camera, analyzed as you watch"),
        "docs": ("API reference", "every endpoint, option and error"),
        "openapi.json": ("openapi.json", "the same for machines, OpenAPI 3.1"),
        "readyz": ("Status", "whether the model is loaded"),
    }
    items = "".join(f'<li><a href="{root}/{path}">{name}</a>: {text}</li>' for path, (name, text) in links.items())
    return page("Mien", f"<ul>{items}</ul>\n{_example(root)}", lead=LEAD, style=STYLE)


def render_docs(app: FastAPI) -> str:
    """The API reference as HTML."""
    schema = app.openapi()
    root = escape(app.root_path)
    sections = [
        "<p>Uploads are not stored or logged, except a video until its job ends. Machine-readable description: "
        f'<a href="{root}/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>\n{_example(root)}'
    ]
    for tag in schema["tags"]:
        operations = [entry for entry in _operations(schema) if tag["name"] in entry[2].get("tags", ())]
        if operations:
            sections.append(f"<h2>{escape(tag['name'].capitalize())}</h2>\n<p>{escape(tag['description'])}</p>")
            sections += [_describe_operation(*entry, schema) for entry in operations]
    sections.append(_errors())
    return page(f"{schema['info']['title']} {schema['info']['version']}", "\n".join(sections), lead=LEAD, style=STYLE)


def _example(root: str) -> str:
    return f"<pre><code>curl -F file=@face.jpg http://127.0.0.1:8000{root}/v1/analyze</code></pre>"


def _operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _describe_operation(method: str, path: str, operation: dict[str, Any], schema: dict[str, Any]) -> str:
    parts = [f'<h3><span class="verb">{method}</span><code>{escape(path)}</code></h3>']
    parts += [f"<p>{_code(text)}</p>" for text in operation.get("description", "").split("\n\n") if text]
    if parameters := operation.get("parameters"):
        rows = [_describe_parameter(parameter) for parameter in parameters]
        parts.append(html_table(["parameter", "values", "description"], rows, text_columns=3))
    if types := operation.get("requestBody", {}).get("content"):
        parts.append(f"<p>Body: {', '.join(f'<code>{escape(name)}</code>' for name in types)}.</p>")
    if example := _find_example(operation, schema):
        text = escape(json.dumps(example, indent=2, ensure_ascii=False))
        parts.append(f"<details><summary>Example response</summary><pre><code>{text}</code></pre></details>")
    statuses = [
        (f"<code>{escape(status)}</code>", _code(answer.get("description", "")))
        for status, answer in operation.get("responses", {}).items()
    ]
    table = html_table(["status", "meaning"], statuses, text_columns=2)
    parts.append(f"<details><summary>Status codes</summary>{table}</details>")
    return "\n".join(parts)


def _describe_parameter(parameter: dict[str, Any]) -> tuple[str, str, str]:
    schema = parameter["schema"]
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    values = " or ".join(_describe_values(kind) for kind in kinds)
    if schema.get("default") is not None:
        values += f"; default <code>{escape(json.dumps(schema['default']))}</code>"
    name = f"<code>{escape(parameter['name'])}</code>"
    return name, values, _code(parameter.get("description", ""))


def _describe_values(kind: dict[str, Any]) -> str:
    if "enum" in kind:
        return ", ".join(f"<code>{escape(str(value))}</code>" for value in kind["enum"])
    low, high = kind.get("minimum"), kind.get("maximum")
    bounds = f" from {low:g}" if low is not None else ""
    return str(kind.get("type", "any")) + bounds + (f" to {high:g}" if high is not None else "")


def _find_example(operation: dict[str, Any], schema: dict[str, Any]) -> Any:
    """The first example of the success response's schema."""
    content = operation.get("responses", {}).get("200", {}).get("content", {})
    name = content.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
    return next(iter(schema["components"]["schemas"].get(name, {}).get("examples", [])), None)


def _errors() -> str:
    rows = [(f"<code>{TYPE_PREFIX}{kind}</code>", str(status), title) for kind, (status, title) in KINDS.items()]
    return (
        "<h2>Errors</h2>\n<p>Every error is an RFC 9457 problem document; <code>type</code> identifies the kind.</p>\n"
        + (html_table(["type", "status", "title"], rows, text_columns=3))
    )


def _code(text: str) -> str:
    """Escaped text; text in backticks becomes code."""
    # Docstrings break lines where a page would not.
    parts = escape(" ".join(text.split())).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


@router.get("/")
async def show_home(request: Request) -> Response:
    """The home page, with links to the other pages."""
    return Response(render_home(request.app), media_type="text/html", headers=PAGE_HEADERS)


@router.get("/docs")
async def show_docs(request: Request) -> Response:
    """The documentation of the API."""
    return Response(render_docs(request.app), media_type="text/html", headers=PAGE_HEADERS)


@router.get("/live")
async def show_page(request: Request) -> Response:
    """The live page; it may analyze in the browser where that page was built."""
    answer = _file("index.html")
    folder = find_page(request.app.state.service.settings)
    if folder is None:
        return answer
    content = bytes(answer.body).replace(b"<body>", b'<body class="on-device">')
    return Response(content, headers=HEADERS | read_headers(folder), media_type=answer.media_type)


@router.get("/live/{name}")
async def show_part(name: str) -> Response:
    """A script, style sheet or icon of the live page."""
    return _file(name)


def _file(name: str) -> Response:
    found = find_part(name)
    if found is None:
        raise Problem("not-found", "no such file; the live page is at /live")
    return Response(found[0], headers=HEADERS, media_type=found[1])
