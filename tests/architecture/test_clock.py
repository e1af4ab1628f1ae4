"""Goal: time comes from `exchange.kit.clock` alone, so that it can be driven. Method: read the syntax."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source import dotted, trees

HARMLESS = frozenset({"sleep", "struct_time"})
CLOCK_METHODS = frozenset({"now", "utcnow", "today"})
ALLOWED = ("exchange/kit/clock.py", "exchange/bench/")


def clock_calls(tree: ast.Module) -> Iterator[str]:
    """Yield where a syntax tree asks a clock."""
    modules = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "time"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            for alias in node.names:
                if alias.name not in HARMLESS:
                    yield f"{node.lineno}: from time import {alias.name}"
        elif isinstance(node, ast.Attribute):
            head, _, name = dotted(node).rpartition(".")
            asks_time = head in modules and name not in HARMLESS
            if asks_time or (head.rpartition(".")[2] in {"datetime", "date"} and name in CLOCK_METHODS):
                yield f"{node.lineno}: {head}.{name}"


def test_only_the_clock_module_asks_a_clock() -> None:
    found = [
        f"{path}:{call}"
        for path, tree in trees("exchange", "matching")
        if not path.startswith(ALLOWED)
        for call in clock_calls(tree)
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "import time\ntime.time()",
        "import time as t\nt.monotonic_ns()",
        "from time import perf_counter",
        "datetime.now(UTC)",
        "dt.date.today()",
    ],
)
def test_each_clock_is_seen(code: str) -> None:
    assert list(clock_calls(ast.parse(code)))


def test_sleeping_is_not_asking() -> None:
    assert list(clock_calls(ast.parse("import time\ntime.sleep(1)\nclock.now_us()\nasyncio.sleep(1)"))) == []
