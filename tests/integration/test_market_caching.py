"""Goal: market data that a caller has is not sent again, and is the same everywhere and after a restart.

Method: a whole exchange asked over HTTP for every address of market data; the entity tags, which are made of
the answers' bytes, are compared before and after, and with those of other processes.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from exchange.feed.history_service import HistoryService
from exchange.kit.errors import Faults
from exchange.kit.http_coding import COMPRESSED_FROM_BYTES
from tests.integration.fleets import Fleet, eventually
from tests.market_past import addresses, client_of, relayed, trade_a_while
from tests.market_world import MarketWorld, open_market


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[MarketWorld]:
    async with open_market(database_url, tmp_path) as opened:
        yield opened


@pytest.fixture
def client(world: MarketWorld) -> httpx.AsyncClient:
    return client_of(world.exchange)


async def test_what_is_known_is_not_sent_again(world: MarketWorld, client: httpx.AsyncClient) -> None:
    await trade_a_while(world)
    tags = {}
    for address in addresses(world):
        answer = await client.get(address)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "public, no-cache"
        tags[address] = tag = answer.headers["etag"]
        assert (await client.get(address)).headers["etag"] == tag
        for known in (tag, f'"other", W/{tag}', "*"):
            unchanged = await client.get(address, headers={"If-None-Match": known})
            assert (unchanged.status_code, unchanged.content) == (304, b"")
            assert unchanged.headers["etag"] == tag
            assert unchanged.headers["cache-control"] == "public, no-cache"
            assert "x-request-id" in unchanged.headers
        again = await client.get(address, headers={"If-None-Match": '"other"'})
        assert (again.status_code, again.content) == (200, answer.content)
    assert len(set(tags.values())) == len(tags)
    await trade_a_while(world, hours=1)
    for address, tag in tags.items():
        if "indices" not in address:  # an index waits for the hour to be over
            changed = await client.get(address, headers={"If-None-Match": tag})
            assert (changed.status_code, changed.headers["etag"] != tag) == (200, True), address


async def test_a_coding_has_a_tag_of_its_own(world: MarketWorld, client: httpx.AsyncClient) -> None:
    await trade_a_while(world)
    shares = []
    for address in addresses(world):
        answers = {}
        for accepted in ("gzip", "identity"):
            answers[accepted] = await client.get(address, headers={"Accept-Encoding": accepted})
            assert answers[accepted].headers["vary"] == "Accept-Encoding"
        small, plain = answers["gzip"], answers["identity"]
        assert small.content == plain.content
        is_long = len(plain.content) >= COMPRESSED_FROM_BYTES
        if is_long:
            shares.append(int(small.headers["content-length"]) / len(plain.content))
        assert small.headers.get("content-encoding") == ("gzip" if is_long else None)
        assert (small.headers["etag"] != plain.headers["etag"]) == is_long
    assert shares
    assert max(shares) < 0.2


async def test_what_is_private_or_refused_is_kept_by_nobody(
    client: httpx.AsyncClient,
) -> None:
    for address in (
        "/v1/market/no-such.product.here/candles",
        "/v1/market/indices/no-such-index",
        "/v1/market/calendar?starts_at=soon",
        "/v1/orders",
        "/v1/accounts",
    ):
        refused = await client.get(address, headers={"If-None-Match": "*"})
        assert refused.status_code in {401, 404, 422}
        assert refused.headers["cache-control"] == "no-store"
        assert "etag" not in refused.headers


async def test_a_restart_answers_the_same(database_url: str, tmp_path: Path) -> None:
    answers = []
    async with open_market(database_url, tmp_path) as world:
        await trade_a_while(world)
        await world.pass_hours(1)
        now_us, expected = world.clock.now_us(), addresses(world)
        client = client_of(world.exchange)
        answers.append([(await client.get(address)).headers["etag"] for address in expected])
    async with open_market(database_url, tmp_path, now_us) as world:
        client = client_of(world.exchange)
        assert addresses(world) == expected
        answers.append([(await client.get(address)).headers["etag"] for address in expected])
    assert answers[0] == answers[1]


async def test_gateways_answer_the_same(database_url: str, redis_url: str, tmp_path: Path) -> None:
    fleet = Fleet(database_url, redis_url, tmp_path)
    async with fleet.engine() as engine, fleet.market() as world, fleet.market() as other:
        await trade_a_while(world, hours=1)
        gateways = (world.exchange, other.exchange)
        product = world.product()
        for gateway in gateways:
            await relayed(gateway, product, 2)
        await eventually(lambda: len({each.orders.states()[1].sequence for each in (engine, *gateways)}) == 1)
        tags = [
            [(await client_of(gateway).get(address)).headers["etag"] for address in addresses(world)]
            for gateway in gateways
        ]
        assert tags[0] == tags[1]
        candles = [
            HistoryService(products=each.products, history=each.relay.history, clock=each.clock).candles(
                product, "1h", "delivery_hour", None, None, Faults()
            )
            for each in gateways
        ]
        assert candles[0] == candles[1]
        assert candles[0].data


async def test_readers_of_the_calendar_at_once_are_told_the_same(
    world: MarketWorld, client: httpx.AsyncClient
) -> None:
    await trade_a_while(world)
    answers = await asyncio.gather(*(client.get("/v1/market/calendar") for _ in range(8)))
    assert len({answer.headers["etag"] for answer in answers}) == 1
