"""From rows, books and trades to what is told. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from exchange.feed.models import (
    CalendarHourView,
    DepthLevelView,
    OwnOrder,
    TapeTrade,
    TradeView,
)
from exchange.kit.clock import format_rfc3339
from exchange.kit.fields import format_cny, format_hour
from exchange.kit.ids import encode_id
from matching.depth import CalendarHour, DepthLevel
from matching.events import Event, Traded
from matching.order import Side


def price_text(price_ticks: int) -> str | None:
    """Return a price as text; 0 stands for none."""
    return format_cny(price_ticks) if price_ticks else None


def percent_text(change: int, base: int) -> str:
    """Return a change as per cent of a base above zero, with two decimals, half away from zero."""
    hundredths = (abs(change) * 20_000 + base) // (2 * base)
    return format_cny(-hundredths if change < 0 else hundredths)


def tape_trades(partition_id: int, event_at_us: int, events: Sequence[Event]) -> list[TapeTrade]:
    """Return the trades among the events of one command, in order."""
    traded = [event for event in events if isinstance(event, Traded)]
    return [
        TapeTrade(
            partition_id=partition_id,
            sequence=event.sequence,
            number=number,
            traded_at_us=event_at_us,
            price_ticks=event.price_ticks,
            quantity_gpus=event.quantity_gpus,
            starts_hour=event.starts_hour,
            hours=event.hours,
            aggressor="buy" if event.taker_order_id == event.bid_order_id else "sell",
        )
        for number, event in enumerate(traded, start=1)
    ]


def trade_view(trade: TapeTrade) -> TradeView:
    """Show a trade to the public."""
    return TradeView(
        sequence=trade.sequence,
        number=trade.number,
        traded_at=format_rfc3339(trade.traded_at_us),
        price_cny_per_gpu_hour=format_cny(trade.price_ticks),
        quantity_gpus=trade.quantity_gpus,
        starts_at=format_hour(trade.starts_hour),
        ends_at=format_hour(trade.starts_hour + trade.hours),
        gpu_hours=trade.gpu_hours,
        aggressor=trade.aggressor,
    )


def calendar_hour_view(hour: CalendarHour) -> CalendarHourView:
    """Show one delivery hour."""
    return CalendarHourView(
        starts_at=format_hour(hour.hour),
        ask_cny_per_gpu_hour=price_text(hour.ask_price_ticks),
        bid_cny_per_gpu_hour=price_text(hour.bid_price_ticks),
        free_gpus=hour.free_gpus,
    )


def depth_level_views(levels: Iterable[DepthLevel], hours: int) -> list[DepthLevelView]:
    """Show price levels, cheapest first, each with the sum so far over the run's hours."""
    views = []
    gpus = fen = 0
    for level in levels:
        gpus += level.quantity_gpus
        fen += level.quantity_gpus * level.price_ticks * hours
        views.append(
            DepthLevelView(
                price_cny_per_gpu_hour=format_cny(level.price_ticks),
                quantity_gpus=level.quantity_gpus,
                cumulative_gpus=gpus,
                cumulative_cny=format_cny(fen),
            )
        )
    return views


def own_order(row: Mapping[str, Any]) -> OwnOrder:
    """Show a live order to its owner."""
    return OwnOrder(
        order_id=encode_id("ord", row["id"]),
        client_order_id=row["client_order_id"],
        product=row["product_id"],
        side=row["side"],
        status=row["status"],
        quantity_gpus=row["quantity_gpus"],
        starts_at=format_hour(row["starts_hour"]),
        ends_at=format_hour(row["ends_hour"]),
        hours=row["hours"],
        price_cny_per_gpu_hour=format_cny(row["price_ticks"]),
        filled_gpus=row["filled_gpus"] if row["side"] == Side.BUY else None,
        filled_gpu_hours=row["filled_gpu_hours"],
    )
