"""Goal: the same commands always give the same events. Method: read matching for what could break it.

And of the exchange: what says that it is pure takes nothing of the world in, as models and rules do not.
"""

import ast
import re
import tomllib
from collections.abc import Iterator

import pytest

from tests.architecture.purity import faults
from tests.architecture.source import ROOT, trees


def test_matching_contains_nothing_that_depends_on_the_world_or_on_rounding() -> None:
    found = [f"{path}:{fault}" for path, tree in trees("matching") for fault in faults(tree)]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "import time",
        "from random import choice",
        "import os.path",
        "price = 1.5",
        "half = total / 2",
        "total /= 2",
        "key = hash(order)",
        "key = id(order)",
        "open('book')",
        "rate: float = 1",
        "async def match(): ...",
        "for order in {1, 2}: pass",
        "for order in set(orders): pass",
        "seen: set[int] = set()\nfor order in seen: pass",
        "seen = set()\nfirst = next(iter(seen))",
        "self.seen = set()\n[order for order in self.seen]",
        "def walk(seen: frozenset[int]): return list(seen)",
        "seen = {1}\nseen.pop()",
        "seen: set[int]\nprint(*seen)",
        "a: set[int]\nfor order in a | b: pass",
    ],
)
def test_each_forbidden_thing_is_seen(code: str) -> None:
    assert list(faults(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "import msgspec\nfrom matching.units import GPU",
        "half = total // 2",
        "seen: set[int] = set()\nfound = 1 in seen\nseen.add(2)",
        "seen: set[int]\nfor order in sorted(seen): pass",
        "for order in orders: pass",
        "orders.pop(0)",
        "stack.pop()",
        "order.id",
    ],
)
def test_what_is_harmless_is_let_pass(code: str) -> None:
    assert list(faults(ast.parse(code))) == []


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_what_says_that_it_is_pure_imports_nothing_of_the_world() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    [world] = [each["forbidden_modules"] for each in contracts if each["name"] == "models and rules are pure"]
    of_the_world = re.compile("|".join(rf"{re.escape(module)}(?:\.|$)" for module in world))
    pure = {
        path: list(_imported(tree))
        for path, tree in trees("exchange")
        if re.search(r"\bPure\.", ast.get_docstring(tree) or "")
    }
    assert len(pure) > 40
    found = {path: [each for each in names if of_the_world.match(each)] for path, names in pure.items()}
    assert {path: names for path, names in found.items() if names} == {}
