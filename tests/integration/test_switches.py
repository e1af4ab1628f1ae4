"""Goal: a dead man's switch fires once its time has come by the database's clock, whatever restarts.

Method: the whole exchange on a real database. Nobody waits for a switch: one that shall be due is set back in
its row, as if its time had passed. Processes are closed and opened again, another one sets the switch, and
connections are ended while it is taken away.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from exchange.kit.auth import Principal
from exchange.kit.clock import US_PER_SECOND, wall_now_us
from exchange.kit.database import ConnectionLost, Database
from exchange.kit.errors import Unavailable
from exchange.kit.ids import decode_id
from exchange.orders import store
from exchange.orders.models import CancelAllRequest, OrderStatus, OrderView, Request
from exchange.orders.outcomes import AllCancelled, Outcome
from exchange.orders.switches import CAUSE, Switches, SwitchWatch
from exchange.participants.models import ParticipantKind
from tests.market_world import MarketWorld, open_market

DEADLINE_S = 60.0
AN_HOUR_S = 3600


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[MarketWorld]:
    async with open_market(database_url, tmp_path) as opened:
        yield opened


async def let_time_pass(database: Database, owner: Principal, seconds: int = AN_HOUR_S) -> None:
    """Set a switch back, as if so many seconds had passed since it was set."""
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE cancel_switch SET fires_at = fires_at - $2::integer * INTERVAL '1 second'"
            " WHERE participant_id = $1",
            owner.participant_id,
            seconds,
        )


async def is_set(database: Database, owner: Principal) -> bool:
    async with database.connection() as connection:
        count = await connection.fetchval(
            "SELECT count(fires_at) FROM cancel_switch WHERE participant_id = $1", owner.participant_id
        )
    return bool(count)


async def until_fired(database: Database, owner: Principal) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while await is_set(database, owner):  # noqa: ASYNC110 - nobody signals it
            await asyncio.sleep(0.01)


async def status(world: MarketWorld, owner: Principal, order: OrderView) -> OrderStatus:
    return (await world.exchange.orders.get(owner, decode_id("ord", order.id) or 0)).status


async def test_a_switch_fires_unless_it_is_put_off_or_taken_away(world: MarketWorld) -> None:
    provider, buyer = await world.traders(10**6)
    rival = await world.join(ParticipantKind.PROVIDER)
    switches, product = world.exchange.switches, world.product()
    bid = await world.bid(buyer, product, price=100)
    ask = await world.ask(provider, product, price=200)
    other = await world.ask(rival, product, price=210)
    assert await switches.set(buyer, 0) is None
    fires_at_us = await switches.set(buyer, AN_HOUR_S)
    assert fires_at_us is not None
    assert abs(fires_at_us - wall_now_us() - AN_HOUR_S * US_PER_SECOND) < 60 * US_PER_SECOND
    await switches.set(provider, 5 * AN_HOUR_S)
    await let_time_pass(world.database, buyer, AN_HOUR_S - 60)
    assert (await switches.set(buyer, AN_HOUR_S) or 0) > fires_at_us
    await switches.set(rival, AN_HOUR_S)
    assert await switches.set(rival, 0) is None
    for owner in (buyer, rival):
        await let_time_pass(world.database, owner)
    await until_fired(world.database, buyer)
    assert await status(world, buyer, bid) is OrderStatus.CANCELLED
    assert await status(world, provider, ask) is OrderStatus.RESTING
    assert await status(world, rival, other) is OrderStatus.RESTING
    assert await world.free_fen(buyer) == 10**6
    assert await is_set(world.database, provider)
    async with world.database.connection() as connection:
        cause = await connection.fetchval(
            "SELECT detail ->> 'cause' FROM audit_record WHERE code = 'CAME' AND order_id = $1",
            decode_id("ord", bid.id),
        )
    assert cause == CAUSE
    told = await world.exchange.orders.get(buyer, decode_id("ord", bid.id) or 0)
    assert told.reason == CAUSE


async def test_a_switch_survives_the_process_and_fires_at_the_start_where_its_time_has_passed(
    database_url: str, tmp_path: Path
) -> None:
    async with open_market(database_url, tmp_path) as world:
        provider, buyer = await world.traders(10**6)
        bid = await world.bid(buyer, world.product(), price=100)
        ask = await world.ask(provider, world.product(), price=200)
        await world.exchange.switches.set(buyer, AN_HOUR_S)
        await world.exchange.switches.set(provider, 2 * AN_HOUR_S)
    database = await Database.connect(database_url, connections_min=1)
    for owner in (buyer, provider):
        await let_time_pass(database, owner)
    await database.close()
    async with open_market(database_url, tmp_path) as world:
        await until_fired(world.database, buyer)
        assert await status(world, buyer, bid) is OrderStatus.CANCELLED
        assert await status(world, provider, ask) is OrderStatus.RESTING
        assert await is_set(world.database, provider)


async def test_another_process_puts_off_what_this_one_has_set(world: MarketWorld, database_url: str) -> None:
    provider, _ = await world.traders(10**6)
    ask = await world.ask(provider, world.product(), price=200)
    await world.exchange.switches.set(provider, AN_HOUR_S)
    beside = await Database.connect(database_url, connections_min=1)
    partitions = {product.partition_id for product in world.exchange.products.values()}
    await Switches(beside, partitions).set(provider, 3 * AN_HOUR_S)
    await let_time_pass(beside, provider)
    await world.exchange._switch_watch.fire_due(1)
    assert await status(world, provider, ask) is OrderStatus.RESTING
    await let_time_pass(beside, provider, 2 * AN_HOUR_S)
    await until_fired(beside, provider)
    assert await status(world, provider, ask) is OrderStatus.CANCELLED
    await beside.close()


class Desk:
    """A leader that notes what it is asked, and does as it is told."""

    def __init__(self) -> None:
        self.is_ready = True
        self.asked: list[CancelAllRequest] = []
        self.failures: list[Exception] = []
        self.meanwhile: Any = None

    async def submit(self, request: Request) -> Outcome:
        """Note a request."""
        assert isinstance(request, CancelAllRequest)
        if self.failures:
            raise self.failures.pop()
        self.asked.append(request)
        if self.meanwhile is not None:
            await self.meanwhile()
        return AllCancelled(withdrawn=[])


@asynccontextmanager
async def overdue(world: MarketWorld) -> AsyncIterator[tuple[Desk, SwitchWatch, Principal]]:
    """Give a desk that leads in place of the exchange, and somebody whose switch is due there."""
    await world.exchange._switch_watch.stop()
    owner = await world.join(ParticipantKind.PROVIDER)
    await world.exchange.switches.set(owner, AN_HOUR_S)
    await let_time_pass(world.database, owner)
    desk = Desk()
    yield desk, SwitchWatch(world.database, {1: desk}), owner


async def test_one_that_was_set_again_while_it_fired_stays(world: MarketWorld) -> None:
    async with overdue(world) as (desk, watch, owner):

        async def come_back() -> None:
            await world.exchange.switches.set(owner, AN_HOUR_S)

        desk.meanwhile = come_back
        await watch.fire_due(1)
        assert [each.participant_id for each in desk.asked] == [owner.participant_id]
        assert desk.asked[0].cause == CAUSE
        assert desk.asked[0].key_id == owner.key_id
        assert await is_set(world.database, owner)
        await watch.fire_due(1)
        assert len(desk.asked) == 1


async def test_one_that_could_not_be_carried_out_fires_again_and_hinders_no_other(world: MarketWorld) -> None:
    async with overdue(world) as (desk, watch, owner):
        second = await world.join(ParticipantKind.PROVIDER)
        await world.exchange.switches.set(second, AN_HOUR_S)
        await let_time_pass(world.database, second)
        desk.failures.append(Unavailable("rebuilding", "not now"))
        with pytest.raises(Unavailable):
            await watch.fire_due(1)
        assert await is_set(world.database, owner)
        assert not await is_set(world.database, second)
        await watch.fire_due(1)
        assert [each.participant_id for each in desk.asked] == [second.participant_id, owner.participant_id]
        assert not await is_set(world.database, owner)


async def test_one_that_fired_and_could_not_be_taken_away_does_not_fire_anew(
    world: MarketWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with overdue(world) as (desk, watch, owner):
        end = store.end_switches

        async def lost(*_: object) -> None:
            raise ConnectionLost("cut", outcome="not_applied")

        monkeypatch.setattr(store, "end_switches", lost)
        for _ in range(2):
            with pytest.raises(ConnectionLost):
                await watch.fire_due(1)
        monkeypatch.setattr(store, "end_switches", end)
        await watch.fire_due(1)
        assert len(desk.asked) == 1
        assert not await is_set(world.database, owner)


async def test_a_process_that_leads_nothing_fires_nothing(world: MarketWorld) -> None:
    async with overdue(world) as (desk, watch, owner):
        desk.is_ready = False
        await watch.fire_due(1)
        assert desk.asked == []
        assert await is_set(world.database, owner)


async def test_a_partition_that_does_not_answer_delays_no_other(world: MarketWorld) -> None:
    await world.exchange._switch_watch.stop()
    asked = asyncio.Event()

    async def rebuild() -> None:
        asked.set()
        await asyncio.get_running_loop().create_future()

    slow, desk = Desk(), Desk()
    slow.meanwhile = rebuild
    owners = [await world.join(ParticipantKind.PROVIDER) for _ in range(2)]
    watch = SwitchWatch(world.database, {1: slow, 2: desk})
    both = Switches(world.database, {1, 2})
    await both.set(owners[0], AN_HOUR_S)
    await let_time_pass(world.database, owners[0])
    watch.start()
    await asked.wait()
    await both.set(owners[1], AN_HOUR_S)
    await let_time_pass(world.database, owners[1])
    async with asyncio.timeout(DEADLINE_S):
        while len(desk.asked) < len(owners):  # noqa: ASYNC110 - nobody signals it
            await asyncio.sleep(0.01)
    await watch.stop()
    assert {each.participant_id for each in desk.asked} == {each.participant_id for each in owners}
