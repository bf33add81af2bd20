"""docs/trust.md names tests: each of them is there, and would be collected."""

from __future__ import annotations

import ast
import re

from tests.docs.command_lines import ROOT

NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_the_tests_that_are_named_exist() -> None:
    named = NAMED.findall((ROOT / "docs/trust.md").read_text(encoding="utf-8"))
    assert len(named) > 50
    there: dict[str, set[str]] = {}
    for path in sorted({path for path, _ in named}):
        body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
        there[path] = {entry.name for entry in body if isinstance(entry, ast.FunctionDef)}
    assert not [f"{path}::{name}" for path, name in named if not name.startswith("test_") or name not in there[path]]
