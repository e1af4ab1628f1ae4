"""Goal: whoever follows a market with the client has its book and its trades, through every interruption.

Method: the real client on a served exchange whose connections are cut, and whose deltas are lost on purpose;
what it keeps is compared with what the engine's book is to the public, and with the tape.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
import pytest

from exchange.client import ApiProblem, ExchangeClient, OrderBook
from exchange.feed.book_models import BookDelta, BookSnapshot
from exchange.feed.book_view import BookView
from exchange.feed.hub import AnyDelta, Closing, Reader
from tests.e2e.served import DEADLINE_S, eventually, served
from tests.e2e.stage import PRODUCT, Stage, join_all


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with served(module_database_url, tmp_path_factory.mktemp("client_books")) as house:
        stage = Stage(house, await join_all(house), await join_all(house))
        deposit = {"participant_id": stage.cast.buyer.id, "amount_cny": "100000.00"}
        await house.operator.post("/v1/deposits", deposit)
        yield stage


def public_book(stage: Stage) -> BookSnapshot:
    book = stage.house.exchange.orders.book(PRODUCT)
    return msgspec.json.decode(BookView(1, book).snapshot_text(), type=BookSnapshot)


async def trade(stage: Stage, name: str) -> None:
    """List, buy a part, and withdraw now and then."""
    asked = await stage.cast.provider.post("/v1/orders", stage.order("sell", name, (0, 6)))
    await stage.cast.buyer.post("/v1/orders", stage.order("buy", name, (1, 3), quantity_gpus=1))
    if name.endswith("0"):
        await stage.cast.provider.send("DELETE", f"/v1/orders/{asked['id']}")


def client_of(stage: Stage) -> ExchangeClient:
    """Return a client without a key."""
    return ExchangeClient(str(stage.house.http.base_url))


async def settled(stage: Stage, kept: OrderBook) -> None:
    async def orders() -> bool:
        return kept.is_whole and list(kept.orders.values()) == public_book(stage).orders

    assert await eventually(orders, bool)
    assert kept.checksum() == public_book(stage).checksum


async def test_a_book_is_kept_through_cut_connections_and_lost_deltas(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = stage.house.exchange.relay.hub
    offer, tell = Reader.offer, Reader.tell
    lost: list[int] = []

    def lossy(reader: Reader, key: str, delta: AnyDelta, text: str) -> None:
        if isinstance(delta, BookDelta) and delta.sequence % 5 == 0:
            # The reader takes it for told: what comes next follows it.
            monkeypatch.setattr(Reader, "tell", lambda _reader, _text: lost.append(delta.sequence))
            offer(reader, key, delta, text)
            monkeypatch.setattr(Reader, "tell", tell)
            return
        offer(reader, key, delta, text)

    monkeypatch.setattr(Reader, "offer", lossy)
    async with client_of(stage) as client, aclosing(client.watch_order_book(PRODUCT)) as books:
        kept = await anext(books)

        async def keep() -> None:
            async for each in books:
                assert each is kept
                assert each.is_whole

        keeping = asyncio.create_task(keep())
        # On a busy machine it takes longer to connect again, and one delta has many commits: then more trades
        # are made until enough are lost.
        for number in itertools.takewhile(lambda done: done < 30 or len(lost) <= 5, itertools.count()):
            await trade(stage, f"kept-{number}")
            if number in {9, 19, 29}:
                hub.close_all(Closing.MISSED)
                await asyncio.sleep(0)
        monkeypatch.undo()
        await trade(stage, "last-0")
        await settled(stage, kept)
        assert len(lost) > 5
        assert not keeping.done()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def test_a_book_that_went_wrong_here_is_noticed_and_mended(stage: Stage) -> None:
    await trade(stage, "wrong-1")
    async with client_of(stage) as client, aclosing(client.watch_order_book(PRODUCT)) as books:
        kept = await anext(books)
        kept._lines[min(kept._lines)] = "something else\n"
        async with asyncio.timeout(DEADLINE_S):
            keeping = asyncio.create_task(_drain(books))
            for number in range(40):
                await trade(stage, f"mended-{number}")
            await settled(stage, kept)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def _drain(books: AsyncIterator[OrderBook]) -> None:
    async for _ in books:
        pass


async def test_a_book_is_fetched_whole(stage: Stage) -> None:
    await trade(stage, "fetched-1")
    async with client_of(stage) as client:
        fetched = await client.fetch_order_book(PRODUCT)
        assert list(fetched.orders.values()) == public_book(stage).orders
        ask = fetched.best_ask()
        assert ask is not None
        assert ask.price_cny_per_gpu_hour == "4.20"
        assert fetched.calendar(2)[0].free_gpus == sum(
            each.gpus for order in fetched.orders.values() for each in (order.free or [])[:1]
        )
        with pytest.raises(ApiProblem) as refused:
            await client.fetch_order_book("nothing")
        assert refused.value.problem.errors[0].code == "unknown_product"


async def test_trades_are_told_once_and_in_order_through_cut_connections(stage: Stage) -> None:
    hub = stage.house.exchange.relay.hub
    told: list[tuple[int, int]] = []
    async with client_of(stage) as client, aclosing(client.watch_trades(PRODUCT)) as batches:

        async def keep() -> None:
            async for batch in batches:
                told.extend((each.sequence, each.number) for each in batch)

        keeping = asyncio.create_task(keep())
        for number in range(12):
            await trade(stage, f"told-{number}")
            if number % 4 == 3:
                hub.close_all(Closing.MISSED)
        tape = json.loads((await stage.house.http.get(f"/v1/market/{PRODUCT}/trades")).text)["data"]
        newest = (tape[0]["sequence"], tape[0]["number"])

        async def last() -> tuple[int, int]:
            return told[-1] if told else (0, 0)

        await eventually(last, lambda found: found >= newest)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    assert told == sorted(set(told))
    assert set(told) >= {(each["sequence"], each["number"]) for each in tape[:12]}
