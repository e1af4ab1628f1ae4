"""Trades put into the tables directly, for tests of those who only read them.

What stands here is what the tables' own checks let through; nothing is held, paid or delivered.
"""

import random

import msgspec

from exchange.kit.clock import US_PER_DAY, datetime_of
from exchange.kit.database import Connection
from exchange.kit.ids import encode_id, new_id
from exchange.products.service import seed_catalogue


class TradeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `trade`, with what a filter can ask about it."""

    id: int
    partition_id: int = 1
    sequence: int
    product_id: str
    bid_order_id: int
    ask_order_id: int
    buyer_id: int
    provider_id: int
    aggressor: str
    quantity_gpus: int
    starts_hour: int
    ends_hour: int
    price_ticks: int
    voucher_fen: int = 0
    programme_id: int | None = None
    traded_at_us: int

    @property
    def notional_fen(self) -> int:
        """Price of the whole trade."""
        return self.price_ticks * self.quantity_gpus * (self.ends_hour - self.starts_hour)


class Market(msgspec.Struct, kw_only=True):
    """Who and what there is: participants with their groups, programmes and trades."""

    groups: dict[int, int | None]
    regions: dict[int, str]
    buyers: list[int]
    providers: list[int]
    trade_groups: list[int]
    programmes: list[int]
    products: list[str]
    trades: list[TradeFacts]


async def insert_participant(
    connection: Connection,
    kind: str,
    name: str,
    trade_group_id: int | None = None,
    *,
    region: str = "guizhou",
    size_class: str = "small",
) -> int:
    """Register a provider or a buyer (or one without such facts) and return its id."""
    participant_id = new_id()
    is_provider, is_buyer = kind == "provider", kind == "buyer"
    await connection.execute(
        "INSERT INTO participant (id, kind, name, trade_group_id, region, ownership, size_class, founded_on,"
        " created_at, name_key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now(), $3)",
        participant_id,
        kind,
        name,
        trade_group_id,
        region if is_provider or is_buyer else None,
        "state" if is_provider else None,
        size_class if is_buyer else None,
        datetime_of(1_700_000_000_000_000).date() if is_buyer else None,
    )
    return participant_id


async def insert_order(
    connection: Connection,
    participant_id: int,
    *,
    product_id: str,
    side: str,
    starts_hour: int,
    ends_hour: int,
    client_order_id: str = "",
    status: str = "filled",
    quantity_gpus: int = 8,
) -> int:
    """Store an order and return its id."""
    order_id = new_id()
    await connection.execute(
        "INSERT INTO orders (id, partition_id, sequence, participant_id, key_id, client_order_id,"
        " fingerprint, product_id, side, quantity_gpus, starts_hour, ends_hour, hours, price_ticks, terms,"
        " status, created_at, updated_at)"
        " VALUES ($1, 1, 1, $2, 1, $3, '', $4, $5, $6, $7, $8, $9, 1000, '{}', $10,"
        " '2026-01-01T00:00:00Z', now())",
        order_id,
        participant_id,
        client_order_id or encode_id("ord", order_id),
        product_id,
        side,
        quantity_gpus,
        starts_hour,
        ends_hour,
        ends_hour - starts_hour,
        status,
    )
    return order_id


async def insert_trade(connection: Connection, trade: TradeFacts) -> None:
    """Store a trade."""
    await connection.execute(
        "INSERT INTO trade VALUES"
        " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, 50, $18)",
        trade.id,
        trade.partition_id,
        trade.sequence,
        trade.product_id,
        trade.bid_order_id,
        trade.ask_order_id,
        trade.buyer_id,
        trade.provider_id,
        trade.aggressor,
        trade.quantity_gpus,
        trade.starts_hour,
        trade.ends_hour,
        trade.price_ticks,
        trade.notional_fen,
        trade.voucher_fen,
        0,
        [] if trade.programme_id is None else [trade.programme_id],
        datetime_of(trade.traded_at_us),
    )


async def insert_programme(connection: Connection, issuer_id: int, code: str) -> int:
    """Store an open programme without money and return its id."""
    programme_id = new_id()
    asset = encode_id("prg", programme_id)
    await connection.execute("INSERT INTO asset VALUES ($1, now())", asset)
    await connection.execute(
        "INSERT INTO programme (id, issuer_id, code, name, asset, status, budget_fen, created_at)"
        " VALUES ($1, $2, $3, $3, $4, 'open', 1, now())",
        programme_id,
        issuer_id,
        code,
        asset,
    )
    return programme_id


async def fill_market(
    connection: Connection, *, trades: int, seed: int, starts_at_us: int, names: tuple[str, ...] = ()
) -> Market:
    """Put a small random market into an empty database; `names` are given to the first buyers."""
    rng = random.Random(seed)
    await seed_catalogue(connection)
    groups: list[int] = [new_id(), new_id()]
    for number, group_id in enumerate(groups):
        await connection.execute(
            "INSERT INTO trade_group VALUES ($1, $2, now(), $2)", group_id, f"group {number}"
        )
    issuer = await insert_participant(connection, "issuer", "issuer")
    programmes = [await insert_programme(connection, issuer, f"programme-{number}") for number in range(2)]
    market = Market(
        groups={},
        regions={},
        buyers=[],
        providers=[],
        trade_groups=groups,
        programmes=programmes,
        products=[],
        trades=[],
    )
    for number in range(4):
        for kind, ids in (("buyer", market.buyers), ("provider", market.providers)):
            name = names[number] if kind == "buyer" and number < len(names) else f"{kind} {number}"
            member_of = rng.choice([None, *groups])
            # The region follows from the number, so that the other draws stay what they were.
            region = "guizhou" if number % 2 == 0 else "ningxia"
            ids.append(await insert_participant(connection, kind, name, member_of, region=region))
            market.groups[ids[-1]], market.regions[ids[-1]] = member_of, region
    rows = await connection.fetch("SELECT id FROM product ORDER BY id")
    market.products = rng.sample([row["id"] for row in rows], 6)
    traded_at_us = starts_at_us
    for sequence in range(1, trades + 1):
        # Every third trade comes at the same microsecond as the one before it, as in one command.
        traded_at_us += 0 if sequence % 3 == 0 else rng.randrange(1, US_PER_DAY // 24)
        market.trades.append(await _random_trade(connection, market, rng, sequence, traded_at_us))
    return market


async def _random_trade(
    connection: Connection, market: Market, rng: random.Random, sequence: int, traded_at_us: int
) -> TradeFacts:
    buyer, provider = rng.choice(market.buyers), rng.choice(market.providers)
    product_id = rng.choice(market.products)
    starts_hour = traded_at_us // 3_600_000_000 + rng.randrange(1, 50)
    ends_hour = starts_hour + rng.randrange(1, 25)
    window = {"product_id": product_id, "starts_hour": starts_hour, "ends_hour": ends_hour}
    bid = await insert_order(connection, buyer, side="buy", **window)  # type: ignore[arg-type]  # by name
    ask = await insert_order(connection, provider, side="sell", **window)  # type: ignore[arg-type]  # by name
    is_funded = rng.random() < 0.5
    trade = TradeFacts(
        id=new_id(),
        sequence=sequence,
        bid_order_id=bid,
        ask_order_id=ask,
        buyer_id=buyer,
        provider_id=provider,
        aggressor=rng.choice(["buy", "sell"]),
        quantity_gpus=8 * rng.randrange(1, 4),
        price_ticks=rng.randrange(900, 1100),
        voucher_fen=rng.randrange(1, 900) if is_funded else 0,
        programme_id=rng.choice(market.programmes) if is_funded else None,
        traded_at_us=traded_at_us,
        **window,  # type: ignore[arg-type]  # by name
    )
    await insert_trade(connection, trade)
    return trade
