"""Goal: whatever happens to a leader or to its database, what was answered stands, and nothing else does.

Method: two exchanges on one database, the fenced one stopping first; connections ended by the server under
load; a backend that stands still before COMMIT; an hour that begins while a batch waits for a lock; a service
that was down while hours ended. Each test ends with the ledger's check and the fold of the journal (see
`open_market`).
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from exchange import app
from exchange.app import Exchange
from exchange.kit.clock import US_PER_HOUR, ManualClock, us_of_hour
from exchange.kit.database import Connection, ConnectionLost, Database
from exchange.kit.errors import InvalidInput, NotEnoughMoney, Refusal, Unavailable
from exchange.kit.fields import format_hour
from exchange.kit.ids import decode_id
from exchange.kit.settings import Settings
from exchange.ledger.models import Purpose
from exchange.orders import answers, chunks
from exchange.orders import sequencer as orders_sequencer
from exchange.orders.batch import Batch
from exchange.orders.models import OrderStatus, PlacedOrder, Request
from exchange.orders.outcomes import Outcome
from exchange.orders.reading import REPLAYED
from exchange.participants.models import ParticipantKind
from exchange.settlement.leases import report_outage
from exchange.settlement.models import NewOutage
from matching.order import Side
from tests.faults import faulty_wire, quiet
from tests.market_world import MarketWorld, open_market, reach_hour, sequencers
from tests.voucher_world import NOW_US

DEADLINE_S = 60.0
KILLS = 12


async def opened(database_url: str, data_dir: Path, now_us: int) -> MarketWorld:
    clock = ManualClock(now_us)
    settings = Settings(database_url=database_url, data_dir=data_dir)
    return MarketWorld(await Exchange.open(settings, clock), clock)


@pytest.mark.parametrize("fenced_by", ["order", "hour"])
async def test_a_fenced_leader_leaves_nothing_behind(
    database_url: str, tmp_path: Path, fenced_by: str
) -> None:
    async with open_market(database_url, tmp_path) as world:
        provider = await world.join(ParticipantKind.PROVIDER)
        await world.ask(provider, world.product())
        now_us = world.clock.now_us()
    first = await opened(database_url, tmp_path, now_us)
    second = await opened(database_url, tmp_path, now_us)
    product = first.product()
    if fenced_by == "order":
        with pytest.raises(Unavailable) as refused:
            await first.ask(provider, product, price=200)
        assert refused.value.outcome == "not_applied"
    else:
        first.clock.advance_to_us(us_of_hour(first.clock.hour() + 1))
        with pytest.raises(Unavailable):
            await reach_hour(first.exchange, first.clock.hour())
    await asyncio.wait_for(first.exchange.ended.wait(), DEADLINE_S)
    assert not first.exchange.orders.is_ready
    with pytest.raises(Unavailable):
        first.exchange.orders.book(product)
    # The first stops cleanly; the second is never heard of again, as if it had been killed.
    await first.exchange.close()
    async with open_market(database_url, tmp_path, now_us) as third:
        assert len(third.exchange.orders.book(product).orders) == 1
    await second.exchange.close()


async def test_a_commit_that_was_lost_from_sight_before_another_leader_came_is_unknown(
    database_url: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with faulty_wire(database_url) as wire:
        world = await opened(wire.url, tmp_path, NOW_US)
        await quiet(world.exchange)
        provider = await world.join(ParticipantKind.PROVIDER)
        [sequencer] = sequencers(world.exchange).values()
        rebuild = sequencer._rebuild

        async def rebuild_later(*, unknown: bool = False) -> None:
            async with database.transaction() as connection:
                await connection.execute("UPDATE partition_head SET epoch = epoch + 1")
            await rebuild(unknown=unknown)

        monkeypatch.setattr(sequencer, "_rebuild", rebuild_later)
        wire.arm("answer")
        with pytest.raises(Unavailable, match="lost from sight") as refused:
            await world.ask(provider, world.product())
        assert (refused.value.outcome, refused.value.retryable) == ("unknown", True)
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM orders") == 1
        await asyncio.wait_for(world.exchange.ended.wait(), DEADLINE_S)
        await world.exchange.close()


async def test_a_commit_that_the_database_does_not_answer_to_is_unknown_until_it_does(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backend stops just before COMMIT and goes on later; one caller waits in the batch, one behind."""
    monkeypatch.setattr(answers, "TOLD_WITHIN_S", 0.1)
    async with open_market(database_url, tmp_path) as world:
        provider, buyer = await world.traders(10**9)
        product, orders = world.product(), world.exchange.orders
        await world.ask(provider, product, quantity_gpus=9)
        first, second = (
            world.order(Side.BUY, product, client_order_id=each) for each in ("in-the-batch", "behind-it")
        )
        pids: list[int] = []

        async def stop_before_commit(
            batch: Batch, requests: Sequence[Request], connection: Connection, **more: Any
        ) -> list[Outcome]:
            outcomes = await chunks.carry_out(batch, requests, connection, **more)
            pids.append(await connection.fetchval("SELECT pg_backend_pid()"))
            monkeypatch.setattr(orders_sequencer, "carry_out", chunks.carry_out)
            assert not world.exchange.troubles()
            monkeypatch.setattr(orders_sequencer, "UNANSWERED_S", 0.0)
            [trouble] = world.exchange.troubles()
            assert trouble.startswith("partition 1: the database has kept it waiting for ")
            os.kill(pids[0], signal.SIGSTOP)
            asked.append(asyncio.ensure_future(orders.place(buyer, second)))
            return outcomes

        await quiet(world.exchange)
        monkeypatch.setattr(world.exchange.database, "_answer_timeout_s", 0.5)
        monkeypatch.setattr(orders_sequencer, "carry_out", stop_before_commit)
        asked = [asyncio.ensure_future(orders.place(buyer, first))]
        try:
            async with asyncio.timeout(DEADLINE_S):
                await asyncio.wait(asked)  # the second is there by then
                told = await asyncio.gather(*asked, return_exceptions=True)
            assert [getattr(each, "outcome", each) for each in told] == ["unknown", "not_applied"]
            [trouble] = world.exchange.troubles()
            assert trouble.startswith("partition 1: its books are being rebuilt")
            with pytest.raises(Unavailable) as refused:
                await orders.place(buyer, second)
            assert refused.value.outcome == "not_applied"
        finally:
            os.kill(pids[0], signal.SIGCONT)
        monkeypatch.undo()
        async with asyncio.timeout(DEADLINE_S):
            while world.exchange.troubles():  # noqa: ASYNC110 - it rebuilds by itself
                await asyncio.sleep(0.01)
            again = [await orders.place(buyer, order) for order in (first, second)]
        assert [each.replayed for each in again] == [True, False]
        assert [each.view.status for each in again] == [OrderStatus.FILLED] * 2


