"""The pages of the service: the home page, the API reference and `/live`; no scripts or files from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from mien import __version__
from mien.apps.live.parts import TYPES, find_part, page_headers
from mien.apps.service.problems import KINDS, TYPE_PREFIX, Problem
from mien.apps.service.reading_page import find_page, read_headers
from mien.html import html_table, page

router = APIRouter(include_in_schema=False)

HEADERS = page_headers("'none'")
STYLE = """
h3 code { font-size: 1rem; } .verb { color: var(--accent); font-weight: 700; margin-right: .4rem; }
details { margin: .8rem 0; } summary { cursor: pointer; color: var(--soft); border-radius: 3px; }
summary:hover { color: var(--ink); } pre { font-size: .85rem; max-height: 26rem; overflow: auto; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); gap: 1rem;
  margin: 2rem 0; padding: 0; list-style: none; max-width: none; }
.tiles a { display: block; height: 100%; padding: 1.1rem 1.2rem; border-radius: 12px; background: var(--panel);
  color: var(--soft); text-decoration: none; border: 1px solid transparent; }
.tiles a:hover { border-color: var(--accent); } .tiles b { display: block; color: var(--accent); font-size: 1.12rem; }
.tiles li { max-width: none; } .brand { display: flex; align-items: center; gap: .8rem; }
h1 .soft { font-weight: 400; } h1 svg { width: 2.6rem; height: 2.6rem; flex: none; border-radius: 10px; }
.try, .keys { display: grid; gap: .6rem; padding: 1rem; margin: .8rem 0; border-radius: 10px; background: var(--panel);
  max-width: 46rem; }
.fields { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 13rem), 1fr)); gap: .6rem 1rem; }
.try label, .keys label { display: grid; gap: .15rem; font-size: .88rem; color: var(--soft); min-width: 0; }
.try input, .try select, .keys input { font: inherit; color: var(--ink); background: var(--paper); min-height: 2.4rem;
  border: 1px solid var(--line); border-radius: 6px; padding: .3rem .6rem; width: 100%; min-width: 0; }
.try button { font: inherit; font-weight: 600; justify-self: start; min-height: 2.5rem; padding: .4rem 1.4rem;
  border: 0; border-radius: 8px; background: var(--accent); color: var(--paper); cursor: pointer; }
.try code { background: none; } .trial summary { color: var(--accent); font-weight: 600; }
.try button:disabled { opacity: .5; } .try pre { background: var(--paper); margin: .4rem 0 0; }
.answer { min-width: 0; } .status { margin: .3rem 0; font-weight: 600; }
@media (max-width: 640px) {
  .parameters thead { display: none; } .parameters tr { display: block; border-bottom: 1px solid var(--line);
    padding: .5rem 0; } .parameters td { display: block; border: 0; padding: .05rem 0; }
}
"""
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}
LEAD = "Estimates facial expressions in images and videos: what a face shows, not what a person feels."
PYTHON = """from mien.client import Client  # pip install "mien[client]"

