"""Goal: the fast book does what the specification says, event for event, and its events are the whole truth.

Method: commands run past everything that `tests.inspection` lists: the reference book, the auditor, which
holds the promises that need no oracle (no oversell, limits, one run, all-or-none, uncrossed, priority,
conservation), `decide` alone, replay, restoring and the market views. The commands are drawn lists, seeded
tapes, which are longer, and the kept tapes of faults that were found. On small blocks too: books as small
as these fill one block of the real size, and with small ones the index splits, skips and merges.
"""

from collections import Counter
from functools import partial

import pytest
from hypothesis import given

from matching import index
from matching.commands import Command, PlaceOrder
from matching.events import (
    CancelReason,
    ExpireReason,
    OrderCancelled,
    OrderExpired,
    OrderRejected,
    RejectReason,
)
from matching.index import BLOCK_MAX
from matching.product import Phase, Product
from tests import kept
from tests.hypothesis_profiles import NIGHTLY_FACTOR, examples, is_long
from tests.inspection import first_broken, inspect
from tests.reference_book import ReferenceBook
from tests.strategies import command_lists
from tests.tapes import seeds_of, tape

BLOCK_SIZES = (2, 4, BLOCK_MAX)
TAPES = 50
LEAVING = (OrderCancelled, OrderExpired, OrderRejected)


def breaks(product: Product, commands: list[Command]) -> bool:
    return first_broken(product, commands) is not None


@examples(500)
@given(command_lists())
def test_drawn_commands_break_no_property(case: tuple[Product, list[Command]]) -> None:
    inspect("commands", *case)


@pytest.mark.parametrize("block_max", BLOCK_SIZES)
def test_seeded_tapes_break_no_property(
    block_max: int, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(index, "BLOCK_MAX", block_max)
    # `make fuzz` gives a seed a round; without one the tapes are the same every time.
    drawn = str(request.config.getoption("hypothesis_seed"))
    for seed in seeds_of(f"{drawn} {block_max}", TAPES * (NIGHTLY_FACTOR if is_long() else 1)):
        product, commands = tape(seed, 20 + seed % 120)
        if breaks(product, commands):
            smallest = kept.shrink(commands, partial(breaks, product))
            inspect(f"tape-{seed}-in-blocks-of-{block_max}", product, smallest)


@pytest.mark.parametrize("block_max", BLOCK_SIZES)
@pytest.mark.parametrize("name", kept.kept())
def test_no_fault_comes_back(name: str, block_max: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "BLOCK_MAX", block_max)
    found = kept.kept()[name]
    assert not breaks(found.product, found.commands), found.why


def test_the_tapes_reach_what_is_to_be_proven() -> None:
    """A property that nothing exercises holds of itself: what the tapes do is counted."""
    seen: Counter[str] = Counter()
    for seed in range(200):
        product, commands = tape(seed, 100)
        reference = ReferenceBook(product)
        for command in commands:
            kind = type(command).__name__
            if isinstance(command, PlaceOrder):
                kind = f"Place{type(command.order).__name__}"
            seen[f"{kind} {reference.phase}"] += 1
            events = reference.execute(command)
            seen.update({f"{kind} {type(event).__name__}" for event in events})
            seen.update(str(event.reason) for event in events if isinstance(event, LEAVING))
    kinds = ("PlaceAsk", "PlaceBid", "CancelOrder", "ReduceOrder", "ReplaceOrder", "CancelAll", "AdvanceHour")
    expected = {f"{kind} {phase}" for kind in (*kinds, "SetPhase") for phase in Phase}
    expected |= {f"{kind} Traded" for kind in ("PlaceAsk", "PlaceBid", "ReplaceOrder", "ReduceOrder")}
    expected |= {f"{kind} SelfTradePrevented" for kind in ("PlaceAsk", "PlaceBid", "ReplaceOrder")}
    expected |= {f"{kind} OrderExpired" for kind in ("PlaceAsk", "PlaceBid", "ReduceOrder", "AdvanceHour")}
    expected |= {*map(str, CancelReason), *map(str, ExpireReason), RejectReason.POST_ONLY_WOULD_TRADE}
    assert expected - set(seen) == set()