async def test_a_denied_order_whose_commit_was_lost_from_sight_is_answered_as_the_first_one(
    database_url: str, tmp_path: Path
) -> None:
    """A denial leaves no trace in the journal: the batch is tried again, and finds its own order stored."""
    async with faulty_wire(database_url) as wire:
        world = await opened(wire.url, tmp_path, NOW_US)
        await quiet(world.exchange)
        _, buyer = await world.traders(1)
        order = world.order(Side.BUY, world.product())
        wire.arm("answer")
        with pytest.raises(NotEnoughMoney) as denied:
            await world.exchange.orders.place(buyer, order)
        assert wire.was_cut.is_set()
        assert not denied.value.headers
        with pytest.raises(NotEnoughMoney) as again:
            await world.exchange.orders.place(buyer, order)
        assert (again.value.detail, dict(again.value.headers)) == (denied.value.detail, REPLAYED)
        await world.exchange.close()


async def test_a_leader_whose_clock_is_behind_goes_on_in_the_hour_of_the_last_commit(
    database_url: str, tmp_path: Path
) -> None:
    async with open_market(database_url, tmp_path) as world:
        provider, buyer = await world.traders(10**9)
        product = world.product()
        before_us = world.clock.now_us()
        ask = await world.ask(provider, product, quantity_gpus=2, window=(2, 6))
        await world.pass_hours(1)
        ahead_hour = world.clock.hour()
    async with open_market(database_url, tmp_path, before_us) as world:
        assert world.clock.hour() == ahead_hour - 1
        [sequencer] = sequencers(world.exchange).values()
        async with asyncio.timeout(DEADLINE_S):
            bid = await world.bid(buyer, product, window=(2, 6))
        assert bid.status is OrderStatus.FILLED
        assert (sequencer.state.hour, sequencer.head.last_event_at_us) == (
            ahead_hour,
            us_of_hour(ahead_hour),
        )
        # The hour that the last leader had begun is not for sale, whatever this clock says.
        with pytest.raises(Refusal) as refused:
            await world.bid(buyer, product, window=(0, 4))
        assert refused.value.errors[0].code == "window_in_past"
        await world.pass_hours(2)
        assert sequencer.state.hour == ahead_hour + 1
        ask = await world.exchange.orders.get(provider, decode_id("ord", ask.id) or 0)
        assert ask.filled_gpu_hours == bid.filled_gpu_hours


async def test_stored_books_that_do_not_fit_are_passed_over(database_url: str, tmp_path: Path) -> None:
    async with open_market(database_url, tmp_path) as world:
        provider = await world.join(ParticipantKind.PROVIDER)
        await world.ask(provider, world.product())
        product, now_us = world.product(), world.clock.now_us()
    async with open_market(database_url, tmp_path, now_us) as world:
        await world.ask(provider, product)
    async with (
        open_market(database_url, tmp_path, now_us) as world,
        world.database.transaction() as connection,
    ):
        await connection.execute("UPDATE book_snapshot SET book = 'no book'")
    async with open_market(database_url, tmp_path, now_us) as world:
        assert len(world.exchange.orders.book(product).orders) == 2


