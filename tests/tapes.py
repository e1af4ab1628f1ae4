"""Seeded command lists: what `tests.strategies` draws, without shrinking and far faster, for long runs.

`tape(seed, length)` is the same everywhere and always: it depends on nothing but its arguments.
"""

from random import Random
from typing import Any

from matching.commands import Command
from matching.order import FillPolicy, Placement, Side, TimeInForce
from matching.product import Phase, Product
from tests.strategies import FAR, PRODUCT_ID, Interpreter

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


def tape(seed: int, length: int) -> tuple[Product, list[Command]]:
    """Return a product and `length` commands for its book, the opening one included."""
    random = Random(seed)
    product = Product(PRODUCT_ID, random.choice([1, 8]), random.choice([0, 0, 0, 5_000]), 4)
    interpreter = Interpreter(product)
    changes = random.choice([0.1, 0.2, 0.4])
    commands = [interpreter.opening()]
    while len(commands) < length:
        raw = _change(random) if random.random() < changes else _order(random)
        commands.append(interpreter.command(raw))
    return product, commands


def _order(random: Random) -> tuple[Any, ...]:
    kind = random.choice(["ask", "bid"])
    hours, extra = (
        (random.randint(1, 8), random.choice([1, 1, 1, 2, 3]))
        if kind == "ask"
        else (random.randint(1, 4), random.choice([0, 0, 0, 1, 2, 5]))
    )
    return (
        kind, random.randint(1, 4), random.randint(1, 6), 0, random.randint(0, 5), hours,
        random.randint(1, 6), extra, random.choice(_TERMS), random.choice(_MASKS), random.choice(_WHOLE),
    )  # fmt: skip


def _change(random: Random) -> tuple[Any, ...]:
    target = random.randrange(1_000_000)
    kinds: list[tuple[Any, ...]] = [
        ("cancel", target, 0),
        ("reduce", target, random.randint(1, 5)),
        ("replace", target, random.random() < 0.5, _order(random)),
        ("cancel_all", random.randint(1, 4), random.choice([None, Side.BUY, Side.SELL])),
        ("advance", random.randint(0, 2)),
        ("phase", random.choice([Phase.OPEN] * 6 + list(Phase))),
    ]
    return random.choices(kinds, weights=[3, 3, 3, 1, 1, 1])[0]
