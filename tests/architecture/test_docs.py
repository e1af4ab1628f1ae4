"""Goal: documents name tests that are there. Method: each `test_...` in docs is a test file or function."""

import ast
import re

from tests.architecture.source import files, trees

NAME = re.compile(r"`(test_\w+)`")


def test_every_test_that_a_document_names_is_there() -> None:
    there = {path.stem for path in files("tests", suffix=".py")}
    for _, tree in trees("tests"):
        there |= {
            node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
    named = {
        name
        for path in files("docs", suffix=".md")
        for name in NAME.findall(path.read_text(encoding="utf-8"))
    }
    assert named
    assert named - there == set()
