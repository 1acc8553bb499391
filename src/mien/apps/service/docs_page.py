"""The documentation at `/docs`: one page made of the OpenAPI description, without a script or another machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import FastAPI

from mien.apps.service.problems import KINDS, TYPE_PREFIX
from mien.html import html_table, page

STYLE = """
h3 code { font-size: 1rem; } .verb { color: var(--accent); font-weight: 700; margin-right: .4rem; }
details { margin: .8rem 0; } summary { cursor: pointer; color: var(--soft); }
pre { font-size: .85rem; max-height: 26rem; overflow: auto; }
"""
LEAD = "Reads facial expressions in pictures and videos: what a face shows, not what a person feels."


def render_docs(app: FastAPI) -> str:
    """The page, as HTML."""
    schema = app.openapi()
    sections = [_introduction(app)]
    for tag in schema["tags"]:
        operations = [entry for entry in _operations(schema) if tag["name"] in entry[2].get("tags", ())]
        if operations:
            sections.append(f"<h2>{escape(tag['name'].capitalize())}</h2>\n<p>{escape(tag['description'])}</p>")
            sections += [_describe_operation(*entry, schema) for entry in operations]
    sections.append(_errors())
    return page(f"{schema['info']['title']} {schema['info']['version']}", "\n".join(sections), lead=LEAD, style=STYLE)


def _introduction(app: FastAPI) -> str:
    root = app.root_path
    return (
        "<p>Nothing that is sent is stored or logged, but for a video until its job ends. The machine-readable "
        "description is "
        f'<a href="{escape(root)}/openapi.json">openapi.json</a>, OpenAPI 3.1.</p>\n'
        f"<pre><code>curl -F files=@face.jpg http://127.0.0.1:8000{escape(root)}/v1/analyze</code></pre>"
    )


def _operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _describe_operation(method: str, path: str, operation: dict[str, Any], schema: dict[str, Any]) -> str:
    parts = [f'<h3><span class="verb">{method}</span><code>{escape(path)}</code></h3>']
    parts += [f"<p>{_code(text)}</p>" for text in operation.get("description", "").split("\n\n") if text]
    if parameters := operation.get("parameters"):
        rows = [_describe_parameter(parameter) for parameter in parameters]
        parts.append(html_table(["parameter", "values", "what it does"], rows, text_columns=3))
    if types := operation.get("requestBody", {}).get("content"):
        parts.append(f"<p>Body: {', '.join(f'<code>{escape(name)}</code>' for name in types)}.</p>")
    if example := _find_example(operation, schema):
        text = escape(json.dumps(example, indent=2, ensure_ascii=False))
        parts.append(f"<details><summary>An answer</summary><pre><code>{text}</code></pre></details>")
    statuses = [
        (f"<code>{escape(status)}</code>", _code(answer.get("description", "")))
        for status, answer in operation.get("responses", {}).items()
    ]
    table = html_table(["status", "when"], statuses, text_columns=2)
    parts.append(f"<details><summary>Statuses</summary>{table}</details>")
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
    """The first example of the good answer's schema."""
    content = operation.get("responses", {}).get("200", {}).get("content", {})
    name = content.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
    return next(iter(schema["components"]["schemas"].get(name, {}).get("examples", [])), None)


def _errors() -> str:
    rows = [(f"<code>{TYPE_PREFIX}{kind}</code>", str(status), title) for kind, (status, title) in KINDS.items()]
    return "<h2>Errors</h2>\n<p>Each is a problem document by RFC 9457; <code>type</code> tells them apart.</p>\n" + (
        html_table(["type", "status", "title"], rows, text_columns=3)
    )


def _code(text: str) -> str:
    """Escaped text; what stands in backticks is set as code."""
    parts = escape(" ".join(text.split())).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
