"""The glossary holds: what people read, on every surface, uses one word for each thing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import mien

PACKAGE = Path(mien.__file__).parent
REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    *(
        page
        for page in sorted((REPOSITORY / "docs").rglob("*.md"))
        if page.name != "glossary.md" and "study" not in page.parts
    ),
    *sorted(PACKAGE.rglob("README.md")),
]
RETIRED = {
    r"\banew\b": "again, or from scratch",
    r"\bforetell|\bforetold\b": "predict, predicted",
    r"\bsurest\b": "most confident",
    r"\bhinders?\b": "affects, stops",
    r"(?<!there )\bis none\b": "say what is missing",
    r"\bfilms?\b": "video",
    r"\bcounterfeit": "synthetic negative",
    r"\bspoilt\b": "corrupted",
    r"\bopinions\b": "soft labels, teacher predictions",
    r"\bwishes\b": "options",
    r"\banalyse": "analyze",
    r"\bknows it not\b": "does not know it",
    r"\bhead that speaks|\bheads speaks": "output head",
}
"""What is retired, and what to write."""


def iter_texts() -> Iterator[tuple[str, str]]:
    """Every string of the package, docstrings included, and every line of its pages and scripts."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node.value
    for path in [*PAGES, *sorted(PACKAGE.rglob("*.html")), *sorted(PACKAGE.rglob("*.js"))]:
        if "bundled" in path.parts:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            yield f"{path.name}:{number}", line


def test_no_retired_word_is_left() -> None:
    found = [
        f"{place}: {match[0]!r} → {better}"
        for place, text in iter_texts()
        for pattern, better in RETIRED.items()
        if text != "spoilt"  # a key of evaluations that are stored already
        if (match := re.search(pattern, text, re.IGNORECASE))
    ]
    assert not found, "\n".join(found)
