"""From asks and leases, which are rectangles, to figures by hour and by day. Pure.

Sums are built from the edges of rectangles, not hour by hour for each: a span of three months with ten
thousand asks costs as much as its rectangles have edges.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Final

from exchange.kit.fields import format_cny, format_hour
from exchange.settlement.capacity_models import (
    CapacityView,
    DayEarnings,
    Earnings,
    EarningsView,
    ProductCapacity,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exchange.settlement.capacity_models import FailedHour, HourIncome, OwnAsk, SoldSpan

DAY_HOURS: Final = 24


class HourSums:
    """Amounts by hour over `[starts_hour, ends_hour)`: the sum of what was added to each."""

    def __init__(self, starts_hour: int, ends_hour: int) -> None:
        self._starts_hour = starts_hour
        self._ends_hour = ends_hour
        self._edges = [0] * (ends_hour - starts_hour + 1)

    def add(self, starts_hour: int, ends_hour: int, amount: int) -> None:
        """Add an amount to every hour of a window; what lies outside is left out."""
        starts_hour, ends_hour = max(starts_hour, self._starts_hour), min(ends_hour, self._ends_hour)
        if starts_hour < ends_hour:
            self._edges[starts_hour - self._starts_hour] += amount
            self._edges[ends_hour - self._starts_hour] -= amount

    def values(self) -> list[int]:
        """Return the sums, hour by hour."""
        return list(accumulate(self._edges[:-1]))


def _pieces(ask: OwnAsk, edges: Iterable[int]) -> Iterator[tuple[int, int, int]]:
    """Cut an ask's window at some hours and where its load changes: (first hour, hour after, GPUs sold)."""
    changes: dict[int, int] = {}
    for starts_hour, ends_hour, gpus in ask.loads:
        changes[starts_hour] = changes.get(starts_hour, 0) + gpus
        changes[ends_hour] = changes.get(ends_hour, 0) - gpus
    inner = {hour for hour in (*edges, *changes) if ask.starts_hour < hour < ask.ends_hour}
    sold = 0
    for starts_hour, ends_hour in pairwise(sorted({ask.starts_hour, ask.ends_hour, *inner})):
        sold += changes.get(starts_hour, 0)
        yield starts_hour, ends_hour, sold


class _Columns:
    """The figures of one product."""

    def __init__(self, starts_hour: int, ends_hour: int) -> None:
        self.listed, self.sold, self.free, self.delivered, self.failed = (
            HourSums(starts_hour, ends_hour) for _ in range(5)
        )

    def add_ask(self, ask: OwnAsk, first_hour: int) -> None:
        """Count what an ask offers and offered; what it sold is listed, even beyond a reduced quantity."""
        for starts_hour, ends_hour, sold in _pieces(ask, (ask.offered_until_hour, first_hour)):
            unsold = max(ask.quantity_gpus - sold, 0) if starts_hour < ask.offered_until_hour else 0
            self.listed.add(starts_hour, ends_hour, sold + unsold)
            self.sold.add(starts_hour, ends_hour, sold)
            if ask.is_live and starts_hour >= first_hour:
                self.free.add(starts_hour, ends_hour, unsold)

    def view(self, product_id: str) -> ProductCapacity:
        """Return them as they are told."""
        listed, sold, free = self.listed.values(), self.sold.values(), self.free.values()
        delivered, failed = self.delivered.values(), self.failed.values()
        return ProductCapacity(
            product=product_id,
            listed_gpus=listed,
            sold_gpus=sold,
            free_gpus=free,
            delivered_gpus=delivered,
            failed_gpus=failed,
            listed_gpu_hours=sum(listed),
            sold_gpu_hours=sum(sold),
            free_gpu_hours=sum(free),
            delivered_gpu_hours=sum(delivered),
            failed_gpu_hours=sum(failed),
        )


