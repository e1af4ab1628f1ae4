"""Goal: one engine leads at a time, whichever; what was answered stands, and each order has one effect.

Method: leases on a real database, told over and taken by hand, never waited for; then traders that send each
order until it is answered, while engines are fenced, stopped and replaced, connections cut, and Redis is
flushed, killed and begun anew. Each market ends with the ledger's check and the fold of its journal.
"""

import asyncio
import contextlib
from pathlib import Path
from random import Random
from typing import Any

import pytest

from exchange.app import Exchange
from exchange.fleet.leases import LeaseWatch, PartitionLease
from exchange.kit.database import ConnectionLost, Database
from exchange.kit.errors import Unavailable
from exchange.orders.sequencer import Sequencer
from exchange.participants.models import ParticipantKind
from matching.order import Side
from tests.integration.fleets import DEADLINE_S, Fleet, answered, eventually, is_leading
from tests.market_world import MarketWorld
from tests.redis_doors import door_to
from tests.redis_servers import RedisServer

SEED = 6
TURNS = 8
TRADERS = 8


@pytest.fixture
def fleet(database_url: str, redis_url: str, tmp_path: Path) -> Fleet:
    return Fleet(database_url, redis_url, tmp_path)


async def over(database: Database, seconds: int = 1) -> None:
    """Let every lease have been over for some seconds."""
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE partition_lease SET leads_until = clock_timestamp() - make_interval(secs => $1)", seconds
        )


async def lasting(database: Database, seconds: int = 3_600) -> None:
    """Let every lease last for so long, however slow this machine is."""
    await over(database, -seconds)


async def test_one_of_many_takes_a_lease_that_is_over(database: Database) -> None:
    leases = [PartitionLease(database, 1, f"engine-{number}") for number in range(10)]
    taken = await asyncio.gather(*(lease.take() for lease in leases))
    assert sum(taken) == 1
    holder = leases[taken.index(True)]
    others = [lease for lease in leases if lease is not holder]
    assert await holder.renew(3)
    await lasting(database)
    assert not any([await lease.take() or await lease.renew(3) for lease in others])
    await over(database)
    assert await holder.renew(3), "nobody has taken it meanwhile"
    await over(database)
    taken = await asyncio.gather(*(lease.take() for lease in others))
    assert sum(taken) == 1
    assert not await holder.renew(3)
    assert await holder.take(by_force=True)
    await lasting(database)
    assert not any([await lease.renew(4) for lease in others])
    await others[0].end()
    assert not await others[0].take(), "who does not hold it does not end it"
    await holder.end()
    assert await others[0].take()


async def test_a_watch_sees_for_how_long_nobody_leads(database: Database) -> None:
    watch = LeaseWatch(database)
    assert watch.over_s(1) == float("inf")
    lease = PartitionLease(database, 1, "engine")
    await lease.take()
    await lasting(database, 100)
    await watch.start()
    assert -100 <= watch.over_s(1) < 0
    assert not watch.is_led(1), "its books are not built"
    await lease.renew(3)
    await lasting(database, 100)
    await eventually(lambda: watch.is_led(1))
    await over(database, 100)
    await eventually(lambda: watch.over_s(1) > 99)
    assert not watch.is_led(1)
    await watch.stop()


@pytest.mark.parametrize("lock_timeout, statement_timeout_s", [("50ms", 30), ("0", 1)])
async def test_an_engine_that_the_database_keeps_waiting_stands_by_and_leads_later(
    fleet: Fleet,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    lock_timeout: str,
    statement_timeout_s: int,
) -> None:
    def refusals() -> int:
        return sum("is not led here" in record.message for record in caplog.records)

    monkeypatch.setattr("exchange.kit.database.LOCK_TIMEOUT", lock_timeout)
    async with fleet.engine():
        pass
    await over(database)
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM partition_lease FOR UPDATE")
        engine = await fleet.open("engine", statement_timeout_s=statement_timeout_s)
        await eventually(lambda: refusals() > 1 or engine.ended.is_set())
    try:
        await eventually(lambda: is_leading(engine) or engine.ended.is_set())
        assert not engine.ended.is_set()
    finally:
        await engine.close()


class Turmoil:
    """Two engines and a gateway with traders, and what can be done to them."""

    def __init__(self, fleet: Fleet, world: MarketWorld, redis: RedisServer) -> None:
        self.fleet = fleet
        self.world = world
        self.redis = redis
        self.engines: list[Exchange] = []
        self.acknowledged: set[str] = set()

    async def open_engine(self) -> None:
        """Open one more engine."""
        self.engines.append(await self.fleet.open("engine", patience_s=2))

    async def nobody_leads(self) -> None:
        """Take the lease from whoever has it: it finds out, or is fenced by the next one's first commit."""
        async with self.world.database.transaction() as connection:
            await connection.execute(
                "UPDATE partition_lease SET holder = 'nobody', leads_until = clock_timestamp()"
            )

    async def leader_stops(self) -> None:
        """Stop the leader, as a signal does, and open another engine."""
        await eventually(lambda: any(is_leading(each) for each in self.engines))
        leader = next(each for each in self.engines if is_leading(each))
        self.engines.remove(leader)
        await leader.close()
        await self.open_engine()

    async def connections_end(self) -> None:
        """End every connection to the database."""
        with contextlib.suppress(ConnectionLost):
            async with self.world.database.connection() as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    async def redis_is_flushed(self) -> None:
        """Let Redis lose what it holds."""
        self.redis.flush()

    async def redis_dies(self) -> None:
        """Kill Redis, and start another one in its place."""
        self.redis.kill()
        await asyncio.sleep(0)
        self.redis.start()

    async def trade(self, owner: Any, number: int, ended: asyncio.Event) -> None:
        """Send orders, each again and again until it is answered: that is what its id is for."""
        count = 0
        while not ended.is_set():
            count += 1
            order = self.world.order(Side.BUY, self.world.product(), client_order_id=f"{number}-{count}")
            while True:
                try:
                    answer = await self.world.exchange.orders.place(owner, order)
                except (Unavailable, ConnectionLost):
                    await asyncio.sleep(0.01)
                else:
                    self.acknowledged.add(answer.view.client_order_id)
                    break

    async def further(self, orders: int) -> None:
        """Return once so many further orders are answered."""
        wanted = len(self.acknowledged) + orders
        await eventually(lambda: len(self.acknowledged) >= wanted)


