"""Goal: a bid that becomes smaller is paid by vouchers as its rules say of the order that it has become.

Method: random tiers over how large an order is, on the whole exchange; a bid is placed, partly filled or not,
made smaller several times, and sold what is left of it. A model in a few lines of fractions says the rate
after each step, whether the bid kept its place, and what the voucher pays in the end; the ledger's check says
that every hold followed.
"""

from collections.abc import AsyncIterator
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Final

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exchange.kit.errors import Refusal
from exchange.kit.ids import decode_id
from exchange.orders.models import OrderView
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import Condition, Fact, ProviderRule, RateTier
from tests.market_world import MarketWorld, open_market

CASH_FEN: Final = 30_000
PRICE: Final = 100
HOURS: Final = 4
LARGEST: Final = 12
BPS: Final = 10_000
FACTS: Final = {Fact.QUANTITY_GPUS: 1, Fact.CONTRACT_FEN: PRICE * HOURS}
"""By fact what of it each GPU of a bid adds."""


class Tier(msgspec.Struct, frozen=True):
    """A rate, and from or up to how many GPUs it is paid, by either fact."""

    bps: int
    fact: Fact
    least: int | None
    most: int | None

    def fits(self, gpus: int, *, whole: bool) -> bool:
        """Whether it holds for a bid of so many GPUs."""
        certain = gpus if whole else 0
        return (self.least is None or certain >= self.least) and (self.most is None or gpus <= self.most)

    def as_rule(self) -> RateTier:
        """Return it as a programme's."""
        if self.least is self.most is None:
            return RateTier(bps=self.bps)
        each = FACTS[self.fact]
        least, most = (None if gpus is None else gpus * each for gpus in (self.least, self.most))
        return RateTier(bps=self.bps, when=(Condition(fact=self.fact, at_least=least, at_most=most),))


class Rules(msgspec.Struct, frozen=True):
    """A programme's tiers and how they combine."""

    tiers: list[Tier]
    combine: str

    def rate(self, gpus: int, *, whole: bool) -> Fraction:
        """Return what the programme pays of a bid."""
        fitting = [tier.bps for tier in self.tiers if tier.fits(gpus, whole=whole)] or [0]
        bps = {"first": fitting[0], "max": max(fitting), "sum": min(sum(fitting), BPS)}[self.combine]
        return Fraction(bps, BPS)


by_size = st.sampled_from([Fact.QUANTITY_GPUS, Fact.CONTRACT_FEN])
sizes = st.integers(2, LARGEST - 1)
base = st.builds(Tier, bps=st.sampled_from([500, 1_000]), fact=by_size, least=st.none(), most=st.none())
large = st.builds(Tier, bps=st.sampled_from([3_333, 5_000]), fact=by_size, least=sizes, most=st.none())
small = st.builds(Tier, bps=st.sampled_from([700, 8_000]), fact=by_size, least=st.none(), most=sizes)
rules = st.builds(
    Rules,
    tiers=st.permutations([base, large, small]).flatmap(lambda some: st.tuples(*some)).map(list)
    | st.lists(base | large | small, min_size=1, max_size=2),
    combine=st.sampled_from(["max", "first", "sum"]),
)
falling = st.sets(st.integers(1, LARGEST), min_size=2, max_size=4).map(
    lambda some: sorted(some, reverse=True)
)


