"""Every test asserts something: by itself, or by a function of the suite that does."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).parent
Function = ast.FunctionDef | ast.AsyncFunctionDef


def look(function: Function) -> tuple[bool, set[str]]:
    """Whether it has an `assert`, and the names of what it calls."""
    has, called = False, set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            has = True
        elif isinstance(node, ast.Call):
            called.add(node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", ""))
    return has, called


def test_every_test_asserts_something() -> None:
    tests, helpers = {}, []
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Function):
                if node.name.startswith("test_"):
                    tests[f"{path.relative_to(TESTS)}:{node.lineno} {node.name}"] = look(node)
                else:
                    helpers.append((node.name, *look(node)))
    asserting = {
        "raises",
        "warns",
        "fail",
        "expect",
        "assert_allclose",
        "assert_array_equal",
        "assert_called_once_with",
    }
    # Once more, for those that call one of the first.
    for _ in range(2):
        asserting |= {name for name, has, called in helpers if has or called & asserting}
    asserting |= {name for _, called in tests.values() for name in called if name.startswith("assert_")}
    assert [name for name, (has, called) in tests.items() if not has and not called & asserting] == []
