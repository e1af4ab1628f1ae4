"""Calendars of many products at once, answered from memory.

A product's columns are kept encoded for the few windows asked for last, and made anew only where its book
has had an event, or its hour has moved on, since. After some that are made anew others may run, so that each
product is as of its own `sequence`.

Known limit: as in `service`, a leader's book can be a few milliseconds ahead of what is committed.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from exchange.feed.history_models import ProductCalendarView
from exchange.kit.clock import Clock
from exchange.kit.errors import Faults
from exchange.kit.fields import Readable, format_cny, format_hour, whole_hour
from exchange.products.models import Origin, ProductSpec
from exchange.products.naming import check_parts, check_product
from matching.book import OrderBook
from matching.depth import calendar

CALENDAR_HOURS_DEFAULT: Final = 7 * 24
WINDOWS_KEPT: Final = 4
"""Encoded windows of each product; the one asked for longest ago gives way."""
MADE_AT_ONCE: Final = 4
"""Products whose columns are made anew before others may run."""
_DIGEST_BYTES: Final = 16
_encoder: Final = msgspec.json.Encoder()

BookOf = Callable[[str], tuple[ProductSpec, OrderBook]]


class CalendarFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which products; None does not narrow, and without `products` those without orders are left out."""

    products: Sequence[str] | None = None
    accelerator: str | None = None
    origin: Origin | None = None
    hub: str | None = None
    interconnect: str | None = None

    def admits(self, product: ProductSpec) -> bool:
        """Whether a product is meant."""
        wanted = (self.accelerator, self.origin, self.hub, self.interconnect)
        has = (product.accelerator_id, product.origin, product.hub_code, product.interconnect_code)
        return all(each is None or each == own for each, own in zip(wanted, has, strict=True))


class _Encoded(msgspec.Struct, frozen=True):
    """A product's columns for a window, as of one state of its book, and a hash of them."""

    book: OrderBook
    sequence: int
    hour: int
    text: msgspec.Raw
    digest: bytes


class _Calendars(msgspec.Struct, frozen=True):
    """What `CalendarsView` tells, its products encoded before."""

    starts_at: str
    ends_at: str
    hours: int
    data: list[msgspec.Raw]


class EncodedCalendars(msgspec.Struct, frozen=True):
    """A `CalendarsView` as JSON; `digest` stands for its bytes."""

    body: bytes
    digest: bytes