@pytest.fixture(scope="module")
async def world(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[MarketWorld]:
    async with open_market(module_database_url, Path(tmp_path_factory.mktemp("reduced"))) as opened:
        yield opened


class PlainBid:
    """What a bid must come to: its open GPUs, those filled of it, and the rate at which it is paid."""

    def __init__(self, rules: Rules, gpus: int, *, whole: bool, strict: bool) -> None:
        """Begin with a bid as it is placed; `strict` ones set aside their own part alone."""
        self.rules, self.whole, self.strict = rules, whole, strict
        self.gpus, self.filled = gpus, 0
        self.rate = rules.rate(gpus, whole=whole)

    @property
    def own_fen(self) -> int:
        """What is set aside in cash for what is open."""
        open_fen = (self.gpus - self.filled) * PRICE * HOURS
        return open_fen - floor(self.rate * open_fen) if self.strict else open_fen

    def reduce(self, gpus: int) -> str:
        """Make it smaller; say whether it keeps its place, loses it, or cannot be so."""
        now = min(self.rate, self.rules.rate(gpus, whole=self.whole))
        had_fen = self.own_fen
        before = self.gpus, self.filled, self.rate
        self.gpus, self.rate = gpus, now
        if before[2] in (0, now) or (not self.filled and now and self.own_fen <= had_fen):
            return "kept"
        # What takes its place is an order of what is not filled, with what its rules then give.
        self.gpus, self.filled = gpus - self.filled, 0
        self.rate = self.rules.rate(self.gpus, whole=self.whole)
        if self.strict and not self.rate:
            self.gpus, self.filled, self.rate = before
            return "no_usable_voucher"
        return "lost"


def rate_of(view: OrderView) -> Fraction:
    """Return the rate that a bid is told it is paid at."""
    return Fraction(sum(share.rate_bps for share in view.shares or ()), BPS)


@settings(max_examples=60, deadline=None)
@given(
    rules=rules,
    sizes=falling,
    whole=st.sampled_from([True, True, False]),
    strict=st.booleans(),
    sold_first=st.integers(0, 1),
)
async def test_a_smaller_bid_is_paid_as_the_order_that_it_has_become(
    world: MarketWorld,
    rules: Rules,
    sizes: list[int],
    whole: bool,  # noqa: FBT001 - drawn by Hypothesis
    strict: bool,  # noqa: FBT001 - as above
    sold_first: int,
) -> None:
    gpus, *smaller = sizes
    plain = PlainBid(rules, gpus, whole=whole, strict=strict)
    assume(plain.rate or not strict)  # else it is denied
    provider, buyer = await world.traders(CASH_FEN)
    issuer = await world.join(ParticipantKind.ISSUER)
    programme = await world.programme(
        issuer,
        ProviderRule(),
        rate_tiers=tuple(tier.as_rule() for tier in rules.tiers),
        combine=rules.combine,
        cap_per_year_fen=None,
        budget_fen=10**7,
    )
    await world.issue(issuer, programme, buyer, CASH_FEN)
    product = world.product()
    fields = {"price": PRICE, "window": (0, HOURS)}
    policy = "only_eligible" if strict else "prefer"
    fill = "all_or_none" if whole else "partial"
    bid = await world.bid(
        buyer, product, quantity_gpus=gpus, fill=fill, vouchers="auto", voucher_policy=policy, **fields
    )
    assert rate_of(bid) == plain.rate
    if sold_first and not whole:
        await world.ask(provider, product, quantity_gpus=1, **fields)
        plain.filled = 1
    for wanted in smaller:
        if not plain.filled < wanted < plain.gpus:
            continue
        had = plain.gpus
        expected = plain.reduce(wanted)
        try:
            bid = await world.amend(buyer, bid, quantity_gpus=wanted)
        except Refusal as refusal:
            assert refusal.code == expected  # noqa: PT017
            assert plain.gpus == had
        else:
            assert bid.priority == expected
            assert rate_of(bid) == plain.rate
            assert bid.held is not None
            assert bid.held.cash_cny == f"{plain.own_fen / 100:.2f}"
            held = sum(int(each.held_cny.replace(".", "")) for each in bid.held.vouchers)
            if not plain.filled:
                assert held == floor(plain.rate * plain.gpus * PRICE * HOURS)
    left = plain.gpus - plain.filled
    await world.ask(provider, product, quantity_gpus=left, **fields)
    over = await world.exchange.orders.get(buyer, decode_id("ord", bid.id) or 0)
    assert over.status == "filled"
    paid_fen = sum(int(each.voucher_cny.replace(".", "")) for each in over.fills)
    assert paid_fen == floor(plain.rate * plain.gpus * PRICE * HOURS)
    assert paid_fen <= floor(rules.rate(plain.gpus, whole=whole) * plain.gpus * PRICE * HOURS)


async def test_the_books_are_sound(world: MarketWorld) -> None:
    assert await world.differences() == []
    await world.exchange.orders.verify()
