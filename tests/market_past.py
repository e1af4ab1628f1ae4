"""A market with a past to ask about over HTTP: who trades, what the trade table has, and every address."""

from typing import Any, Final, cast

import httpx

from exchange.api import create_app
from exchange.app import Exchange
from exchange.kit.database import to_us
from exchange.kit.fields import format_hour
from exchange.participants.models import ParticipantKind
from tests.integration.fleets import eventually
from tests.market_world import MarketWorld
from tests.plain_history import PlainTrade

PATHS: Final = (
    "",
    "/calendar",
    "/indices",
    "/indices/foreign",
    "/indices/domestic?interval=1d",
    "/{product}/calendar",
    "/{product}/candles",
    "/{product}/candles?by=delivery_hour&interval=1d",
    "/{product}/trades",
    "/{product}/ticker",
    "/{product}/depth?{window}",
)


def client_of(exchange: Exchange) -> httpx.AsyncClient:
    """Return a client of a process; nothing to close."""
    transport = httpx.ASGITransport(cast("Any", create_app(exchange)))
    return httpx.AsyncClient(transport=transport, base_url="http://exchange")


def addresses(world: MarketWorld) -> list[str]:
    """Return every address of market data."""
    first = world.first_hour
    window = f"starts_at={format_hour(first)}&ends_at={format_hour(first + 3)}"
    return ["/v1/market" + path.format(product=world.product(), window=window) for path in PATHS]


async def trade_a_while(world: MarketWorld, hours: int = 3) -> None:
    """Let two providers and two buyers trade for some hours, and some asks and bids rest."""
    product = world.product()
    providers = [await world.join(ParticipantKind.PROVIDER) for _ in range(2)]
    buyers = [await world.join(ParticipantKind.BUYER) for _ in range(2)]
    for buyer in buyers:
        await world.deposit(buyer, 10**8)
    for hour in range(hours):
        for number, (provider, buyer) in enumerate(zip(providers, buyers, strict=True)):
            price = 450 + 10 * hour + number
            await world.ask(provider, product, price=price, quantity_gpus=2, window=(number, 30))
            await world.bid(buyer, product, price=600, quantity_gpus=2, window=(number, 8 + number))
        await world.bid(buyers[0], product, price=300, quantity_gpus=1, window=(0, 2))
        if hour < hours - 1:
            await world.pass_hours(1)
    await relayed(world.exchange, product, 2 * hours)


async def relayed(exchange: Exchange, product: str, trades: int) -> None:
    await eventually(lambda: len(exchange.relay.tape.latest(product, 1000)) >= trades)


async def traded(world: MarketWorld, product: str) -> list[PlainTrade]:
    """Return a product's trades, from the table."""
    async with world.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT * FROM trade WHERE product_id = $1 ORDER BY sequence, id", product
        )
    return [
        PlainTrade(
            product=product,
            traded_at_us=to_us(row["traded_at"]),
            price_fen=row["price_ticks"],
            gpus=row["quantity_gpus"],
            starts_hour=row["starts_hour"],
            hours=row["ends_hour"] - row["starts_hour"],
            buyer=row["buyer_id"],
            provider=row["provider_id"],
        )
        for row in rows
    ]


async def read(client: httpx.AsyncClient, address: str, **query: Any) -> Any:
    answer = await client.get(address, params=query or None)
    assert answer.status_code == 200, answer.text
    return answer.json()
