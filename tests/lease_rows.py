"""Leases put into the tables directly, for tests of what is claimed of them: nothing is held or paid."""

from typing import Final

from exchange.kit.database import Connection
from exchange.kit.ids import new_id
from exchange.products.service import seed_catalogue
from tests.market_rows import TradeFacts, insert_order, insert_trade

STARTS_HOUR: Final = 492_223
"""2026-02-25T07:00:00Z: where the window of every lease here begins."""

_PRODUCT: Final = "nvidia-t4.zhangjiakou.pcie3"


async def insert_lease(connection: Connection, provider_id: int, buyer_id: int, hours: int) -> int:
    """Store a lease of some hours of which none is settled yet, and return its id."""
    await seed_catalogue(connection)
    ends_hour = STARTS_HOUR + hours
    ask_id, bid_id = [
        await insert_order(
            connection, owner, product_id=_PRODUCT, side=side, starts_hour=STARTS_HOUR, ends_hour=ends_hour
        )
        for owner, side in ((provider_id, "sell"), (buyer_id, "buy"))
    ]
    trade = TradeFacts(
        id=new_id(),
        sequence=1,
        product_id=_PRODUCT,
        bid_order_id=bid_id,
        ask_order_id=ask_id,
        buyer_id=buyer_id,
        provider_id=provider_id,
        aggressor="buy",
        quantity_gpus=1,
        starts_hour=STARTS_HOUR,
        ends_hour=ends_hour,
        price_ticks=1_000,
        traded_at_us=STARTS_HOUR * 3_600_000_000 - 1,
    )
    await insert_trade(connection, trade)
    await connection.execute(
        "INSERT INTO lease (id, partition_id, product_id, ask_order_id, buyer_id, provider_id, quantity_gpus,"
        " starts_hour, ends_hour, price_ticks, fee_bps, next_settlement_hour, created_at)"
        " SELECT id, partition_id, product_id, ask_order_id, buyer_id, provider_id, quantity_gpus,"
        " starts_hour, ends_hour, price_ticks, fee_bps, starts_hour, traded_at FROM trade WHERE id = $1",
        trade.id,
    )
    return trade.id


async def settle_hour(connection: Connection, lease_id: int) -> int:
    """Count the next hour of a lease as settled, and return it."""
    settled: int = await connection.fetchval(
        "UPDATE lease SET next_settlement_hour = next_settlement_hour + 1 WHERE id = $1"
        " RETURNING next_settlement_hour - 1",
        lease_id,
    )
    return settled
