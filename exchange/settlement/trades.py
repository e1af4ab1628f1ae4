"""A participant's own trades, listed. Who the other party is, the lease says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.kit.clock import format_rfc3339
from exchange.kit.database import to_us
from exchange.kit.fields import format_cny, format_hour
from exchange.kit.ids import encode_id
from exchange.participants.models import ParticipantKind
from exchange.settlement import store
from exchange.settlement.models import Aggressor
from exchange.settlement.trade_models import OwnTradeView

if TYPE_CHECKING:
    from exchange.kit.auth import Principal
    from exchange.kit.database import Connection, Record
    from exchange.settlement.trade_models import TradeFilter


async def page_of_trades(
    connection: Connection, principal: Principal, wanted: TradeFilter, limit: int
) -> list[OwnTradeView]:
    """Own trades, newest first; another's order has none. Run it in a transaction."""
    side = Aggressor.SELL if principal.kind == ParticipantKind.PROVIDER else Aggressor.BUY
    await store.plan_each_time(connection)
    rows = await store.trades_of_participant(
        connection, principal.participant_id, wanted, limit, is_buyer=side is Aggressor.BUY
    )
    return [_view(row, side) for row in rows]


def _view(row: Record, side: Aggressor) -> OwnTradeView:
    return OwnTradeView(
        id=encode_id("trd", row["id"]),
        lease_id=encode_id("lse", row["id"]),
        order_id=encode_id("ord", row["bid_order_id" if side is Aggressor.BUY else "ask_order_id"]),
        client_order_id=row["client_order_id"],
        product=row["product_id"],
        side=side,
        liquidity="taker" if row["aggressor"] == side else "maker",
        sequence=row["sequence"],
        traded_at=format_rfc3339(to_us(row["traded_at"])),
        quantity_gpus=row["quantity_gpus"],
        starts_at=format_hour(row["starts_hour"]),
        ends_at=format_hour(row["ends_hour"]),
        gpu_hours=row["quantity_gpus"] * (row["ends_hour"] - row["starts_hour"]),
        price_cny_per_gpu_hour=format_cny(row["price_ticks"]),
        amount_cny=format_cny(row["notional_fen"]),
        voucher_cny=format_cny(row["voucher_fen"]),
        reimbursable_cny=format_cny(row["reimbursable_fen"]),
        fee_bps=row["fee_bps"],
    )
