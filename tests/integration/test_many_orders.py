"""Goal: many orders come and go as one would: batches under faults, mass cancels; what is told is bounded.

Method: the whole exchange in one process; connections ended by the server while batches commit, and a commit
that fails.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.kit.auth import Principal
from exchange.kit.bundle import Bundle
from exchange.kit.database import ConnectionLost
from exchange.kit.errors import Faults, InvalidInput, Refusal, Unavailable
from exchange.kit.http_decode import decoder_of
from exchange.kit.http_faults import EACH_FAULTS_MAX, ITEM_FAULTS_MAX
from exchange.kit.http_problems import Problem
from exchange.kit.ids import decode_id, encode_id
from exchange.kit.tasks import ITEMS_AT_ONCE
from exchange.orders import chunks
from exchange.orders.chunks import Chunk
from exchange.orders.many import place_many
from exchange.orders.many_models import NewOrders
from exchange.orders.models import OrderStatus, OrderView, PlacedOrder
from exchange.orders.outcomes import Withdrawn
from exchange.participants.models import ParticipantKind
from matching.order import Side
from tests.market_world import MarketWorld, open_market, sequencers

DEADLINE_S = 60.0


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[MarketWorld]:
    async with open_market(database_url, tmp_path) as opened:
        yield opened


async def place_all(world: MarketWorld, owner: Principal, orders: list[Any]) -> list[PlacedOrder | Refusal]:
    return await world.exchange.orders.place_all(owner, [(order, Faults()) for order in orders])


async def test_a_thousand_orders_have_a_thousand_outcomes_in_their_order_and_few_commits(
    world: MarketWorld,
) -> None:
    provider, buyer = await world.traders(10**9)
    product = world.product()
    await world.ask(provider, product, quantity_gpus=10_000)
    partition_id = world.exchange.products[product].partition_id
    commits = sequencers(world.exchange)[partition_id].meters.batch_requests.counts
    before = sum(commits)
    orders = [
        world.order(Side.BUY, product, client_order_id=f"{number}", quantity_gpus=1 + number % 3)
        for number in range(1000)
    ]
    outcomes = await place_all(world, buyer, orders)
    assert sum(commits) - before <= 3
    placed = [outcome for outcome in outcomes if isinstance(outcome, PlacedOrder)]
    assert [each.view.client_order_id for each in placed] == [f"{number}" for number in range(1000)]
    sequences = [each.view.sequence or 0 for each in placed]
    assert sequences == list(range(sequences[0], sequences[0] + 1000))
    again = await place_all(world, buyer, orders)
    assert [each.replayed for each in again if isinstance(each, PlacedOrder)] == [True] * 1000


async def test_two_of_one_client_order_id_are_one_order(world: MarketWorld) -> None:
    provider = await world.join(ParticipantKind.PROVIDER)
    ask = world.order(Side.SELL, world.product(), client_order_id="same")
    other = msgspec.structs.replace(ask, quantity_gpus=2)
    first, second, third = await place_all(world, provider, [ask, ask, other])
    assert isinstance(first, PlacedOrder)
    assert isinstance(second, PlacedOrder)
    assert (first.replayed, second.replayed, second.view) == (False, True, first.view)
    assert isinstance(third, InvalidInput)
    assert third.code == "client_order_id_reused"


@pytest.mark.parametrize("chunk_requests", [chunks.CHUNK_REQUESTS, 1])
async def test_a_batch_that_cannot_be_committed_is_tried_order_by_order(
    world: MarketWorld, monkeypatch: pytest.MonkeyPatch, chunk_requests: int
) -> None:
    provider, buyer = await world.traders(10**6)
    product = world.product()
    bid = await world.bid(buyer, product, price=100, quantity_gpus=3)
    bundles = Chunk.bundles

    async def refuses_two(chunk: Chunk) -> list[Bundle]:
        of_chunk = await bundles(chunk)
        if any(order.quantity_gpus == 2 for order in chunk.orders.values()):
            refused = Bundle()
            await refused.execute("SELECT 1 / 0")
            of_chunk.insert(0, refused)
        return of_chunk

    monkeypatch.setattr(chunks, "CHUNK_REQUESTS", chunk_requests)
    monkeypatch.setattr(Chunk, "bundles", refuses_two)
    asks = [
        world.order(Side.SELL, product, price=100, quantity_gpus=quantity, window=(4, 8))
        for quantity in (1, 2, 3)
    ]
    one, two, three = await place_all(world, provider, asks)
    assert isinstance(one, PlacedOrder)
    assert isinstance(two, Unavailable)
    assert two.outcome == "not_applied"
    assert isinstance(three, PlacedOrder)
    with pytest.raises(Unavailable):
        await world.amend(buyer, bid, quantity_gpus=2)
    assert (await world.exchange.orders.get(buyer, decode_id("ord", bid.id) or 0)) == bid
    assert await world.free_fen(buyer) == 10**6 - 1_200
    monkeypatch.setattr(Chunk, "bundles", bundles)
    assert (await world.amend(buyer, bid, quantity_gpus=2)).priority == "kept"


class Stubborn:
    """A desk that sends the same again until it is answered: six bids, then a better price for one."""

    def __init__(self, world: MarketWorld, buyer: Principal, number: int) -> None:
        self.world = world
        self.buyer = buyer
        self.number = number
        self.rounds = 0

    async def trade(self, ended: asyncio.Event) -> None:
        """Trade until it is time to end."""
        while not ended.is_set():
            key = f"{self.number}-{self.rounds}"
            orders = [
                self.world.order(
                    Side.BUY, self.world.product(), price=90 + 10 * (n % 2), client_order_id=f"{key}-{n}"
                )
                for n in range(6)
            ]
            rests = (await self._until_answered(self._place, orders))[0].view
            dearer = await self._until_answered(self._amend, rests, key)
            assert (dearer.replaces, dearer.status) == (rests.id, OrderStatus.FILLED)
            self.rounds += 1

    async def _until_answered(self, attempt: Callable[..., Any], *args: Any) -> Any:
        while True:
            try:
                return await attempt(*args)
            except (Unavailable, ConnectionLost):
                await asyncio.sleep(0.01)

    async def _place(self, orders: list[Any]) -> list[PlacedOrder]:
        outcomes = await place_all(self.world, self.buyer, orders)
        for outcome in outcomes:
            if isinstance(outcome, Refusal):
                raise outcome
        return [outcome for outcome in outcomes if isinstance(outcome, PlacedOrder)]

    async def _amend(self, order: OrderView, key: str) -> OrderView:
        return await self.world.amend(self.buyer, order, price=100, once_key=key)


async def test_connections_ended_under_batches_and_amendments_lose_and_double_nothing(
    world: MarketWorld,
) -> None:
    provider, buyer = await world.traders(10**9)
    await world.ask(provider, world.product(), quantity_gpus=10_000, price=100)
    ended = asyncio.Event()
    desks = [Stubborn(world, buyer, number) for number in range(4)]
    trading = [asyncio.create_task(desk.trade(ended)) for desk in desks]
    for _ in range(8):
        before = sum(desk.rounds for desk in desks)
        async with asyncio.timeout(DEADLINE_S):
            while sum(desk.rounds for desk in desks) < before + 3:  # noqa: ASYNC110 - four desks, one count
                await asyncio.sleep(0.01)
        # Our own connection may have been lost just before.
        with contextlib.suppress(ConnectionLost):
            async with world.database.connection() as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
    ended.set()
    await asyncio.gather(*trading)
    async with world.database.connection() as connection:
        found = await connection.fetchrow(
            "SELECT count(*) AS bids, count(DISTINCT (client_order_id, amendment)) AS names,"
            " count(*) FILTER (WHERE status = 'filled') AS filled FROM orders WHERE side = 'buy'"
        )
    rounds = sum(desk.rounds for desk in desks)
    assert found is not None
    assert (found["bids"], found["names"], found["filled"]) == (rounds * 7, rounds * 7, rounds * 4)


async def test_a_mass_cancel_takes_what_is_asked_for_and_lists_it(world: MarketWorld) -> None:
    provider, buyer = await world.traders(10**6)
    rival = await world.join(ParticipantKind.PROVIDER)
    first, second = sorted(each for each in world.exchange.products if is_single(world, each))[:2]
    asks = [await world.ask(provider, product, price=100, quantity_gpus=3) for product in (second, first)]
    foreign = await world.ask(rival, first, price=100)
    await world.bid(buyer, first, price=100)
    bids = [await world.bid(buyer, product, price=90) for product in (first, second)]
    cancel_all = world.exchange.orders.cancel_all
    assert await cancel_all(provider, side=Side.BUY) == []
    assert ids(await cancel_all(buyer, product_id=second)) == [bids[1].id]
    [withdrawn] = await cancel_all(provider, product_id=first)
    assert (ids([withdrawn]), withdrawn.remaining_gpus, withdrawn.remaining_gpu_hours) == ([asks[1].id], 2, 8)
    assert withdrawn.order.filled_gpu_hours == 4
    assert ids(await cancel_all(provider)) == [asks[0].id]
    assert ids(await cancel_all(buyer)) == [bids[0].id]
    assert await cancel_all(buyer) == []
    assert (await world.exchange.orders.get(rival, decode_id("ord", foreign.id) or 0)).status == "resting"
    assert await world.free_fen(buyer) == 10**6 - 400
    with pytest.raises(InvalidInput, match=r"\?product"):
        await cancel_all(buyer, product_id="no-such.product")


def is_single(world: MarketWorld, product_id: str) -> bool:
    return world.exchange.products[product_id].lot_gpus == 1


def ids(withdrawn: list[Withdrawn]) -> list[str]:
    return [encode_id("ord", each.order.order_id) for each in withdrawn]


async def told(world: MarketWorld, buyer: Principal, orders: list[dict[str, Any]]) -> list[Problem]:
    """Send bids as a batch, all of which are refused, and return their problems."""

    async def charge(_: int) -> None:
        """Let the buyer send any number."""

    around = Faults()
    body = msgspec.json.encode({"orders": orders})
    sent, found = await decoder_of(NewOrders).decode_each(body, "orders", around, charge)
    outcomes = await place_many(
        world.exchange.orders,
        buyer,
        zip(sent.orders, found, strict=True),
        around,
        instance="/v1/orders/batch",
        request_id="req_1",
    )
    assert [each.client_order_id for each in outcomes.data] == [each["client_order_id"] for each in orders]
    return [each.problem for each in outcomes.data if each.problem is not None]


@pytest.mark.parametrize(
    "vouchers, code",
    [
        ([encode_id("vch", number) for number in range(1, 51)], "no_usable_voucher"),
        ([f"vch_{number}" for number in range(48)], "invalid_body"),
    ],
)
async def test_an_answer_tells_a_bounded_number_of_faults_whoever_found_them(
    world: MarketWorld, vouchers: list[str], code: str
) -> None:
    _, buyer = await world.traders(10**6)
    bids = [
        msgspec.to_builtins(
            world.order(Side.BUY, world.product(), vouchers=vouchers, client_order_id=f"{number}")
        )
        for number in range(400)
    ]
    problems = await told(world, buyer, bids)
    assert {each.code for each in problems} == {code}
    numbers = [len(each.errors) for each in problems]
    assert set(numbers) == {ITEM_FAULTS_MAX, 1}
    assert EACH_FAULTS_MAX <= sum(numbers) <= EACH_FAULTS_MAX + len(bids)
    assert problems[-1].errors[0].pointer.startswith("/vouchers")


async def test_an_order_of_which_few_faults_are_told_is_named_all_the_same(world: MarketWorld) -> None:
    _, buyer = await world.traders(10**6)
    problems = await told(world, buyer, [{"client_order_id": f"{number}"} for number in range(1000)])
    assert {len(each.errors) for each in problems[-50:]} == {1}


async def test_others_have_their_turns_while_many_orders_are_judged(world: MarketWorld) -> None:
    _, buyer = await world.traders(10**6)
    await world.exchange.orders.place_all(buyer, [])  # who that is, is known from here on
    orders = [(world.order(Side.BUY, world.product()), Faults()) for _ in range(1000)]
    for _, faults in orders:
        faults.add("/hours", "out_of_range", "must be something else")
    judging = asyncio.create_task(world.exchange.orders.place_all(buyer, orders))
    turns = 0
    while not judging.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns >= len(orders) // ITEMS_AT_ONCE
