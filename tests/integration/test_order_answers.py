"""Goal: an order has one answer: the same when it is sent again, and true when the database is lost.

Method: the whole exchange in one process; orders sent again in other words, after their hours have passed,
and after a denial; a cancel whose second read finds the database closed to it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import asyncpg
import msgspec
import pytest

from exchange.kit.auth import Principal
from exchange.kit.database import Database
from exchange.kit.errors import Conflict, Faults, InvalidInput, NotEnoughMoney, NotFound, Refusal, Unavailable
from exchange.kit.fields import format_cny
from exchange.kit.ids import decode_id, encode_id
from exchange.orders import store as order_store
from exchange.orders.models import CancelRequest, OrderStatus, OrderView, PlacedOrder
from exchange.orders.outcomes import Outcome
from exchange.orders.preview_models import PreviewRefusal
from exchange.orders.sequencer import Sequencer
from exchange.orders.service import OrderService
from exchange.participants.models import ParticipantKind
from matching.order import Side
from tests.market_world import MarketWorld, open_market, sequencers


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[MarketWorld]:
    async with open_market(database_url, tmp_path) as opened:
        yield opened


@pytest.fixture
async def provider(world: MarketWorld) -> Principal:
    return await world.join(ParticipantKind.PROVIDER)


@pytest.fixture
async def buyer(world: MarketWorld) -> Principal:
    joined = await world.join(ParticipantKind.BUYER)
    await world.deposit(joined, 1_000_000)
    return joined


def order_id(view: OrderView) -> int:
    number = decode_id("ord", view.id)
    assert number is not None
    return number


async def test_the_same_order_in_other_words_is_a_replay(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    await world.ask(provider, product, price=170)
    order = msgspec.structs.replace(world.order(Side.BUY, product), price_cny_per_gpu_hour="1.7")
    reworded = msgspec.structs.replace(order, price_cny_per_gpu_hour="1.70", vouchers="none")
    changed = msgspec.structs.replace(order, price_cny_per_gpu_hour="1.71")
    first = await world.exchange.orders.place(buyer, order)
    assert (await world.exchange.orders.place(buyer, reworded)).replayed
    with pytest.raises(InvalidInput, match="another payload"):
        await world.exchange.orders.place(buyer, changed)
    await world.pass_hours(8)
    again = await world.exchange.orders.place(buyer, reworded)
    assert (again.replayed, again.view.id) == (True, first.view.id)
    with pytest.raises(InvalidInput, match="starts_at"):
        await world.exchange.orders.place(buyer, changed)


async def test_what_was_decided_is_told_again_and_the_order_as_it_stands_by_now(
    world: MarketWorld, buyer: Principal
) -> None:
    order = world.order(Side.BUY, world.product(), price=100, quantity_gpus=9)
    first = await world.exchange.orders.place(buyer, order)
    smaller = await world.amend(buyer, first.view, once_key="smaller", quantity_gpus=7)
    dearer = await world.amend(buyer, first.view, once_key="dearer", price=101)
    assert (smaller.priority, dearer.priority) == ("kept", "lost")
    await world.exchange.orders.cancel(buyer, order_id(dearer))
    again = await world.exchange.orders.place(buyer, order)
    told = (again.replayed, again.view.id, again.view.reason, again.view.quantity_gpus)
    assert told == (True, first.view.id, "replaced", 7)
    smaller = await world.amend(buyer, first.view, once_key="smaller", quantity_gpus=7)
    assert (smaller.id, smaller.priority, smaller.reason) == (first.view.id, "kept", "replaced")
    dearer = await world.amend(buyer, first.view, once_key="dearer", price=101)
    assert (dearer.replaces, dearer.priority, dearer.reason) == (first.view.id, "lost", "requested")


@pytest.mark.parametrize("wish", ["named", "only_eligible", "cash"])
async def test_a_denied_order_is_denied_again_in_the_same_words(
    world: MarketWorld, provider: Principal, buyer: Principal, wish: str
) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    programme = await world.programme(issuer, provider)
    foreign = await world.issue(issuer, programme, await world.join(ParticipantKind.BUYER), 10_000)
    fields: dict[str, dict[str, object]] = {
        "named": {"vouchers": [encode_id("vch", foreign.id)]},
        "only_eligible": {"vouchers": "auto", "voucher_policy": "only_eligible"},
        "cash": {"price": 1000, "quantity_gpus": 251},
    }
    order = world.order(Side.BUY, world.product(), **fields[wish])
    answers = []
    for _ in range(2):
        with pytest.raises((Conflict, NotEnoughMoney)) as refused:
            await world.exchange.orders.place(buyer, order)
        told = refused.value
        answers.append((told.code, told.detail, told.errors, told.outcome))
        await world.deposit(buyer, 1)  # what the buyer has by now is not what was said then
    assert answers[0] == answers[1]
    assert len(answers[0][2]) == (wish == "named")


async def test_a_price_outside_the_collar_is_told_what_was_allowed_then_however_it_is_sent(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    orders, product = world.exchange.orders, world.product()
    spec = world.exchange.products[product]
    reference, away = spec.reference_price_ticks, spec.collar_bps * spec.reference_price_ticks // 10_000

    def bounds(refusal: Refusal | PreviewRefusal) -> tuple[object, ...]:
        [fault] = refusal.errors
        assert fault.code == "price_outside_collar"
        assert f"from {fault.lowest} to {fault.highest} CNY, by a reference of " in fault.detail
        return fault.pointer, fault.value, fault.lowest, fault.highest

    price = reference + away + 1
    wanted = "/price_cny_per_gpu_hour", format_cny(price), "0.01", format_cny(reference + away)
    order = world.order(Side.SELL, product, price=price)
    preview = (await orders.preview(provider, order)).refusal
    assert preview is not None
    assert bounds(preview) == wanted
    with pytest.raises(Conflict) as refused:
        await orders.place(provider, order)
    first = refused.value
    assert bounds(first) == wanted
    rests = await world.ask(provider, product, price=reference + away)
    with pytest.raises(Conflict) as refused:
        await world.amend(provider, rests, price=price)
    assert bounds(refused.value) == wanted
    await world.deposit(buyer, 10**9)
    await world.bid(buyer, product, price=reference + away)
    # The reference is another one by now, and the price would be let in; what was said then stays.
    for again in (
        *(await orders.place_all(provider, [(order, Faults())])),
        *(each.refusal for each in await orders.checker.check_asks(provider, [(order, Faults())])),
    ):
        assert isinstance(again, Conflict)
        assert (again.detail, again.errors, again.outcome) == (first.detail, first.errors, first.outcome)
        assert "Idempotent-Replayed" in again.headers
    assert (await world.ask(provider, product, price=price)).status is OrderStatus.RESTING
    highest = format_cny((reference + away) + spec.collar_bps * (reference + away) // 10_000)
    [answer] = await orders.place_all(provider, [(world.order(Side.SELL, product, price=10**9), Faults())])
    assert isinstance(answer, Conflict)
    assert bounds(answer)[2:] == ("0.01", highest)
    async with world.database.connection() as connection:
        details = await connection.fetch("SELECT detail FROM audit_record WHERE code = 'REMO' ORDER BY id")
    told = [msgspec.json.decode(row["detail"])["collar"]["reference_ticks"] for row in details]
    assert told == [reference, reference, reference + away]


class LosingReader:
    """A sequencer after whose answer the one who asked has lost the database, and finds no way back to it."""

    def __init__(self, world: MarketWorld, sequencer: Sequencer) -> None:
        """Wrap a sequencer; its own connections stay."""
        self._world = world
        self._sequencer = sequencer
        self.book = sequencer.book

    async def submit(self, request: CancelRequest) -> Outcome:
        """Carry the request out, then close the door."""
        outcome = await self._sequencer.submit(request)
        async with self._world.database.connection() as connection:
            name = await connection.fetchval("SELECT current_database()")
            await connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
            await connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE application_name = 'reader'"
            )
        return outcome


@asynccontextmanager
async def losing_reader(world: MarketWorld, database_url: str) -> AsyncIterator[OrderService]:
    """Give the orders of a world to a reader that loses its database with the next answer."""
    database = await Database.connect(
        database_url, connections_min=1, connections_max=1, application_name="reader"
    )
    readers = {
        partition_id: cast("Sequencer", LosingReader(world, sequencer))
        for partition_id, sequencer in sequencers(world.exchange).items()
    }
    yield OrderService(
        database=database,
        clock=world.clock,
        products=world.exchange.products,
        sequencers=readers,
        programmes=world.exchange.programmes,
        list_prices=world.exchange.list_prices,
    )
    async with world.database.connection() as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
    await database.close()


async def test_a_cancel_is_answered_without_a_second_look_at_the_database(
    world: MarketWorld, buyer: Principal, database_url: str
) -> None:
    bid = await world.bid(buyer, world.product(), price=100, vouchers="auto")
    async with losing_reader(world, database_url) as orders:
        cancelled = await orders.cancel(buyer, order_id(bid))
    assert cancelled.status is OrderStatus.CANCELLED
    assert cancelled == await world.exchange.orders.get(buyer, order_id(bid))


async def test_a_cancel_of_what_is_over_is_refused_without_its_database_too(
    world: MarketWorld, buyer: Principal, database_url: str
) -> None:
    bid = await world.bid(buyer, world.product(), price=100)
    await world.exchange.orders.cancel(buyer, order_id(bid))
    async with losing_reader(world, database_url) as orders:
        with pytest.raises(Conflict) as refused:
            await orders.cancel(buyer, order_id(bid))
    assert (refused.value.code, refused.value.outcome) == ("order_not_live", "not_applied")
    assert refused.value.detail == f"order {bid.id} is over"


async def test_a_cancel_whose_fills_cannot_be_read_says_that_it_was_applied(
    world: MarketWorld, provider: Principal, buyer: Principal, database_url: str
) -> None:
    product = world.product()
    await world.ask(provider, product, price=100)
    bid = await world.bid(buyer, product, price=100, quantity_gpus=3)
    assert bid.status is OrderStatus.PARTIALLY_FILLED
    async with losing_reader(world, database_url) as orders:
        with pytest.raises(Unavailable) as refused:
            await orders.cancel(buyer, order_id(bid))
    assert (refused.value.outcome, refused.value.retryable) == ("applied", False)
    assert (await world.exchange.orders.get(buyer, order_id(bid))).status is OrderStatus.CANCELLED


@pytest.mark.parametrize(
    "failure",
    [asyncpg.QueryCanceledError("now"), asyncpg.LockNotAvailableError("now"), ConnectionResetError("now")],
    ids=["slow", "contended", "lost"],
)
async def test_what_is_decided_is_told_where_the_database_is_slow_contended_or_lost(
    world: MarketWorld,
    provider: Principal,
    buyer: Principal,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
) -> None:
    """What was to be read after it, the fills or how the order ended, is left out."""
    product, orders = world.product(), world.exchange.orders
    await world.ask(provider, product, price=100, quantity_gpus=4)
    bids = [await world.bid(buyer, product, price=100, quantity_gpus=3) for _ in range(2)]
    over = await world.bid(buyer, product, price=50)
    await orders.cancel(buyer, order_id(over))
    smaller = await world.bid(buyer, product, price=100, quantity_gpus=3, window=(8, 12))
    await world.ask(provider, product, price=100, quantity_gpus=1, window=(8, 12))

    async def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(order_store, "order_of_participant", fail)
    with pytest.raises(Conflict) as refused:
        await orders.cancel(buyer, order_id(over))
    assert (refused.value.code, refused.value.outcome) == ("order_not_live", "not_applied")
    with pytest.raises(Conflict) as refused:
        await world.amend(buyer, over, price=60)
    assert (refused.value.code, refused.value.outcome) == ("order_not_live", "not_applied")
    with pytest.raises(Unavailable) as unread:
        await orders.cancel(buyer, order_id(bids[1]))
    assert (unread.value.code, unread.value.outcome) == ("cancelled_not_read", "applied")
    with pytest.raises(Unavailable) as unread:
        await world.amend(buyer, smaller, quantity_gpus=2)
    assert (unread.value.code, unread.value.outcome) == ("amended_not_read", "applied")


async def test_what_a_batch_placed_is_told_though_what_came_before_cannot_be_read(
    world: MarketWorld, buyer: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, new = [world.order(Side.BUY, world.product(), price=50) for _ in range(2)]
    await world.exchange.orders.place(buyer, before)

    async def fail(*_: object) -> None:
        raise asyncpg.QueryCanceledError("now")

    with monkeypatch.context() as patch:
        patch.setattr(order_store, "own_orders", fail)
        again, placed = await world.exchange.orders.place_all(buyer, [(before, Faults()), (new, Faults())])
        with pytest.raises(Unavailable) as alone:
            await world.exchange.orders.place(buyer, before)
    assert isinstance(placed, PlacedOrder)
    for refused in (again, alone.value):
        assert isinstance(refused, Unavailable)
        assert (refused.code, refused.outcome, refused.retryable) == ("unavailable", "unknown", True)
    assert (await world.exchange.orders.place(buyer, before)).replayed
    assert (await world.exchange.orders.place(buyer, new)).view == placed.view


async def test_a_live_order_is_withdrawn_without_a_look_into_the_tables(
    world: MarketWorld, provider: Principal, buyer: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = world.product()
    mine, other, amended = [await world.ask(provider, place, price=170 + each) for each in range(3)]
    asked = []

    async def look_up(_: object, order_id: int, __: int) -> None:
        asked.append(order_id)

    monkeypatch.setattr(order_store, "place_of_order", look_up)
    orders = world.exchange.orders
    assert (await orders.cancel(provider, order_id(mine))).status is OrderStatus.CANCELLED
    assert (await world.amend(provider, amended, price=180)).replaces == amended.id
    assert asked == []
    for who, order in ((provider, mine), (buyer, other)):
        with pytest.raises(NotFound):  # as the tables say, where no book has an order of the caller's
            await orders.cancel(who, order_id(order))
    assert asked == [order_id(mine), order_id(other)]


async def test_an_order_is_found_in_the_tables_while_there_are_no_books(
    world: MarketWorld, provider: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = await world.ask(provider, world.product())

    def rebuilding(_: object) -> None:
        raise Unavailable("rebuilding", "the partition is being rebuilt")

    for sequencer in sequencers(world.exchange).values():
        monkeypatch.setattr(sequencer, "book", rebuilding)
    cancelled = await world.exchange.orders.cancel(provider, order_id(ask))
    assert cancelled.status is OrderStatus.CANCELLED


@pytest.mark.parametrize("ends_by", ["cancel", "fok", "ioc", "rejection", "hour", "replacement", "fill"])
async def test_nothing_remains_of_a_bid_that_is_over(
    world: MarketWorld, provider: Principal, buyer: Principal, ends_by: str
) -> None:
    """Nothing to buy, that is: `quantity_gpus` says what was wanted."""
    product = world.product()
    bid = world.order(Side.BUY, product, quantity_gpus=4)
    orders = world.exchange.orders
    if ends_by in {"fok", "ioc"}:
        bid = msgspec.structs.replace(bid, time_in_force=ends_by)
    if ends_by == "rejection":
        bid = msgspec.structs.replace(bid, price_cny_per_gpu_hour="9999.00")
        with pytest.raises(NotEnoughMoney):
            await orders.place(buyer, bid)
        [over] = await orders.page(buyer, limit=1)
    else:
        await world.ask(provider, product, quantity_gpus=4 if ends_by == "fill" else 1)
        over = (await orders.place(buyer, bid)).view
    if ends_by == "cancel":
        over = await orders.cancel(buyer, order_id(over))
    elif ends_by == "replacement":
        await world.amend(buyer, over, price=100)
    elif ends_by == "hour":
        await world.pass_hours(2)
    stored = await orders.get(buyer, order_id(over))
    assert stored.status in {"cancelled", "expired", "filled", "rejected"}
    assert (stored.quantity_gpus, stored.remaining_gpus) == (4, 0)
    if ends_by not in {"replacement", "hour"}:
        assert over.remaining_gpus == 0
