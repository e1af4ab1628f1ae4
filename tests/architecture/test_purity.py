"""Goal: the same commands always give the same events. Method: read matching for what could break it."""

import ast

import pytest

from tests.architecture.purity import faults
from tests.architecture.source import trees


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