def capacity_of(
    asks: Iterable[OwnAsk],
    sold: Iterable[SoldSpan],
    failed: Iterable[FailedHour],
    *,
    starts_hour: int,
    ends_hour: int,
    first_hour: int,
) -> CapacityView:
    """Return a provider's capacity over a span; `first_hour` is the first hour still for sale."""
    columns: dict[str, _Columns] = {}

    def of(product_id: str) -> _Columns:
        found = columns.get(product_id)
        if found is None:
            found = columns[product_id] = _Columns(starts_hour, ends_hour)
        return found

    for ask in asks:
        of(ask.product_id).add_ask(ask, first_hour)
    for span in sold:
        of(span.product_id).delivered.add(span.starts_hour, span.next_settlement_hour, span.gpus)
    for each in failed:
        column = of(each.product_id)
        column.failed.add(each.hour, each.hour + 1, each.gpus)
        if each.is_settled:
            column.delivered.add(each.hour, each.hour + 1, -each.gpus)
    return CapacityView(
        starts_at=format_hour(starts_hour),
        ends_at=format_hour(ends_hour),
        on_sale_from=format_hour(first_hour),
        products=[columns[product_id].view(product_id) for product_id in sorted(columns)],
    )


def day_edges(starts_hour: int, ends_hour: int, utc_offset_hours: int) -> list[int]:
    """Cut a span at the midnights of a place that is so many hours ahead of UTC."""
    first = starts_hour + -(starts_hour + utc_offset_hours) % DAY_HOURS
    return sorted({starts_hour, ends_hour, *range(first, ends_hour, DAY_HOURS)})


def earnings_of(
    sold: Iterable[SoldSpan],
    failed: Iterable[FailedHour],
    income: Iterable[HourIncome],
    edges: Sequence[int],
) -> EarningsView:
    """Return a provider's earnings between each two of `edges`, and in all."""
    span = edges[0], edges[-1]
    sold_gpus, delivered_gpus, failed_gpus = HourSums(*span), HourSums(*span), HourSums(*span)
    booked_fen, delivered_fen, returned_fen = HourSums(*span), HourSums(*span), HourSums(*span)
    cash_fen, receivable_fen = HourSums(*span), HourSums(*span)
    for each in sold:
        sold_gpus.add(each.starts_hour, each.ends_hour, each.gpus)
        delivered_gpus.add(each.starts_hour, each.next_settlement_hour, each.gpus)
        delivered_fen.add(each.starts_hour, each.next_settlement_hour, each.fen_per_hour)
        booked_fen.add(each.next_settlement_hour, each.ends_hour, each.fen_per_hour)
    for outage in failed:
        hour = outage.hour, outage.hour + 1
        failed_gpus.add(*hour, outage.gpus)
        returned_fen.add(*hour, outage.fen)
        (delivered_fen if outage.is_settled else booked_fen).add(*hour, -outage.fen)
        if outage.is_settled:
            delivered_gpus.add(*hour, -outage.gpus)
    for paid in income:
        cash_fen.add(paid.hour, paid.hour + 1, paid.cash_fen)
        receivable_fen.add(paid.hour, paid.hour + 1, paid.receivable_fen)
    columns = [
        each.values()
        for each in (
            *(sold_gpus, delivered_gpus, failed_gpus),
            *(booked_fen, delivered_fen, cash_fen, receivable_fen, returned_fen),
        )
    ]
    days = [[sum(column[a - span[0] : b - span[0]]) for column in columns] for a, b in pairwise(edges)]
    return EarningsView(
        starts_at=format_hour(span[0]),
        ends_at=format_hour(span[1]),
        total=Earnings(**_told([sum(column) for column in columns])),
        days=[
            DayEarnings(starts_at=format_hour(a), ends_at=format_hour(b), **_told(sums))
            for (a, b), sums in zip(pairwise(edges), days, strict=True)
        ],
    )


def _told(sums: Sequence[int]) -> dict[str, Any]:
    sold, delivered, failed, booked_fen, delivered_fen, cash_fen, receivable_fen, returned_fen = sums
    return {
        "sold_gpu_hours": sold,
        "delivered_gpu_hours": delivered,
        "failed_gpu_hours": failed,
        "booked_cny": format_cny(booked_fen),
        "delivered_cny": format_cny(delivered_fen),
        "cash_cny": format_cny(cash_fen),
        "receivable_cny": format_cny(receivable_fen),
        "fee_cny": format_cny(delivered_fen - cash_fen - receivable_fen),
        "returned_cny": format_cny(returned_fen),
    }
