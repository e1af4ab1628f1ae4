"""Goal: what was committed is told, in commit order, once, whatever happens to the database in between.

Method: a seeded run of the real engine is written to the real journal as the sequencer writes it, in batches;
the relay is told of them, or not, while connections are cut and relays are restarted. What the tape and a
reader have at the end is compared with the run's own events.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.feed import relay as relays
from exchange.feed import rules
from exchange.feed.hub import Closing, orders_key
from exchange.feed.models import OrderNews, TradeView
from exchange.feed.news import news_by_participant
from exchange.feed.relay import Relay
from exchange.kit.database import Database
from exchange.orders.models import Step
from exchange.products.service import seed_catalogue
from matching.events import OrderAccepted, Traded
from tests.market_rows import TradeFacts, insert_order, insert_participant, insert_trade
from tests.silent_line import silent_line
from tests.streams import DEADLINE_S, until
from tests.told_journal import (
    CHANNEL,
    COMMANDS,
    PRODUCT,
    batches,
    commit,
    follow,
    run_of_steps,
    trades_of,
    wait_until_told,
)


@pytest.fixture
async def relay(database: Database) -> AsyncIterator[Relay]:
    started = Relay(database)
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look into the journal often, for tests in which nobody tells the relay."""
    monkeypatch.setattr(relays, "IDLE_S", 0.01)


async def test_readers_get_every_trade_in_commit_order(database: Database, relay: Relay) -> None:
    steps = run_of_steps(1)
    reader = follow(relay, CHANNEL)
    for batch in batches(steps):
        await commit(database, batch)
        relay.tell(1, batch)
    await wait_until_told(relay, steps[-1])
    expected = trades_of(steps)
    assert len(expected) > 50
    assert relay.tape.latest(PRODUCT, COMMANDS)[::-1] == expected
    messages = [msgspec.json.decode(text) for text in await reader.take()]
    told = [msgspec.convert(trade, TradeView) for message in messages for trade in message["trades"]]
    assert told == [rules.trade_view(trade) for trade in expected]
    assert [message["prev_sequence"] for message in messages][1:] == [
        message["sequence"] for message in messages
    ][:-1]


@pytest.mark.usefixtures("_impatient")
async def test_where_nobody_listens_it_is_known_how_far_the_journal_has_come_and_nothing_else(
    database: Database,
) -> None:
    first, *others = batches(run_of_steps(1))
    await commit(database, first)
    relay = Relay(database, is_read=False)
    await relay.start()
    assert relay.hub.sequences == {1: first[-1].sequence}
    for batch in others:
        await commit(database, batch)
    relay.tell(1, others[0])
    assert relay.hub.sequences == {1: others[0][-1].sequence}
    await wait_until_told(relay, others[-1][-1])
    assert relay.tape.latest(PRODUCT, COMMANDS) == []
    assert relay.history.past(PRODUCT) is None
    assert not relay.events
    await relay.stop()


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("told_every", [1, 3, COMMANDS])
async def test_a_lost_database_delays_and_loses_nothing(
    database: Database, database_url: str, told_every: int
) -> None:
    steps = run_of_steps(2)
    own = await Database.connect(database_url, connections_min=1, application_name="relay-under-test")
    relay = Relay(own)
    await relay.start()
    reader = follow(relay, CHANNEL)
    for number, batch in enumerate(batches(steps), start=1):
        await commit(database, batch)
        if number % told_every == 0:
            relay.tell(1, batch)
        if number % 20 == 0:
            async with database.connection() as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'relay-under-test' AND datname = current_database()"
                )
    await wait_until_told(relay, steps[-1])
    assert relay.tape.latest(PRODUCT, COMMANDS)[::-1] == trades_of(steps)
    told = [trade for text in await reader.take() for trade in msgspec.json.decode(text)["trades"]]
    assert len(told) == len(trades_of(steps))
    await relay.stop()
    await own.close()