class Calendars:
    """The calendars of all products."""

    def __init__(self, *, products: Mapping[str, ProductSpec], book_of: BookOf, clock: Clock) -> None:
        self._products = products
        self._book_of = book_of
        self._clock = clock
        self._kept: dict[str, dict[tuple[int, int], _Encoded]] = {}

    async def read(
        self, wanted: CalendarFilter, starts_at: Readable, ends_at: Readable, faults: Faults
    ) -> EncodedCalendars:
        """Return a `CalendarsView`, its products by id.

        Raises `InvalidInput` with every fault, also those that were found before.
        """
        for product_id in wanted.products or ():
            check_product(faults, self._products, product_id)
        check_parts(
            faults,
            self._products,
            accelerator=wanted.accelerator,
            hub=wanted.hub,
            interconnect=wanted.interconnect,
        )
        starts_hour, ends_hour = self._window(starts_at, ends_at, faults)
        faults.raise_if_any()
        rows: list[_Encoded] = []
        made = 0
        for product_id in sorted(self._products if wanted.products is None else set(wanted.products)):
            if not wanted.admits(self._products[product_id]):
                continue
            product, book = self._book_of(product_id)
            if book.orders or wanted.products is not None:
                row = self._known(book, product, starts_hour, ends_hour)
                if row is None:
                    row = self._make(book, product, starts_hour, ends_hour)
                    made += 1
                rows.append(row)
                if made >= MADE_AT_ONCE:
                    made = 0
                    await asyncio.sleep(0)
        answer = _Calendars(
            starts_at=format_hour(starts_hour),
            ends_at=format_hour(ends_hour),
            hours=ends_hour - starts_hour,
            data=[row.text for row in rows],
        )
        window = f"{answer.starts_at} {answer.ends_at}".encode()
        return EncodedCalendars(_encoder.encode(answer), b"".join([window, *(row.digest for row in rows)]))

    def _window(self, starts_at: Readable, ends_at: Readable, faults: Faults) -> tuple[int, int]:
        """Return the hours that are asked for, within the longest listing horizon."""
        first_hour = self._clock.hour() + 1
        horizon_hour = first_hour + max(each.listing_horizon_hours for each in self._products.values())
        starts_hour = whole_hour(faults, "?starts_at", starts_at)
        ends_hour = whole_hour(faults, "?ends_at", ends_at)
        if starts_hour is not None and not first_hour <= starts_hour < horizon_hour:
            detail = f"must be from {format_hour(first_hour)} and before {format_hour(horizon_hour)}"
            faults.add("?starts_at", "out_of_range", detail, starts_at)
            starts_hour = None
        begin = first_hour if starts_hour is None else starts_hour
        if ends_hour is not None and not begin < ends_hour <= horizon_hour:
            detail = f"must be after {format_hour(begin)} and at most {format_hour(horizon_hour)}"
            faults.add("?ends_at", "out_of_range", detail, ends_at)
        return begin, ends_hour or min(begin + CALENDAR_HOURS_DEFAULT, horizon_hour)

    def _known(
        self, book: OrderBook, product: ProductSpec, starts_hour: int, ends_hour: int
    ) -> _Encoded | None:
        """Return a product's columns where they are kept and as of the book's present state."""
        kept = self._kept.setdefault(product.id, {})
        # What is asked for is put behind the others: the first is the one asked for longest ago.
        known = kept.pop((starts_hour, ends_hour), None)
        if known is None or known.book is not book:
            return None
        if (known.sequence, known.hour) != (book.sequence, book.hour):
            return None
        kept[starts_hour, ends_hour] = known
        return known

    def _make(self, book: OrderBook, product: ProductSpec, starts_hour: int, ends_hour: int) -> _Encoded:
        text = _encoder.encode(_columns(product, book, starts_hour, ends_hour))
        digest = blake2b(text, digest_size=_DIGEST_BYTES).digest()
        made = _Encoded(book, book.sequence, book.hour, msgspec.Raw(text), digest)
        kept = self._kept[product.id]
        kept[starts_hour, ends_hour] = made
        while len(kept) > WINDOWS_KEPT:
            del kept[next(iter(kept))]
        return made


def _columns(product: ProductSpec, book: OrderBook, starts_hour: int, ends_hour: int) -> ProductCalendarView:
    """Return a product's hours; those that cannot be traded have nothing."""
    first_hour = max(starts_hour, book.hour)
    end_hour = min(ends_hour, book.hour + product.listing_horizon_hours)
    found = calendar(book, first_hour, end_hour) if first_hour < end_hour else ()
    texts: dict[int, str | None] = {0: None}
    for hour in found:
        for price_ticks in (hour.ask_price_ticks, hour.bid_price_ticks):
            if price_ticks not in texts:
                texts[price_ticks] = format_cny(price_ticks)
    before = min(first_hour, ends_hour) - starts_hour
    after = ends_hour - starts_hour - before - len(found)
    return ProductCalendarView(
        product=product.id,
        accelerator=product.accelerator_id,
        origin=product.origin,
        hub=product.hub_code,
        interconnect=product.interconnect_code,
        sequence=book.sequence,
        ask_cny_per_gpu_hour=[
            *[None] * before,
            *[texts[hour.ask_price_ticks] for hour in found],
            *[None] * after,
        ],
        bid_cny_per_gpu_hour=[
            *[None] * before,
            *[texts[hour.bid_price_ticks] for hour in found],
            *[None] * after,
        ],
        free_gpus=[*[0] * before, *[hour.free_gpus for hour in found], *[0] * after],
    )
