"""Seeded command lists: what `tests.strategies` draws, without shrinking and far faster, for long runs.

`tape(seed, length)` is the same everywhere and always: it depends on nothing but its arguments.
"""

from random import Random
from typing import Any, NamedTuple

from matching.commands import Command
from matching.order import FillPolicy, Placement, Side, TimeInForce
from matching.product import Phase, Product
from tests.interpreter import FAR, PRODUCT_ID, Interpreter

_TERMS = [(TimeInForce.GTC, 0, False)] * 24 + [
    (TimeInForce.IOC, 0, False),
    (TimeInForce.FOK, 0, False),
    (TimeInForce.GTC, 0, True),
    (TimeInForce.GTD, 2, False),
    (TimeInForce.GTD, 5, True),
]
_MASKS = [(0, 0)] * 12 + [(1, 0), (FAR | 1, 0), (FAR, 0), (1, 1), (0, FAR), (FAR, 1)]
_WHOLE = [(FillPolicy.PARTIAL, Placement.ANY)] * 3 + [
    (FillPolicy.ALL_OR_NONE, Placement.ANY),
    (FillPolicy.ALL_OR_NONE, Placement.ANY),
    (FillPolicy.ALL_OR_NONE, Placement.ANY),
    (FillPolicy.PARTIAL, Placement.SINGLE_SITE),
]

# A lot that is broken, an owner who is another.
_RARELY = [0] * 24 + [1]


class _Style(NamedTuple):
    """How a tape's orders are drawn: where all want the same, they meet, wait and run short."""

    offset_max: int
    price_max: int
    shortest: list[int]
    masks: list[tuple[int, int]]


_STYLES = [
    _Style(5, 6, [1, 1, 1, 2, 3], _MASKS),
    _Style(5, 6, [1, 1, 1, 2, 3], _MASKS),
    _Style(1, 3, [1], [(0, 0)]),
    _Style(2, 2, [2, 2, 3], [(0, 0)]),
]


def tape(seed: int, length: int) -> tuple[Product, list[Command]]:
    """Return a product and `length` commands for its book, the opening one included."""
    random = Random(seed)
    product = Product(PRODUCT_ID, random.choice([1, 8]), random.choice([0, 0, 0, 5_000]), 4)
    interpreter = Interpreter(product)
    changes = random.choice([0.1, 0.2, 0.4])
    style = random.choice(_STYLES)
    commands = [interpreter.opening()]
    while len(commands) < length:
        change = random.random() < changes
        raw = _change(random, style, len(interpreter.placed)) if change else _order(random, style)
        commands.append(interpreter.command(raw))
    return product, commands


def seeds_of(name: str, number: int) -> list[int]:
    """Return so many seeds, the same ones for the same name."""
    random = Random(name)
    return [random.randrange(1 << 32) for _ in range(number)]


def _order(random: Random, style: _Style) -> tuple[Any, ...]:
    kind = random.choice(["ask", "bid"])
    hours, extra = (
        (random.randint(1, 8), random.choice(style.shortest))
        if kind == "ask"
        else (random.randint(1, 4), random.choice([0, 0, 0, 1, 2, 5]))
    )
    return (
        kind, random.randint(1, 4), random.randint(1, 6), random.choice(_RARELY),
        random.randint(0, style.offset_max), hours, random.randint(1, style.price_max), extra,
        random.choice(_TERMS), random.choice(style.masks), random.choice(_WHOLE),
    )  # fmt: skip


def _change(random: Random, style: _Style, placed: int) -> tuple[Any, ...]:
    # Most old orders are gone: the newer ones are changed more often.
    newest = min(random.choice([6, 20, placed]), placed)
    target = placed - random.randint(1, newest) if newest else 0
    kinds: list[tuple[Any, ...]] = [
        ("cancel", target, random.choice(_RARELY)),
        ("reduce", target, random.randint(1, 5)),
        ("replace", target, random.random() < 0.5, _order(random, style)),
        ("cancel_all", random.randint(1, 4), random.choice([None, Side.BUY, Side.SELL])),
        ("advance", random.randint(0, 2)),
        ("phase", random.choice([Phase.OPEN] * 6 + list(Phase))),
    ]
    return random.choices(kinds, weights=[3, 6, 5, 1, 1, 1])[0]
