"""A product's book as a picture in the terminal: heat of the next hours, best orders, last trades. Pure.

Cheap hours are low and green, dear ones high and red, between the cheapest and the dearest hour in sight; so
it can be read without colours, too. An hour that nobody offers is a dot.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from exchange.client import OrderBook
from exchange.feed.book_models import BookOrder
from exchange.feed.models import CalendarHourView, TradeView

DAYS: Final = 3
ORDERS_SHOWN: Final = 8
TRADES_SHOWN: Final = 6
_HOURS_A_DAY: Final = 24
_BARS: Final = "▁▂▃▄▅▆▇█"
_COLOURS: Final = ("green", "green", "green3", "yellow", "yellow", "orange3", "red", "red")
_TIME: Final = slice(5, 16)


def picture(book: OrderBook, trades: Sequence[TradeView]) -> RenderableType:
    """Return the whole picture; `trades` newest first."""
    if not book.first_hour_at:
        return Text(f"{book.product}: waiting for the book", "dim")
    head = Text.assemble(
        (book.product, "bold"), f"  {book.phase}  sequence {book.sequence}  {len(book.orders)} orders"
    )
    if not book.orders:
        return Group(head, Text(), Text("nothing rests in this book", "dim"), Text(), _tape(trades))
    head.append(f"  for sale from {_short(book.first_hour_at)} UTC")
    sides = Table.grid(padding=(0, 4))
    sides.add_row(_orders(book, "sell"), _orders(book, "buy"))
    heat = _heat(book.calendar(DAYS * _HOURS_A_DAY))
    return Group(head, Text(), *heat, Text(), sides, Text(), _tape(trades))


def summary(book: OrderBook) -> dict[str, object]:
    """Return what can be said of a book in one line."""
    return {
        "event": "book",
        "product": book.product,
        "sequence": book.sequence,
        "phase": book.phase,
        "first_hour_at": book.first_hour_at,
        "orders": len(book.orders),
        "best_ask": book.best_ask(),
        "best_bid": book.best_bid(),
    }


def line(book: OrderBook) -> str:
    """Return the same for a pipe."""
    words = [f"{book.sequence}", book.phase, f"{len(book.orders)} orders"]
    for name, order in (("ask", book.best_ask()), ("bid", book.best_bid())):
        words.append(f"{name} none" if order is None else f"{name} {_words(order)}")
    return "  ".join(words)


def trade_line(trade: TradeView) -> str:
    """Return a trade for a pipe."""
    return (
        f"{trade.sequence}  trade  {trade.quantity_gpus} GPUs  {trade.starts_at} to {trade.ends_at}"
        f" at {trade.price_cny_per_gpu_hour}"
    )


def trade_facts(trade: TradeView) -> dict[str, object]:
    """Return a trade as a line of JSON tells it."""
    return {"event": "trade", **msgspec.structs.asdict(trade)}


def bar(price_fen: int, low_fen: int, high_fen: int) -> int:
    """Return which of the eight bars a price between two others has."""
    if high_fen <= low_fen:
        return 0
    return (price_fen - low_fen) * (len(_BARS) - 1) // (high_fen - low_fen)


def _heat(hours: Sequence[CalendarHourView]) -> list[RenderableType]:
    prices = [hour.ask_cny_per_gpu_hour for hour in hours if hour.ask_cny_per_gpu_hour is not None]
    fen = sorted({_fen(price): price for price in prices}.items())
    lines: list[RenderableType] = []
    for first in range(0, len(hours), _HOURS_A_DAY):
        row = Text(f"{_short(hours[first].starts_at)}  ")
        for hour in hours[first : first + _HOURS_A_DAY]:
            if hour.ask_cny_per_gpu_hour is None:
                row.append("· ", "dim")
                continue
            level = bar(_fen(hour.ask_cny_per_gpu_hour), fen[0][0], fen[-1][0])
            row.append(_BARS[level] * 2, _COLOURS[level])
        lines.append(row)
    if fen:
        lines.append(Text(f"cheapest hour {fen[0][1]}, dearest {fen[-1][1]} CNY per GPU-hour", "dim"))
    else:
        lines.append(Text("nothing is offered in these hours", "dim"))
    return lines


def _orders(book: OrderBook, side: str) -> Table:
    sign = 1 if side == "sell" else -1
    best = sorted(
        (order for order in book.orders.values() if order.side == side),
        key=lambda order: (sign * _fen(order.price_cny_per_gpu_hour), order.reference),
    )
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    for name in ("ask" if side == "sell" else "bid", "GPUs", "hours", "from", "to"):
        table.add_column(name, justify="right" if name in {"GPUs", "hours"} else "left", no_wrap=True)
    for order in best[:ORDERS_SHOWN]:
        gpus, hours, starts_at, ends_at = _extent(order)
        table.add_row(order.price_cny_per_gpu_hour, str(gpus), str(hours), _short(starts_at), _short(ends_at))
    return table


def _tape(trades: Sequence[TradeView]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("trade", "GPUs", "from", "to", "at"):
        table.add_column(name, no_wrap=True)
    for trade in trades[:TRADES_SHOWN]:
        table.add_row(
            trade.price_cny_per_gpu_hour,
            str(trade.quantity_gpus),
            _short(trade.starts_at),
            _short(trade.ends_at),
            trade.traded_at,
        )
    return table


def _extent(order: BookOrder) -> tuple[int, int | str, str, str]:
    """Return GPUs, hours (of an ask the least that it sells), and the window that an order is in."""
    if order.free:
        gpus = max(each.gpus for each in order.free)
        return gpus, f"{order.min_hours}+", order.free[0].starts_at, order.free[-1].ends_at
    return order.quantity_gpus or 0, order.hours or 0, order.starts_at or "", order.ends_at or ""


def _words(order: BookOrder) -> str:
    gpus, _, starts_at, ends_at = _extent(order)
    return f"{order.price_cny_per_gpu_hour} for {gpus} GPUs {starts_at} to {ends_at}"


def _short(at: str) -> str:
    return at[_TIME].replace("T", " ")


def _fen(price: str) -> int:
    return int(price.replace(".", ""))