with Client("BASE") as client:
    for face in client.analyze("face.jpg")[0].faces:
        print(face.top, face.confidence)"""
SCRIPT = Path(__file__).with_name("assets") / "try.js"


def render_home(app: FastAPI, base: str) -> str:
    """The home page as HTML: what there is, and how to call it.

    Args:
        base: the address under which the service was asked for, without a slash at its end.
    """
    root = escape(app.root_path)
    on_device = find_page(app.state.service.settings) is not None
    here = ("On this device", "Photos, videos and camera in the browser: nothing is sent.")
    links = {
        "live": ("Live camera", "Your own camera, read as you watch. Frames are forgotten at once."),
        **({"read/": here} if on_device else {}),
        "docs": ("API reference", "Every endpoint, option and error, each with a form to try it."),
    }
    tiles = "".join(f'<li><a href="{root}/{path}"><b>{name}</b>{text}</a></li>' for path, (name, text) in links.items())
    body = (
        f'<ul class="tiles">{tiles}</ul>\n<h2>From a program</h2>\n{_example(base)}\n'
        f"{_code_block(PYTHON.replace('BASE', base))}\n"
        f'<p class="soft"><a href="{root}/openapi.json">openapi.json</a> describes the API for machines (OpenAPI 3.1); '
        f'<a href="{root}/readyz">readyz</a> says whether the model is loaded. Mien {__version__}.</p>'
    )
    return page("Mien", body, lead=LEAD, style=STYLE)


def render_docs(app: FastAPI, base: str) -> str:
    """The API reference as HTML; `base` as `render_home` takes it."""
    schema = app.openapi()
    root = escape(app.root_path)
    sections = [
        "<p>Uploads are not stored or logged, except a video until its job ends. Machine-readable description: "
        f'<a href="{root}/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>\n{_example(base)}\n'
        '<div class="keys"><label>API key for the forms below, if this service asks for one; kept by this page alone'
        '<input id="key" type="password" autocomplete="off" spellcheck="false"></label></div>'
    ]
    for tag in schema["tags"]:
        operations = [entry for entry in _operations(schema) if tag["name"] in entry[2].get("tags", ())]
        if operations:
            sections.append(f"<h2>{escape(tag['name'].capitalize())}</h2>\n<p>{escape(tag['description'])}</p>")
            sections += [_describe_operation(*entry, schema) for entry in operations]
    sections.append(_errors())
    sections.append(f'<script src="{root}/docs/try.js"></script>')
    title = f"{schema['info']['title']} {schema['info']['version']}"
    html = page(title, "\n".join(sections), lead=LEAD, style=STYLE)
    return html.replace('<html lang="en">', f'<html lang="en" data-root="{root}">', 1)


def _example(base: str) -> str:
    return _code_block(f"curl -F file=@face.jpg {base}/v1/analyze")


def _code_block(text: str) -> str:
    # In the order of the tabulator: it scrolls where it is too wide.
    return f'<pre tabindex="0"><code>{escape(text)}</code></pre>'


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}{request.app.root_path}"


def _operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _describe_operation(method: str, path: str, operation: dict[str, Any], schema: dict[str, Any]) -> str:
    parts = [f'<h3><span class="verb">{method}</span><code>{escape(path)}</code></h3>']
    parts += [f"<p>{_code(text)}</p>" for text in operation.get("description", "").split("\n\n") if text]
    if parameters := operation.get("parameters"):
        rows = [_describe_parameter(parameter) for parameter in parameters]
        table = html_table(["parameter", "values", "description"], rows, text_columns=3)
        parts.append(f'<div class="parameters">{table}</div>')
    if types := operation.get("requestBody", {}).get("content"):
        parts.append(f"<p>Body: {', '.join(f'<code>{escape(name)}</code>' for name in types)}.</p>")
    form = _form(method, path, operation)
    parts.append(f'<details class="trial"><summary>Try it</summary>{form}</details>')
    if example := _find_example(operation, schema):
        text = escape(json.dumps(example, indent=2, ensure_ascii=False))
        block = f'<pre tabindex="0"><code>{text}</code></pre>'
        parts.append(f"<details><summary>Example response</summary>{block}</details>")
    statuses = [
        (f"<code>{escape(status)}</code>", _code(answer.get("description", "")))
        for status, answer in operation.get("responses", {}).items()
    ]
    table = html_table(["status", "meaning"], statuses, text_columns=2)
    parts.append(f"<details><summary>Status codes</summary>{table}</details>")
    return "\n".join(parts)


def _form(method: str, path: str, operation: dict[str, Any]) -> str:
    """A form that sends the operation; `try.js` makes it work."""
    fields = "".join(_field(parameter) for parameter in operation.get("parameters", ()))
    types = operation.get("requestBody", {}).get("content", {})
    kind = "video" if any(name.startswith("video/") for name in types) else "image"
    several = "" if kind == "video" else " multiple"
    upload = f'<label>file<input type="file" name="file" accept="{kind}/*" required{several}></label>' if types else ""
    return (
        f'<form class="try" data-method="{method}" data-path="{escape(path)}">{upload}'
        f'<div class="fields">{fields}</div><button>Send</button>'
        '<div class="answer" role="status" hidden><p class="status"></p>'
        '<pre class="curl" tabindex="0"><code></code></pre>'
        '<pre class="body" tabindex="0"><code></code></pre></div></form>'
    )


def _field(parameter: dict[str, Any]) -> str:
    schema = parameter["schema"]
    kind: dict[str, Any] = next((kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"), {})
    name, place = escape(parameter["name"]), f'data-in="{parameter["in"]}"'
    choices = kind.get("enum") or (["true", "false"] if kind.get("type") == "boolean" else [])
    if choices:
        options = "".join(f"<option>{escape(str(choice))}</option>" for choice in ("", *choices))
        return f'<label>{name}<select name="{name}" {place}>{options}</select></label>'
    hint = json.dumps(schema["default"]) if schema.get("default") is not None else ""
    number = ' type="number" step="any"' if kind.get("type") in ("number", "integer") else ""
    needed = " required" if parameter.get("required") else ""
    return f'<label>{name}<input name="{name}" {place}{number}{needed} placeholder="{escape(hint)}"></label>'


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
    bounds = f" from {_number(low)}" if low is not None else ""
    return str(kind.get("type", "any")) + bounds + (f" to {_number(high)}" if high is not None else "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"


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
    return Response(render_home(request.app, _base(request)), media_type="text/html", headers=PAGE_HEADERS)


@router.get("/docs")
async def show_docs(request: Request) -> Response:
    """The documentation of the API."""
    return Response(render_docs(request.app, _base(request)), media_type="text/html", headers=PAGE_HEADERS)


@router.get("/docs/try.js")
async def show_script() -> Response:
    """What makes the forms of the reference work."""
    return Response(SCRIPT.read_bytes(), media_type=TYPES[".js"], headers=PAGE_HEADERS)


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