@pytest.mark.usefixtures("_impatient")
async def test_a_database_that_has_fallen_silent_is_said_to_be_out_of_reach_and_asked_anew(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "ANSWER_S", 0.5)
    steps = run_of_steps(3)
    async with silent_line(database_url, tmp_path) as line:
        own = await Database.connect(line.url)
        relay = Relay(own)
        await relay.start()
        line.mute()
        await commit(database, steps)
        await until(lambda: relay.is_cut_off)
        await wait_until_told(relay, steps[-1])
        await until(lambda: not relay.is_cut_off)
        line.silent.set()
        async with asyncio.timeout(DEADLINE_S):
            await relay.stop()
        own.give_up()


async def test_a_restart_knows_the_past_from_the_trades_and_counts_nothing_twice(database: Database) -> None:
    steps = run_of_steps(4)
    cut = len(steps) // 2
    await store_trades(database, steps[:cut])
    await commit(database, steps[:cut])
    relay = Relay(database)
    await relay.start()
    assert relay.hub.sequences == {1: steps[cut - 1].sequence}
    assert relay.tape.latest(PRODUCT, COMMANDS)[::-1] == trades_of(steps[:cut])
    await commit(database, steps[cut:])
    # Some of it for the second time.
    relay.tell(1, steps[cut - 10 :])
    await wait_until_told(relay, steps[-1])
    expected = trades_of(steps)
    assert relay.tape.latest(PRODUCT, COMMANDS)[::-1] == expected
    day = relay.tape.day(PRODUCT, steps[-1].event_at_us)
    assert day.trades == len(expected)
    assert day.gpu_hours == sum(trade.gpu_hours for trade in expected)
    assert day.notional_fen == sum(trade.gpu_hours * trade.price_ticks for trade in expected)
    prices = [trade.price_ticks for trade in expected]
    assert (day.low_ticks, day.high_ticks) == (min(prices), max(prices))
    a_day_later = relay.tape.day(PRODUCT, steps[-1].event_at_us + 86_400_000_000)
    assert (a_day_later.trades, a_day_later.low_ticks) == (0, 0)
    await relay.stop()


async def store_trades(database: Database, steps: list[Step]) -> None:
    """Put the trades of some steps into the trade table."""
    async with database.transaction() as connection:
        await seed_catalogue(connection)
        buyer = await insert_participant(connection, "buyer", "buyer")
        provider = await insert_participant(connection, "provider", "provider")
        window = {"product_id": PRODUCT, "starts_hour": 1, "ends_hour": 2}
        bid = await insert_order(connection, buyer, side="buy", **window)  # type: ignore[arg-type]  # by name
        ask = await insert_order(connection, provider, side="sell", **window)  # type: ignore[arg-type]  # by name
        for number, trade in enumerate(trades_of(steps), start=1):
            await insert_trade(
                connection,
                TradeFacts(
                    id=number,
                    sequence=trade.sequence,
                    product_id=PRODUCT,
                    bid_order_id=bid,
                    ask_order_id=ask,
                    buyer_id=buyer,
                    provider_id=provider,
                    aggressor=trade.aggressor,
                    quantity_gpus=trade.quantity_gpus,
                    starts_hour=trade.starts_hour,
                    ends_hour=trade.starts_hour + trade.hours,
                    price_ticks=trade.price_ticks,
                    traded_at_us=trade.traded_at_us,
                ),
            )


async def test_an_owner_hears_of_its_own_orders_and_of_nobody_elses(database: Database, relay: Relay) -> None:
    steps = run_of_steps(5)
    owners = {
        event.order.order_id: event.order.participant
        for step in steps
        for event in step.events
        if isinstance(event, OrderAccepted)
    }
    readers = {participant: follow(relay, orders_key(participant)) for participant in set(owners.values())}
    for batch in batches(steps):
        await commit(database, batch)
        relay.tell(1, batch)
    await wait_until_told(relay, steps[-1])
    events = [event for step in steps for event in step.events]
    for participant, reader in readers.items():
        messages = [msgspec.json.decode(text) for text in await reader.take()]
        news = [msgspec.convert(each, OrderNews) for message in messages for each in message["orders"]]
        accepted = {each.order_id for each in news if each.kind == "accepted"}
        assert len(accepted) == sum(owner == participant for owner in owners.values())
        assert {each.order_id for each in news if each.kind != "rejected"} == accepted
        fills = [event for event in events if isinstance(event, Traded)]
        told = sum(each.kind == "traded" for each in news)
        assert told == sum((each.buyer == participant) + (each.seller == participant) for each in fills)