async def test_connections_ended_under_load_lose_and_double_nothing(
    database_url: str, tmp_path: Path
) -> None:
    async with open_market(database_url, tmp_path) as world:
        provider, buyer = await world.traders(10**9)
        product = world.product()
        await world.ask(provider, product, quantity_gpus=10_000)
        acknowledged: set[str] = set()
        ended = asyncio.Event()

        async def trade(number: int) -> None:
            count = 0
            while not ended.is_set():
                count += 1
                order = world.order(Side.BUY, product, client_order_id=f"{number}-{count}")
                while True:  # the same order again until it is answered: that is what its id is for
                    try:
                        answer: PlacedOrder = await world.exchange.orders.place(buyer, order)
                    except (Unavailable, ConnectionLost):
                        await asyncio.sleep(0.01)
                    else:
                        acknowledged.add(answer.view.client_order_id)
                        break

        traders = [asyncio.create_task(trade(number)) for number in range(8)]
        for _ in range(KILLS):
            before = len(acknowledged)
            async with asyncio.timeout(DEADLINE_S):
                while len(acknowledged) < before + 10:  # noqa: ASYNC110 - eight traders, one count
                    await asyncio.sleep(0.01)
            # Our own connection may have been lost just before.
            with contextlib.suppress(ConnectionLost):
                async with world.database.connection() as connection:
                    await connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
        ended.set()
        await asyncio.gather(*traders)
        async with world.database.connection() as connection:
            stored = await connection.fetch("SELECT client_order_id, count(*) FROM orders GROUP BY 1")
        assert all(row["count"] == 1 for row in stored)
        assert acknowledged <= {row["client_order_id"] for row in stored}


async def test_an_hour_that_begins_while_a_batch_waits_is_not_sold(database_url: str, tmp_path: Path) -> None:
    async with open_market(database_url, tmp_path) as world:
        provider, buyer = await world.traders(10**9)
        product = world.product()
        await world.ask(provider, product)
        bid = world.order(Side.BUY, product)
        async with world.database.transaction() as connection:
            await connection.execute(
                "SELECT FROM ledger_account WHERE participant_id = $1 FOR UPDATE", buyer.participant_id
            )
            placing = asyncio.create_task(world.exchange.orders.place(buyer, bid))
            await world.somebody_waits_for_a_lock()
            world.clock.advance_to_us(us_of_hour(world.clock.hour() + 1))
        with pytest.raises(Refusal) as refused:
            await placing
        assert refused.value.errors[0].code == "window_in_past"
        async with world.database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM trade") == 0
        with pytest.raises(InvalidInput):
            await world.bid(buyer, product, window=(-1, 3))


async def test_downtime_does_not_take_the_time_in_which_an_outage_can_be_reported(
    database_url: str, tmp_path: Path
) -> None:
    async with open_market(database_url, tmp_path) as world:
        provider, buyer = await world.traders(10**6)
        await world.ask(provider, world.product(), price=1000)
        bid = await world.bid(buyer, world.product(), price=1000)
        assert bid.status is OrderStatus.FILLED
        lease_id = decode_id("trd", bid.fills[0].trade_id)
        starts_hour, now_us = world.first_hour, world.clock.now_us()
    assert lease_id is not None
    # Down through the whole lease and beyond its report time.
    async with open_market(database_url, tmp_path, now_us + 40 * 3600 * 10**6) as world:
        hours = [format_hour(starts_hour + hour) for hour in range(4)]
        async with world.database.transaction() as connection:
            outage = NewOutage(hours=hours, reason="the site was down with the exchange")
            await report_outage(connection, provider, lease_id, outage, world.now_us)
        await world.pass_hours(2)
        assert await world.free_fen(buyer) == 10**6
        assert await world.free_fen(buyer, purpose=Purpose.ESCROW) == 0


async def test_leaders_that_follow_each_other_soon_put_no_money_off(
    database_url: str, tmp_path: Path
) -> None:
    """Each leads for a part of the time in which an outage can be reported; only real downtime counts."""
    delay_hours, hours_each = 6, 4
    settings = {"settlement_delay_hours": delay_hours, "fee_bps": 0}
    async with open_market(database_url, tmp_path, **settings) as world:
        provider, buyer = await world.traders(10**6)
        await world.ask(provider, world.product(), price=1000, window=(0, 2))
        await world.bid(buyer, world.product(), price=1000, window=(0, 2))
        first_hour, now_us = world.first_hour, world.clock.now_us()
    free_fen = []
    for down_hours in (0, 0, 3, 0, 0):
        now_us += down_hours * US_PER_HOUR
        async with open_market(database_url, tmp_path, now_us, **settings) as world:
            await world.pass_hours(hours_each)
            free_fen.append((world.clock.hour() - first_hour, await world.free_fen(provider)))
            now_us = world.clock.now_us()
    # The hours 0 and 1 ended before the downtime, in hours 7 to 10, and are due six hours after it.
    assert free_fen == [(3, 0), (7, 1000), (14, 1000), (18, 2000), (22, 2000)]


async def test_more_partitions_than_connections_are_refused_at_the_start(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "PARTITIONS_MAX", 0)
    with pytest.raises(app.StartError, match="at most 0 partitions, not 1"):
        async with open_market(database_url, tmp_path):
            raise AssertionError("it opened")