async def test_whatever_happens_each_answered_order_is_there_once(database_url: str, tmp_path: Path) -> None:
    with RedisServer(tmp_path) as redis:
        fleet = Fleet(database_url, redis.url, tmp_path)
        async with fleet.opened("gateway", patience_s=2) as gateway:
            world = MarketWorld(gateway, fleet.clock)
            turmoil = Turmoil(fleet, world, redis)
            await turmoil.open_engine()
            await turmoil.open_engine()
            await eventually(lambda: world.exchange.orders.is_ready)
            provider, buyer = await world.traders(10**9)
            await world.ask(provider, world.product(), quantity_gpus=10_000)
            ended = asyncio.Event()
            traders = [asyncio.create_task(turmoil.trade(buyer, each, ended)) for each in range(TRADERS)]
            faults = [
                *(turmoil.nobody_leads, turmoil.leader_stops, turmoil.connections_end),
                *(turmoil.redis_is_flushed, turmoil.redis_dies),
            ] * 2
            Random(SEED).shuffle(faults)
            for fault in faults:
                await turmoil.further(20)
                await fault()
            await turmoil.further(20)
            ended.set()
            await asyncio.gather(*traders)
            async with world.database.connection() as connection:
                rows = await connection.fetch("SELECT client_order_id, count(*) FROM orders GROUP BY 1")
                epoch = await connection.fetchval("SELECT epoch FROM partition_head")
            assert {row["client_order_id"] for row in rows if row["count"] > 1} == set()
            assert turmoil.acknowledged <= {row["client_order_id"] for row in rows}
            assert epoch >= 3, "others have led"
            for engine in turmoil.engines:
                await engine.close()
            assert await world.differences() == []
            await world.exchange.orders.verify()


async def renewed(database: Database) -> None:
    """Return once whoever has the lease has renewed it."""

    async def leads_until() -> float:
        async with database.connection() as connection:
            until: float = await connection.fetchval(
                "SELECT extract(epoch FROM leads_until) FROM partition_lease"
            )
            return until

    before = await leads_until()
    async with asyncio.timeout(DEADLINE_S):
        while await leads_until() <= before:
            pass


async def test_one_process_takes_the_lead_from_engines_and_keeps_it(fleet: Fleet, database: Database) -> None:
    async with fleet.engine() as engine:
        await eventually(lambda: is_leading(engine))
        async with fleet.opened("all") as whole:
            assert whole.troubles() == []
            world = MarketWorld(whole, fleet.clock)
            provider = await world.join(ParticipantKind.PROVIDER)
            await eventually(lambda: engine.partitions.standing == "standby")
            assert engine.troubles() == []
            await renewed(database)
            assert not await PartitionLease(database, 1, "another").take()
            await world.ask(provider, world.product())
            await PartitionLease(database, 1, "another").take(by_force=True)
            await eventually(lambda: whole.troubles() == ["partition 1: another server leads it now"])
            await PartitionLease(database, 1, "another").end()
            await eventually(lambda: is_leading(engine))
            with pytest.raises(Unavailable, match="another leader has taken over"):
                await world.ask(provider, world.product())
            await asyncio.wait_for(whole.ended.wait(), DEADLINE_S)
        assert is_leading(engine)
        assert len(engine.orders.book(world.product()).orders) == 1


async def test_one_process_keeps_the_lead_while_its_books_are_rebuilt(
    fleet: Fleet, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Sequencer.start

    async def slowly(sequencer: Sequencer) -> None:
        await start(sequencer)
        for _ in range(2):
            await renewed(database)

    monkeypatch.setattr(Sequencer, "start", slowly)
    async with fleet.opened("all") as whole:
        assert whole.troubles() == []


async def test_a_leader_that_redis_does_not_answer_lets_another_lead(
    fleet: Fleet, redis_server: RedisServer
) -> None:
    async with (
        door_to(redis_server.port) as door,
        fleet.opened("engine", patience_s=1, redis_url=door.url) as cut_off,
        fleet.market(patience_s=1) as world,
        fleet.opened("engine", patience_s=1) as standby,
    ):
        provider = await world.join(ParticipantKind.PROVIDER)
        await answered(lambda: world.ask(provider, world.product(), client_order_id="before"))
        assert is_leading(cut_off)
        door.close()
        await eventually(lambda: is_leading(standby))
        assert not is_leading(cut_off)
        await eventually(lambda: world.exchange.orders.is_ready)
        after = await answered(lambda: world.ask(provider, world.product(), client_order_id="after"))
        assert after.sequence is not None
        door.open()
        await standby.partitions.stop()
        await eventually(lambda: is_leading(cut_off))


async def test_nobody_takes_the_lead_whom_redis_does_not_answer(
    fleet: Fleet, database: Database, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with door_to(redis_server.port) as door:
        door.close()
        async with fleet.opened("engine", redis_url=door.url) as engine:
            await eventually(lambda: "partition 1 is not led here: Redis cannot be reached" in caplog.text)
            async with database.connection() as connection:
                assert await connection.fetchval("SELECT max(epoch) FROM partition_head") is None
            door.open()
            await eventually(lambda: is_leading(engine))