async def test_stopping_tells_what_was_committed_before(database: Database, relay: Relay) -> None:
    steps = run_of_steps(6)
    await commit(database, steps)
    relay.tell(1, steps[:1])
    relay.tell(1, steps[50:])
    await relay.stop()
    assert relay.tape.latest(PRODUCT, COMMANDS)[::-1] == trades_of(steps)


async def test_a_gap_is_filled_from_the_journal(database: Database, relay: Relay) -> None:
    steps = run_of_steps(7)
    reader = follow(relay, CHANNEL)
    await commit(database, steps)
    relay.tell(1, steps[:100])
    relay.tell(1, steps[150:])
    await wait_until_told(relay, steps[-1])
    assert relay.tape.latest(PRODUCT, COMMANDS)[::-1] == trades_of(steps)
    told = [trade for text in await reader.take() for trade in msgspec.json.decode(text)["trades"]]
    assert len(told) == len(trades_of(steps))
    assert reader.closing is None


async def test_a_great_gap_sends_every_reader_for_a_new_snapshot(
    database: Database, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "STEPS_FILLED_MAX", 40)
    steps = run_of_steps(7)
    await commit(database, steps[:100])
    relay.tell(1, steps[:100])
    await wait_until_told(relay, steps[99])
    reader = follow(relay, CHANNEL)
    # Another process led for a while: its trades are in the tables.
    await store_trades(database, steps[:150])
    await commit(database, steps[100:150])
    await commit(database, steps[150:])
    relay.tell(1, steps[150:])
    await wait_until_told(relay, steps[-1])
    assert reader.closing is Closing.MISSED


@pytest.mark.usefixtures("_impatient")
async def test_a_step_told_in_part_sends_every_reader_for_a_new_snapshot(
    database: Database, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = run_of_steps(7)
    reader, faulty = follow(relay, CHANNEL), steps[50]

    def tell(product_id: str, event_at_us: int, *others: Any) -> dict[int, list[OrderNews]]:
        if event_at_us == faulty.event_at_us:
            raise ZeroDivisionError
        return news_by_participant(product_id, event_at_us, *others)

    monkeypatch.setattr(relays, "news_by_participant", tell)
    await store_trades(database, steps[:100])
    await commit(database, steps[:100])
    relay.tell(1, steps[:100])
    await wait_until_told(relay, steps[99])
    assert reader.closing is Closing.MISSED
    await commit(database, steps[100:])
    relay.tell(1, steps[100:])
    await wait_until_told(relay, steps[-1])
    assert relay.tape.latest(PRODUCT, COMMANDS)[::-1] == trades_of(steps)


async def test_a_halted_relay_tells_nothing_more_and_lets_nobody_in(database: Database, relay: Relay) -> None:
    steps = run_of_steps(8)
    await commit(database, steps)
    relay.tell(1, steps[:10])
    await wait_until_told(relay, steps[9])
    reader = follow(relay, CHANNEL)
    relay.halt()
    assert reader.closing is Closing.SHUTDOWN
    late = follow(relay, CHANNEL)
    assert late.closing is Closing.SHUTDOWN
    relay.tell(1, steps[10:])
    await relay.stop()
    assert relay.hub.sequences == {1: steps[9].sequence}


async def test_what_is_told_of_another_journal_is_passed_over(database: Database, relay: Relay) -> None:
    steps = run_of_steps(9)
    await commit(database, steps[:100])
    relay.tell(1, steps[:50])
    relay.tell(1, steps[200:])
    relay.tell(1, steps[50:100])
    await wait_until_told(relay, steps[99])
    assert relay.tape.latest(PRODUCT, COMMANDS)[::-1] == trades_of(steps[:100])


async def test_batches_that_gave_way_are_read_from_the_journal(
    database: Database, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "BATCHES_TOLD_MAX", 5)
    steps = run_of_steps(10)
    await commit(database, steps)
    for batch in batches(steps):
        relay.tell(1, batch)
    assert len(relay._told) == 5
    await wait_until_told(relay, steps[-1])
    assert relay.tape.latest(PRODUCT, COMMANDS)[::-1] == trades_of(steps)
