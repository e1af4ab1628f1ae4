"""Goal: chunks of a batch are stored beside the matching of the next, and committed together or not at all.

Method: chunks of one request, whose sending is held by hand; each test of a market ends with the ledger's
check and the fold of the journal (see `open_market`).
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from exchange.kit.bundle import Bundle
from exchange.kit.database import Database
from exchange.kit.errors import Faults, Unavailable
from exchange.orders import chunks
from exchange.orders.batch import Batch
from exchange.orders.chunks import Storing
from exchange.orders.models import PlacedOrder, PlaceRequest, Request
from exchange.orders.outcomes import Outcome
from exchange.participants.models import ParticipantKind
from matching.order import Side
from tests.market_world import open_market, sequencers

DEADLINE_S = 60.0


@pytest.fixture(autouse=True)
def chunks_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_REQUESTS", 1)


async def test_a_chunk_is_matched_while_the_one_before_is_stored(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_market(database_url, tmp_path) as world:
        provider = await world.join(ParticipantKind.PROVIDER)
        run, send = Batch.run, Storing._send
        matched: list[Request] = []
        is_beside = asyncio.Event()

        def noted(batch: Batch, request: Request) -> Outcome:
            matched.append(request)
            if len(matched) > 1:
                is_beside.set()
            return run(batch, request)

        async def held(storing: Storing, *args: Any) -> None:
            await is_beside.wait()  # for ever, where nothing is matched meanwhile
            await send(storing, *args)

        monkeypatch.setattr(Batch, "run", noted)
        monkeypatch.setattr(Storing, "_send", held)
        asks = [(world.order(Side.SELL, world.product()), Faults()) for _ in range(3)]
        async with asyncio.timeout(DEADLINE_S):
            placed = await world.exchange.orders.place_all(provider, asks)
        assert all(isinstance(each, PlacedOrder) for each in placed)
        assert len(matched) == 3


async def test_what_fails_beside_a_chunk_that_is_on_its_way_undoes_it_too(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_market(database_url, tmp_path) as world:
        provider, buyer = await world.traders(10**9)
        product = world.product()
        await world.ask(provider, product)
        [sequencer] = sequencers(world.exchange).values()
        run, send = Batch.run, Storing._send
        sent: list[str] = []

        def fails(batch: Batch, request: Request) -> Outcome:
            if isinstance(request, PlaceRequest) and request.client_order_id == "fails":
                raise RuntimeError("a fault of the core")
            return run(batch, request)

        async def slow(storing: Storing, *args: Any) -> None:
            sent.append("begun")
            await storing._connection.execute("SELECT pg_sleep(0.2)")
            await send(storing, *args)
            sent.append("done")

        monkeypatch.setattr(Batch, "run", fails)
        monkeypatch.setattr(Storing, "_send", slow)
        names = ("trades", "fails", "rests")
        bids = [(world.order(Side.BUY, product, client_order_id=name), Faults()) for name in names]
        async with asyncio.timeout(DEADLINE_S):
            trades, refused, rests = await world.exchange.orders.place_all(buyer, bids)
        assert sent == ["begun", *["begun", "done"] * 2], "the first was ended, the others went one by one"
        assert isinstance(trades, PlacedOrder)
        assert isinstance(rests, PlacedOrder)
        assert (trades.view.filled_gpus, rests.view.filled_gpus) == (1, 0)
        assert isinstance(refused, Unavailable)
        assert refused.outcome == "not_applied"
        assert sequencer.meters.failures["batch"] == 2


async def test_a_statement_that_was_on_its_way_never_outlives_its_block(database: Database) -> None:
    async with database.connection() as connection:
        slow = Bundle()
        await slow.execute("SELECT pg_sleep(60)")
        storing = Storing(connection)
        with pytest.raises(RuntimeError, match="beside it"):
            async with asyncio.timeout(DEADLINE_S / 2), storing:
                storing._task = asyncio.create_task(storing._send([slow], 1))
                await asyncio.sleep(0)
                raise RuntimeError("beside it")
        assert await connection.fetchval("SELECT 1") == 1, "nothing is under way on it"
