"""The report of a replay: every figure from the venue's tables, and two checks that must be exact.

Money: every asset nets to zero, and the ledger's own check finds no difference. Capacity: what was offered is
what was sold, is still free, lapsed unsold hour by hour, or left the book with its ask; sold is counted three
times (the asks' rows, the leases, the journal) and must agree.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from exchange.kit.clock import US_PER_HOUR, us_of_hour
from exchange.kit.database import Connection
from exchange.ledger.service import check
from exchange.replay import store
from exchange.replay.pricing import RULE
from matching.book import OrderBook
from matching.codec import decode_events
from matching.events import HourAdvanced, OrderAccepted, OrderCancelled, OrderExpired, Traded
from matching.order import Ask

LABEL: Final = "real quantities and times, prices joined by rule"


class CapacityCheck(msgspec.Struct, frozen=True, kw_only=True):
    """GPU-hours: offered = sold + free + lapsed + withdrawn, whichever way sold is counted."""

    offered: int
    sold: int
    sold_by_leases: int
    sold_by_journal: int
    free: int
    lapsed: int
    withdrawn: int

    @property
    def is_exact(self) -> bool:
        """Whether everything offered is accounted for."""
        return (
            self.offered == self.sold + self.free + self.lapsed + self.withdrawn
            and self.sold == self.sold_by_leases == self.sold_by_journal
        )


class MoneyCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What each asset nets to, and what the ledger's check found."""

    assets: Sequence[store.AssetNet]
    differences: Sequence[str]

    @property
    def is_exact(self) -> bool:
        """Whether every fen is accounted for."""
        return not self.differences and all(net.posted_fen == net.pending_fen == 0 for net in self.assets)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay came to: the whole venue, whatever run did it.

    Only what says `this_run` and `orders_per_s` are of one run; the latter includes the settlement of every
    hour. `refused_this_run` are orders turned down before they came on record: a complete replay has none.
    """

    label: str = LABEL
    price_rule: str = RULE
    seed: int
    submitted_from: str
    submitted_until: str
    asks: int
    bids: int
    bids_filled: int
    bids_unfilled: int
    orders_rejected: Mapping[str, int]
    lines_refused: Mapping[str, int]
    nodes_refused: Mapping[str, int]
    fills: int
    gpu_hours_offered: int
    gpu_hours_sold: int
    gpu_hours_unfilled: int
    mean_wait_hours: float | None
    mean_paid_cny_per_gpu_hour: str | None
    mean_limit_cny_per_gpu_hour: str | None
    paid_share_of_limit: float | None
    money: MoneyCheck
    capacity: CapacityCheck
    refused_this_run: Mapping[str, int]
    orders_this_run: int
    replayed_this_run: int
    orders_per_s: float | None

    @property
    def is_exact(self) -> bool:
        """Whether both checks are exact."""
        return self.money.is_exact and self.capacity.is_exact


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a report that the venue's tables tell."""

    counts: Sequence[store.OrderCount]
    totals: store.TradeTotals
    money: MoneyCheck
    capacity: CapacityCheck
    run_starts_hours: Mapping[str, int]

    def orders(self, side: str, *, rejected: bool = False) -> list[store.OrderCount]:
        """Return the counts of a side: of the orders that the book took, or of those refused."""
        return [
            count for count in self.counts if count.side == side and (count.status == "rejected") is rejected
        ]


async def read_figures(connection: Connection, books: Sequence[OrderBook]) -> Figures:
    """Read everything from one venue; call it when nothing is under way."""
    return Figures(
        counts=await store.order_counts(connection),
        totals=await store.trade_totals(connection),
        money=await _check_money(connection),
        capacity=await _check_capacity(connection, books),
        run_starts_hours=await store.runs_of_filled_bids(connection),
    )


async def _check_money(connection: Connection) -> MoneyCheck:
    differences = await check(connection)
    return MoneyCheck(
        assets=await store.net_by_asset(connection),
        differences=[f"{difference.subject}: {difference.detail}" for difference in differences],
    )


async def _check_capacity(connection: Connection, books: Sequence[OrderBook]) -> CapacityCheck:
    asks = await store.sold_by_ask(connection)
    ask_ids: set[int] = set()
    sold_by_journal = lapsed = withdrawn = 0
    async for encoded in store.journal_events(connection):
        for event in decode_events(encoded):
            if isinstance(event, OrderAccepted):
                if isinstance(event.order, Ask):
                    ask_ids.add(event.order.order_id)
            elif isinstance(event, Traded):
                sold_by_journal += event.quantity_gpus * event.hours
            elif isinstance(event, HourAdvanced):
                lapsed += event.lapsed_gpu_hours
            elif isinstance(event, OrderExpired | OrderCancelled) and event.order_id in ask_ids:
                withdrawn += event.remaining_gpu_hours
    return CapacityCheck(
        offered=sum(ask.offered_gpu_hours for ask in asks),
        sold=sum(ask.filled_gpu_hours for ask in asks),
        sold_by_leases=sum(ask.leased_gpu_hours for ask in asks),
        sold_by_journal=sold_by_journal,
        free=sum(
            order.remaining_gpu_hours
            for book in books
            for order in book.orders.values()
            if isinstance(order.order, Ask)
        ),
        lapsed=lapsed,
        withdrawn=withdrawn,
    )


def mean_wait_hours(run_starts_hours: Mapping[str, int], submitted_at_us: Mapping[str, int]) -> float | None:
    """Return the mean time from a bid's submission to the start of its run, over the bids known to both."""
    waits_us = [
        us_of_hour(hour) - submitted_at_us[order_id]
        for order_id, hour in run_starts_hours.items()
        if order_id in submitted_at_us
    ]
    return round(sum(waits_us) / len(waits_us) / US_PER_HOUR, 3) if waits_us else None
