"""How a book that was rebuilt is shown. Pure."""

from collections.abc import Mapping, Sequence

from exchange.kit.fields import format_cny, format_hour
from exchange.kit.ids import encode_id
from exchange.oversight.book_models import BookColumn, BookOrder, BookSide, FreeRun
from matching.book import OrderBook
from matching.depth import CalendarHour, calendar
from matching.live import LiveOrder, capacity, is_ask
from matching.units import HORIZON_HOURS


def resting(book: OrderBook, side: BookSide | None) -> list[LiveOrder]:
    """Return the resting orders of one side or of both, asks before bids, best first."""
    orders: list[LiveOrder] = []
    if side is not BookSide.BIDS:
        orders.extend(book.asks)
    if side is not BookSide.ASKS:
        orders.extend(book.bids)
    return orders


def columns(book: OrderBook, count: int) -> list[BookColumn]:
    """Return the book's first hours as columns of a picture; none of a book that was never used."""
    if not book.hour or not count:
        return []
    return [_column(hour) for hour in calendar(book, book.hour, book.hour + min(count, HORIZON_HOURS))]


def _column(hour: CalendarHour) -> BookColumn:
    return BookColumn(
        starts_at=format_hour(hour.hour),
        ask_cny_per_gpu_hour=price_text(hour.ask_price_ticks),
        bid_cny_per_gpu_hour=price_text(hour.bid_price_ticks),
        free_gpus=hour.free_gpus,
    )


def price_text(price_ticks: int) -> str | None:
    """Show a price; 0 is none."""
    return format_cny(price_ticks) if price_ticks else None


def book_orders(
    orders: Sequence[LiveOrder], names: Mapping[int, str], client_ids: Mapping[int, str]
) -> list[BookOrder]:
    """Show resting orders, with what their owners and they themselves are called."""
    return [
        _book_order(each, names.get(each.participant, ""), client_ids.get(each.order_id, ""))
        for each in orders
    ]


def _book_order(order: LiveOrder, name: str, client_order_id: str) -> BookOrder:
    group = order.order.trade_group
    return BookOrder(
        order_id=encode_id("ord", order.order_id),
        client_order_id=client_order_id,
        side="sell" if is_ask(order) else "buy",
        participant_id=encode_id("par", order.participant),
        participant_name=name,
        trade_group_id=encode_id("grp", group) if group else None,
        sequence=order.sequence,
        price_cny_per_gpu_hour=format_cny(order.price_ticks),
        quantity_gpus=order.quantity_gpus,
        remaining_gpus=order.remaining_gpus,
        remaining_gpu_hours=order.remaining_gpu_hours,
        hours=order.ends_hour - order.starts_hour if is_ask(order) else order.hours,
        starts_at=format_hour(order.starts_hour),
        ends_at=format_hour(order.ends_hour),
        time_in_force=order.order.time_in_force,
        free=_free(order),
    )


def _free(order: LiveOrder) -> list[FreeRun]:
    if not is_ask(order):
        return []
    profile = capacity(order)
    return [
        FreeRun(starts_at=format_hour(starts), ends_at=format_hour(ends), free_gpus=gpus)
        for starts, ends, gpus in zip(profile.edges, profile.edges[1:], profile.free, strict=False)
        if gpus
    ]
