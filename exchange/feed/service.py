"""Market data: questions about the present are answered from the books and the tape in memory.

Known limit: a book is read as it stands between two commands, which can be the few milliseconds of a commit
ahead of what is committed; a gateway's is as much behind. Trades, the tape and the stream tell only what was
committed.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from exchange.feed import rules
from exchange.feed.models import (
    CalendarView,
    DepthView,
    MarketView,
    SummaryView,
    TapeView,
    TickerView,
)
from exchange.feed.tape import Tape
from exchange.kit.clock import Clock, format_rfc3339
from exchange.kit.errors import Faults, NotFound
from exchange.kit.fields import Readable, format_cny, format_hour, whole_hour
from exchange.orders.rules import average_price
from exchange.orders.service import OrderService
from exchange.products.models import ProductSpec
from matching.book import OrderBook
from matching.depth import CalendarHour, best_start, calendar, depth

CALENDAR_HOURS_DEFAULT: Final = 7 * 24
TICKER_HOURS: Final = 24
QUANTITY_GPUS_MAX: Final = 1_000_000


class _NextHours(msgspec.Struct, frozen=True):
    """A book's next hours, as of one state of it."""

    book: OrderBook
    sequence: int
    hour: int
    hours: tuple[CalendarHour, ...]


class MarketService:
    """Answers about all products."""

    def __init__(self, *, orders: OrderService, tape: Tape, clock: Clock) -> None:
        self._orders = orders
        self._tape = tape
        self._clock = clock
        self._next_hours: dict[str, _NextHours] = {}

    @property
    def products(self) -> Mapping[str, ProductSpec]:
        """Every listed product."""
        return self._orders.products

    def calendar(
        self, product_id: str, starts_at: Readable, ends_at: Readable, faults: Faults
    ) -> CalendarView:
        """Return prices hour by hour, by default of the next seven days.

        Raises `NotFound`, and `InvalidInput` with every fault, also those that were found before.
        """
        product, book = self.book(product_id)
        starts_hour, ends_hour = _window(product, book, starts_at, ends_at, faults)
        faults.raise_if_any()
        return CalendarView(
            product=product_id,
            sequence=book.sequence,
            starts_at=format_hour(starts_hour),
            ends_at=format_hour(ends_hour),
            hours=[rules.calendar_hour_view(hour) for hour in calendar(book, starts_hour, ends_hour)],
        )

    def depth(
        self,
        product_id: str,
        starts_at: Readable,
        ends_at: Readable,
        hours: int | msgspec.UnsetType | None,
        quantity_gpus: int | msgspec.UnsetType | None,
        faults: Faults,
    ) -> DepthView:
        """Return what a bid would fill now: for the whole window, or the cheapest run of `hours` inside it.

        Without a quantity everything that can be had is listed. Raises as `calendar`.
        """
        product, book = self.book(product_id)
        if quantity_gpus and quantity_gpus % product.lot_gpus:
            detail = f"must be a multiple of the lot, {product.lot_gpus}"
            faults.add("?quantity_gpus", "not_a_lot_multiple", detail, quantity_gpus)
        starts_hour, ends_hour = _window(product, book, starts_at, ends_at, faults)
        run_hours = hours or ends_hour - starts_hour
        if "?ends_at" not in faults and run_hours > ends_hour - starts_hour:
            faults.add("?hours", "longer_than_window", "must fit between starts_at and ends_at", hours)
        faults.raise_if_any()
        wanted_gpus = quantity_gpus or QUANTITY_GPUS_MAX
        best = best_start(book, starts_hour, ends_hour, run_hours, wanted_gpus)
        run_starts_hour = starts_hour if best is None else best.starts_hour
        levels = depth(book, run_starts_hour, run_hours, wanted_gpus)
        filled_gpus = sum(level.quantity_gpus for level in levels)
        per_hour_fen = sum(level.quantity_gpus * level.price_ticks for level in levels)
        return DepthView(
            product=product_id,
            sequence=book.sequence,
            starts_at=format_hour(run_starts_hour),
            ends_at=format_hour(run_starts_hour + run_hours),
            hours=run_hours,
            filled_gpus=filled_gpus,
            average_price_cny_per_gpu_hour=average_price(per_hour_fen, filled_gpus),
            notional_cny=format_cny(per_hour_fen * run_hours),
            levels=rules.depth_level_views(levels, run_hours),
        )

    def tape(self, product_id: str, limit: int) -> TapeView:
        """Return the latest trades, newest first; raises `NotFound`."""
        self._product(product_id)
        trades = self._tape.latest(product_id, limit)
        return TapeView(product=product_id, data=[rules.trade_view(trade) for trade in trades])

    def ticker(self, product_id: str) -> TickerView:
        """Return a product's market with its next hours; raises `NotFound`."""
        product, book = self.book(product_id)
        hours = [rules.calendar_hour_view(hour) for hour in self._hours(product_id, book)]
        return TickerView(**msgspec.structs.asdict(self._summary(product, book)), next_hours=hours)

    def summary(self) -> MarketView:
        """Return every product that has live orders or trades on the tape, by id."""
        found = []
        for product_id in sorted(self.products):
            product, book = self.book(product_id)
            if book.orders or self._tape.latest(product_id, 1):
                found.append(self._summary(product, book))
        return MarketView(data=found)

    def _product(self, product_id: str) -> ProductSpec:
        product = self.products.get(product_id)
        if product is None:
            raise NotFound(detail="there is no product of this id; GET /v1/products lists them")
        return product

    def book(self, product_id: str) -> tuple[ProductSpec, OrderBook]:
        """Return a product and its book, to read and not to keep; raises `NotFound`, `Unavailable`."""
        product = self._product(product_id)
        book = self._orders.book(product_id)
        first_hour = self._clock.hour() + 1
        if book.orders or book.hour >= first_hour:
            return product, book
        # Hours fall off an empty book only when it is used next; what it has to say is known without it.
        empty = OrderBook(product.book_product(), first_hour)
        empty.phase, empty.sequence = book.phase, book.sequence
        return product, empty

    def _hours(self, product_id: str, book: OrderBook) -> tuple[CalendarHour, ...]:
        """Return the book's next hours; made anew only when the book has changed."""
        known = self._next_hours.get(product_id)
        is_same = known is not None and known.book is book and known.hour == book.hour
        if known is None or not is_same or known.sequence != book.sequence:
            hours = calendar(book, book.hour, book.hour + TICKER_HOURS)
            known = self._next_hours[product_id] = _NextHours(book, book.sequence, book.hour, hours)
        return known.hours

    def _summary(self, product: ProductSpec, book: OrderBook) -> SummaryView:
        last = next(iter(self._tape.latest(product.id, 1)), None)
        day = self._tape.day(product.id, self._clock.now_us())
        hours = self._hours(product.id, book)
        asks = [hour.ask_price_ticks for hour in hours if hour.ask_price_ticks]
        change = last.price_ticks - day.open_ticks if last is not None and day.trades else None
        return SummaryView(
            product=product.id,
            accelerator=product.accelerator_id,
            origin=product.origin,
            hub=product.hub_code,
            phase=book.phase,
            last_price_cny_per_gpu_hour=None if last is None else format_cny(last.price_ticks),
            last_traded_at=None if last is None else format_rfc3339(last.traded_at_us),
            best_ask_cny_per_gpu_hour=rules.price_text(min(asks, default=0)),
            best_bid_cny_per_gpu_hour=rules.price_text(max(hour.bid_price_ticks for hour in hours)),
            low_24h_cny_per_gpu_hour=rules.price_text(day.low_ticks),
            high_24h_cny_per_gpu_hour=rules.price_text(day.high_ticks),
            open_24h_cny_per_gpu_hour=rules.price_text(day.open_ticks),
            change_24h_cny_per_gpu_hour=None if change is None else format_cny(change),
            change_24h_percent=None if change is None else rules.percent_text(change, day.open_ticks),
            vwap_24h_cny_per_gpu_hour=average_price(day.notional_fen, day.gpu_hours),
            trades_24h=day.trades,
            gpu_hours_24h=day.gpu_hours,
            notional_24h_cny=format_cny(day.notional_fen),
        )


def _window(
    product: ProductSpec, book: OrderBook, starts_at: Readable, ends_at: Readable, faults: Faults
) -> tuple[int, int]:
    """Return a window of delivery hours that can be traded; what is wrong with it goes to `faults`."""
    horizon_hour = book.hour + product.listing_horizon_hours
    starts_hour = whole_hour(faults, "?starts_at", starts_at)
    ends_hour = whole_hour(faults, "?ends_at", ends_at)
    if starts_hour is not None and not book.hour <= starts_hour < horizon_hour:
        detail = f"must be from {format_hour(book.hour)} and before {format_hour(horizon_hour)}"
        faults.add("?starts_at", "out_of_range", detail, starts_at)
        starts_hour = None
    first_hour = book.hour if starts_hour is None else starts_hour
    if ends_hour is not None and not first_hour < ends_hour <= horizon_hour:
        detail = f"must be after {format_hour(first_hour)} and at most {format_hour(horizon_hour)}"
        faults.add("?ends_at", "out_of_range", detail, ends_at)
    return first_hour, ends_hour or min(first_hour + CALENDAR_HOURS_DEFAULT, horizon_hour)
