"""Goal: one group commit leaves what its requests leave one by one, and the database refuses none of it.

Method: twins, each a provider and two buyers on a product of their own, one buyer with a voucher whose rules
have tiers and a cap on use. Lists of requests (orders, amendments, cancels, phases) are drawn; an amendment
or a cancel is of an order that is live at that moment, also of one that the same list brings. One twin's
requests go one by one, the other's are queued together and so are one commit, stored whole or in chunks of
one to three requests. Outcomes and rows must be equal, and no batch may have failed. Between lists an hour
may begin, or the vouchers' issuer steps in.

The database compares what an ask sells hour by hour with the ask as it then is; so the lists dwell on asks
that sell and shrink, and a batch that sells more than an ask has left is planted beside them.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.kit.auth import Principal
from exchange.kit.errors import Conflict, Faults, Unavailable
from exchange.kit.fields import format_cny
from exchange.kit.ids import new_id
from exchange.orders import chunks, execution
from exchange.orders.models import (
    AmendOrder,
    AmendRequest,
    CancelAllRequest,
    CancelRequest,
    PhaseRequest,
    PlaceRequest,
    Request,
)
from exchange.orders.outcomes import Outcome, Refused
from exchange.orders.sequencer import Sequencer
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import Condition, Fact, Programme, ProviderRule, RateTier
from exchange.vouchers import life
from exchange.vouchers.models import VoucherStatus
from matching.book import OrderBook
from matching.commands import Command, PlaceOrder
from matching.engine import execute
from matching.events import Event, Traded
from matching.order import Side
from matching.product import Phase
from tests.market_world import MarketWorld, open_market, sequencers

CASH_FEN: Final = 20_000
HOURS: Final = 5
ORDERS: Final = {
    "price": st.sampled_from([99, 100, 100, 101]),
    "window": st.sampled_from([(0, HOURS), (0, HOURS), (1, 4), (2, 5)]),
}
ASK: Final = st.fixed_dictionaries({"quantity_gpus": st.integers(1, 8), **ORDERS})
BID: Final = st.fixed_dictionaries(
    {
        "quantity_gpus": st.integers(1, 8),
        "hours": st.integers(1, 3),
        "time_in_force": st.sampled_from(["gtc", "gtc", "ioc"]),
        "fill": st.sampled_from(["partial", "partial", "all_or_none"]),
        "vouchers": st.sampled_from(["auto", "auto", "none"]),
        "voucher_policy": st.sampled_from(["prefer", "only_eligible"]),
        **ORDERS,
    }
)
CHANGE: Final = st.one_of(
    st.fixed_dictionaries({"quantity_gpus": st.integers(1, 8)}),
    st.fixed_dictionaries({"quantity_gpus": st.integers(1, 4)}),
    st.fixed_dictionaries({"price": st.sampled_from([99, 100, 101])}),
)
WHICH: Final = st.integers(0, 7)
WISH: Final = st.one_of(
    st.tuples(st.just("ask"), ASK),
    st.tuples(st.sampled_from(["bid", "bid in cash"]), BID),
    st.tuples(st.just("bid"), BID),
    st.tuples(st.just("amend an ask"), WHICH, CHANGE),
    st.tuples(st.just("amend an ask"), WHICH, CHANGE),
    st.tuples(st.just("amend a bid"), WHICH, CHANGE),
    st.tuples(st.sampled_from(["cancel an ask", "cancel a bid", "cancel all"]), WHICH),
    st.tuples(st.just("phase"), st.sampled_from([Phase.OPEN, Phase.OPEN, Phase.CANCEL_ONLY])),
)
ABOUT: Final = {
    **dict.fromkeys(("amend an ask", "cancel an ask"), Side.SELL),
    **dict.fromkeys(("amend a bid", "cancel a bid"), Side.BUY),
}
"""The wishes that are about an order, and of which side."""
BETWEEN: Final = st.sampled_from([None, None, "hour", "suspended", "active", "revoked"])
ROUNDS: Final = st.lists(st.tuples(st.lists(WISH, min_size=6, max_size=12), BETWEEN), min_size=1, max_size=3)
CHUNKS: Final = st.sampled_from([chunks.CHUNK_REQUESTS, chunks.CHUNK_REQUESTS, 1, 2, 3])
FIRST: Final = ("ask", {"quantity_gpus": 8, "price": 100, "window": (0, HOURS)})
"""What every search begins with: an ask that many bids can share."""
ROWS: Final = {
    "orders": "SELECT side, quantity_gpus, starts_hour, ends_hour, hours, price_ticks, terms::jsonb AS terms,"
    " status, reason, filled_gpus, filled_gpu_hours, filled_notional_fen, eligible_fen, run_starts_hour,"
    " amendment FROM orders WHERE participant_id = ANY ($1::bigint[]) ORDER BY id",
    "trades": "SELECT aggressor, quantity_gpus, starts_hour, ends_hour, price_ticks, notional_fen,"
    " voucher_fen, reimbursable_fen, cardinality(programme_ids) AS paying FROM trade"
    " WHERE buyer_id = ANY ($1::bigint[]) ORDER BY id",
    "leases": "SELECT quantity_gpus, starts_hour, ends_hour, price_ticks, next_settlement_hour,"
    " voucher_id <> 0 AS by_voucher, committed_fen, captured_fen FROM lease"
    " JOIN lease_funding ON lease_id = id WHERE buyer_id = ANY ($1::bigint[]) ORDER BY id, voucher_id",
    "sold": "SELECT load.starts_hour, load.ends_hour, sold_gpus FROM ask_load AS load"
    " JOIN orders ON id = ask_order_id WHERE participant_id = ANY ($1::bigint[]) ORDER BY id, 1, 2",
    "holds": "SELECT voucher_id <> 0 AS of_voucher, placed_fen, committed_fen, released_fen FROM order_hold"
    " JOIN orders ON id = order_id WHERE participant_id = ANY ($1::bigint[]) ORDER BY id, position",
    "steps": "SELECT code, event_index, detail -> 'reason' AS reason, detail -> 'quantity_gpus' AS gpus,"
    " detail -> 'shares' AS shares FROM audit_record"
    " WHERE participant_id = ANY ($1::bigint[]) AND order_id IS NOT NULL ORDER BY id",
    "money": "SELECT purpose, asset = 'CNY' AS is_cash, debits_pending_fen, credits_pending_fen,"
    " debits_posted_fen, credits_posted_fen FROM ledger_account"
    " WHERE participant_id = ANY ($1::bigint[]) ORDER BY participant_id, purpose, is_cash",
    "uses": "SELECT used_fen FROM programme_use WHERE subject_id = ANY ($1::bigint[]) AND used_fen <> 0",
}
"""What is stored of some participants, without what names it."""


@pytest.fixture(scope="module")
async def world(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[MarketWorld]:
    async with open_market(module_database_url, Path(tmp_path_factory.mktemp("commits"))) as opened:
        yield opened


class Issuer(msgspec.Struct, frozen=True):
    """Who gives vouchers, and the programme: more for a contract that is certainly large, within a cap."""

    principal: Principal
    programme: Programme


@pytest.fixture(scope="module")
async def issuer(world: MarketWorld) -> Issuer:
    principal = await world.join(ParticipantKind.ISSUER)
    large = Condition(fact=Fact.QUANTITY_GPUS, at_least=5)
    programme = await world.programme(
        principal,
        ProviderRule(),
        budget_fen=10**9,
        rate_tiers=(RateTier(bps=1_000), RateTier(bps=5_000, when=(large,))),
        cap_per_year_fen=700,
        cap_counts="redeemed",
    )
    return Issuer(principal, programme)


class Wanted(msgspec.Struct, frozen=True):
    """A wish, and which earlier request of its twin brought the order that it is about, if any."""

    wish: tuple[Any, ...]
    about: int | None = None


class Twin:
    """A provider and two buyers on a product of their own."""

    def __init__(self, world: MarketWorld, product: str) -> None:
        self.world = world
        self.product = product
        self.brought: list[tuple[int, Principal]] = []
        """For each request so far the id that the order has which it brings, and who asked."""

    async def join(self, issuer: Issuer) -> None:
        """Come with cash and a voucher."""
        self.provider, self.buyer = await self.world.traders(CASH_FEN)
        self.other = await self.world.join(ParticipantKind.BUYER)
        await self.world.deposit(self.other, CASH_FEN)
        self.voucher = await self.world.issue(issuer.principal, issuer.programme, self.buyer, 1_000)
        self.owners = (self.provider, self.buyer, self.other)

    @property
    def sequencer(self) -> Sequencer:
        """The writer of its product."""
        partition_id = self.world.exchange.products[self.product].partition_id
        return sequencers(self.world.exchange)[partition_id]

    def wanted(self, wish: tuple[Any, ...]) -> Wanted | None:
        """Say which live order a wish is about; None where there is none of its kind."""
        kind = wish[0]
        if kind not in ABOUT:
            return Wanted(wish)
        partition = self.sequencer._partition
        assert partition is not None
        live = [
            order_id
            for owner in self.owners
            for order_id in (order.order_id for order in partition.live.of(owner.participant_id))
            if (owner is self.provider) == (ABOUT[kind] is Side.SELL)
        ]
        if not live:
            return None
        order_id = live[wish[1] % len(live)]
        return Wanted(wish, next(n for n, (brought, _) in enumerate(self.brought) if brought == order_id))

    async def request(self, wanted: Wanted) -> Request:
        """Make the request of a wish."""
        kind, *rest = wanted.wish
        asker, order_id = self.buyer, 0
        if wanted.about is not None:
            about_id, asker = self.brought[wanted.about]
            request: Request
            if kind.startswith("amend"):
                request = await self._amendment(asker, about_id, rest[1])
                order_id = request.replacement_id
            else:
                request = CancelRequest(
                    order_id=about_id, participant_id=asker.participant_id, key_id=asker.key_id
                )
        elif kind == "phase":
            asker = self.provider
            request = PhaseRequest(
                product_id=self.product,
                phase=rest[0],
                reason=None,
                participant_id=asker.participant_id,
                key_id=asker.key_id,
            )
        elif kind == "cancel all":
            request = CancelAllRequest(participant_id=asker.participant_id, key_id=asker.key_id)
        else:
            asker = {"ask": self.provider, "bid": self.buyer, "bid in cash": self.other}[kind]
            request = await self._order(asker, rest[0])
            order_id = request.order_id
        self.brought.append((order_id, asker))
        return request

    async def _order(self, owner: Principal, fields: dict[str, Any]) -> PlaceRequest:
        side = Side.SELL if owner is self.provider else Side.BUY
        if fields.get("vouchers") == "none":
            fields = {name: value for name, value in fields.items() if name != "voucher_policy"}
        order, faults = self.world.order(side, self.product, **fields), Faults()
        intake = self.world.exchange.orders._intake
        request = intake.request_of(owner, await intake.participant(owner.participant_id), order, faults)
        assert request is not None
        return request

    async def _amendment(self, owner: Principal, order_id: int, changes: dict[str, Any]) -> AmendRequest:
        if "price" in changes:
            changes = {"price_cny_per_gpu_hour": format_cny(changes["price"])}
        intake = self.world.exchange.orders._intake
        return intake.amendment_of(
            owner,
            await intake.participant(owner.participant_id),
            order_id,
            self.product,
            AmendOrder(**changes),
            once_key=f"once-{new_id()}",
            payload=bytes(32),
        )

    async def rows(self) -> dict[str, list[Any]]:
        """Return what is stored of it."""
        ids = [each.participant_id for each in self.owners]
        async with self.world.database.connection() as connection:
            return {name: [*map(dict, await connection.fetch(query, ids))] for name, query in ROWS.items()}

    async def end(self) -> None:
        """Withdraw what is left, and leave the product open."""
        open_again = await self.request(Wanted(("phase", Phase.OPEN)))
        await self.sequencer.submit(open_again)
        for owner in self.owners:
            await self.world.exchange.orders.cancel_all(owner)


def plain(outcome: Outcome) -> tuple[str, str]:
    """Return what kind of outcome it is, and why where it is a refusal."""
    reason = outcome.refusal.code if isinstance(outcome, Refused) else ""
    return type(outcome).__name__, reason


def products_alike(world: MarketWorld) -> list[str]:
    """Return two products by which the same orders have the same outcomes."""
    alike: dict[Any, list[str]] = {}
    for product in sorted(world.exchange.products.values(), key=lambda each: each.id):
        if product.lot_gpus == 1:
            alike.setdefault((product.collar_bps, product.origin), []).append(product.id)
    return next(found for found in alike.values() if len(found) >= 2)[:2]


async def happen(world: MarketWorld, issuer: Issuer, twins: Sequence[Twin], what: str | None) -> None:
    """Let something happen to both twins between their commits."""
    if what == "hour":
        await world.pass_hours(1)
    elif what is not None:
        for twin in twins:
            with contextlib.suppress(Conflict):  # a revoked one takes no further step
                async with world.database.transaction() as connection:
                    await life.step_voucher(
                        connection,
                        issuer.principal,
                        twin.voucher.id,
                        VoucherStatus(what),
                        "because",
                        world.now_us,
                    )


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(rounds=ROUNDS, chunk_requests=CHUNKS)
async def test_one_commit_is_its_requests_one_by_one(
    world: MarketWorld,
    issuer: Issuer,
    rounds: list[tuple[list[tuple[Any, ...]], str | None]],
    chunk_requests: int,
) -> None:
    single, whole = (Twin(world, product) for product in products_alike(world))
    for twin in (single, whole):
        await twin.join(issuer)
        await twin.sequencer.submit(await twin.request(Wanted(FIRST)))
    failures = dict(single.sequencer.meters.failures)
    for wishes, then in rounds:
        asked, one_by_one = [], []
        for wish in wishes:
            wanted = single.wanted(wish)
            if wanted is not None:
                asked.append(wanted)
                one_by_one.append(await single.sequencer.submit(await single.request(wanted)))
        requests = [await whole.request(wanted) for wanted in asked]
        before = sum(whole.sequencer.meters.batch_requests.counts)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(chunks, "CHUNK_REQUESTS", chunk_requests)
            at_once = await asyncio.gather(*whole.sequencer.enqueue(requests)) if requests else []
        assert sum(whole.sequencer.meters.batch_requests.counts) == before + bool(requests)
        assert single.sequencer.meters.failures == failures
        assert [*map(plain, at_once)] == [*map(plain, one_by_one)]
        assert await whole.rows() == await single.rows()
        await happen(world, issuer, (single, whole), then)
    for twin in (single, whole):
        await twin.end()


@pytest.mark.parametrize("chunk_requests", [chunks.CHUNK_REQUESTS, 1])
async def test_a_batch_that_sells_more_than_an_ask_has_left_is_refused(
    world: MarketWorld, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, chunk_requests: int
) -> None:
    twin = Twin(world, products_alike(world)[0])
    await twin.join(issuer)
    await twin.sequencer.submit(await twin.request(Wanted(FIRST)))
    bid = {"hours": HOURS, "price": 100, "window": (0, HOURS)}
    wishes = (
        Wanted(("bid in cash", {"quantity_gpus": 4, **bid})),
        Wanted(("amend an ask", 0, {"quantity_gpus": 5}), about=0),
        Wanted(("bid in cash", {"quantity_gpus": 3, **bid})),
    )
    requests = [await twin.request(wanted) for wanted in wishes]

    def sells_beyond(book: OrderBook, command: Command) -> tuple[Event, ...]:
        """Sell the last bid all 3 GPUs, which the ask had before it shrank, and not the one that is left."""
        events = execute(book, command)
        if not isinstance(command, PlaceOrder) or command.order.quantity_gpus != 3:
            return events
        return tuple(replace(each, quantity_gpus=3) if isinstance(each, Traded) else each for each in events)

    failures = twin.sequencer.meters.failures.get("batch", 0)
    monkeypatch.setattr(chunks, "CHUNK_REQUESTS", chunk_requests)
    monkeypatch.setattr(execution, "execute", sells_beyond)
    first, smaller, last = await asyncio.gather(*twin.sequencer.enqueue(requests), return_exceptions=True)
    monkeypatch.undo()
    assert (type(first).__name__, type(smaller).__name__) == ("Placed", "Amended")
    assert isinstance(last, Unavailable)
    assert last.outcome == "not_applied"
    assert twin.sequencer.meters.failures["batch"] == failures + 2, "once with the others, and once alone"
    stored = await twin.rows()
    assert [(each["side"], each["quantity_gpus"], each["filled_gpus"]) for each in stored["orders"]] == [
        ("sell", 5, 0),
        ("buy", 4, 4),
    ]
    await twin.end()
