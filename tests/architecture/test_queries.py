"""Goal: a domain's SQL and its store match one to one. Method: compare the two files."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.kit.queries import parse_queries
from tests.architecture.source import ROOT, files

SOURCES = list(files("exchange", suffix="queries.sql"))


def _domain(path: Path) -> str:
    return path.parent.relative_to(ROOT).as_posix()


def _uses(tree: ast.AST, variable: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == variable:
            yield node.attr


def _variable(tree: ast.Module) -> str | None:
    """Return the name that a module gives to its loaded queries, None where it loads none."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if ast.unparse(node.value.func).endswith("load_queries") and isinstance(target, ast.Name):
                return target.id
    return None


@pytest.mark.parametrize("source", SOURCES, ids=_domain)
def test_every_query_is_used_by_its_package_and_every_used_one_exists(source: Path) -> None:
    queries = parse_queries(_domain(source), source.read_text(encoding="utf-8"))
    used: set[str] = set()
    for path in source.parent.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        variable = _variable(tree)
        if variable is not None:
            assert path.name == "store.py" or not source.with_name("store.py").exists(), path
            used.update(_uses(tree, variable))
    assert sorted(used) == dir(queries)


@pytest.mark.parametrize("path", list(files("exchange", suffix="store.py")), ids=_domain)
def test_every_function_of_a_store_runs_one_statement_and_takes_a_connection_first(path: Path) -> None:
    store = ast.parse(path.read_text(encoding="utf-8"))
    variable = _variable(store)
    assert variable is not None
    found = []
    for node in store.body:
        if isinstance(node, ast.AsyncFunctionDef):
            statements = sorted(set(_uses(node, variable)))
            arguments = [argument.arg for argument in node.args.args]
            if len(statements) != 1 or arguments[:1] != ["connection"]:
                found.append(f"{node.name}({', '.join(arguments)}) runs {statements}")
    assert found == []


@pytest.mark.parametrize("source", SOURCES, ids=_domain)
def test_no_query_orders_by_a_column_that_it_casts(source: Path) -> None:
    """ORDER BY takes a bare name as what is selected: `xact_id::TEXT` would be ordered by digits."""
    queries = parse_queries(_domain(source), source.read_text(encoding="utf-8"))
    for name in dir(queries):
        statement = getattr(queries, name)
        cast = set(re.findall(r"(?<![\w.$'])([a-z]\w*)::\w+(?=,|\s+FROM\b)", statement))
        for clause in re.findall(r"ORDER BY ([^)\n]+)", statement):
            assert not cast & set(re.findall(r"(?<![\w.])[a-z]\w*(?!\.)\b", clause)), name
