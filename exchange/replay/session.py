"""One replay from its files to its report: what the command line and the benchmark both run."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from exchange.app import Exchange
from exchange.fleet.roles import LedHere
from exchange.kit.clock import ManualClock, format_rfc3339, hour_of, us_of_hour
from exchange.kit.fields import format_cny
from exchange.kit.settings import Settings
from exchange.orders.partition import latest_event_at_us
from exchange.products.service import read_catalogue
from exchange.replay.driver import Driver
from exchange.replay.models import LineFault, Refused, ReplayError, TraceBid
from exchange.replay.plan import Horizon, ModelMap, PlannedBid, Supply, plan_bid, plan_supply
from exchange.replay.pricing import quoted_prices
from exchange.replay.report import Report, mean_wait_hours, read_figures
from exchange.replay.trace import read_bids, read_offers, read_quotes

SEED: Final = 20170924
HOURS_DEFAULT: Final = 336
GPUS_DEFAULT: Final = 500
Row = TypeVar("Row")


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to replay, and where. Without `from_us` the first bid's hour is the first."""

    bids: Path
    offers: Path
    quotes: Path
    settings: Settings
    hours: int = HOURS_DEFAULT
    from_us: int | None = None
    gpus: int = GPUS_DEFAULT
    seed: int = SEED
    hours_per_second: float | None = None
    acknowledged: int | None = None


class Session:
    """Reads the trace, drives the venue, reports."""

    def __init__(
        self,
        request: ReplayRequest,
        *,
        fault: Callable[[LineFault], None] = lambda _fault: None,
        progress: Callable[[int, int, int], None] = lambda _passed, _hours, _orders: None,
    ) -> None:
        """Prepare; `fault` hears of each broken line.

        `progress` hears of each hour: those passed, all from the first order to the last settlement, and the
        orders this run has placed.
        """
        self._request = request
        self._fault = fault
        self._progress = progress
        self._refused: Counter[str] = Counter()
        self._submitted_at_us: dict[str, int] = {}

    async def run(self) -> Report:
        """Replay to the end of the horizon, or on from where an earlier run got, and report."""
        request = self._request
        models = model_map()
        supply = self._read_supply(models)
        horizon = self._horizon()
        clock = ManualClock(horizon.submitted_from_us)
        begun_hour = hour_of(horizon.submitted_from_us)
        last_hour = horizon.ends_hour + request.settings.settlement_delay_hours
        exchange = await Exchange.open(request.settings, clock)
        try:
            if not isinstance(exchange.partitions, LedHere):
                raise ReplayError("a replay leads the market itself: its role is all")
            await self._go_on(exchange, clock, horizon)
            driver = Driver(
                database=exchange.database,
                orders=exchange.orders,
                partitions=exchange.partitions,
                clock=clock,
                horizon=horizon,
                hours_per_second=request.hours_per_second,
                acknowledged=request.acknowledged,
                progress=lambda hour, orders: self._progress(
                    hour - begun_hour, last_hour - begun_hour, orders
                ),
            )
            bids = self._planned_bids(supply, models, horizon)
            await driver.run(supply.asks, bids, last_hour)
            return await self._report(exchange, driver, supply, horizon)
        finally:
            await exchange.close()

    async def _go_on(self, exchange: Exchange, clock: ManualClock, horizon: Horizon) -> None:
        """Set the clock to where an earlier run of the replay left the venue."""
        async with exchange.database.connection() as connection:
            latest_us = await latest_event_at_us(connection) or 0
        if latest_us >= us_of_hour(horizon.ends_hour + exchange.settings.settlement_delay_hours + 1):
            raise ReplayError(
                f"this database has lived until {format_rfc3339(latest_us)}, which lies beyond this replay"
            )
        clock.advance_to_us(max(clock.now_us(), latest_us))

    def _read_supply(self, models: ModelMap) -> Supply:
        request = self._request
        quotes = quoted_prices(self._good(read_quotes(request.quotes)), models.accelerator_of_model)
        offers = list(self._good(read_offers(request.offers)))
        return plan_supply(request.seed, offers, quotes, models, request.gpus)

    def _good(self, rows: Iterable[Row | LineFault]) -> Iterator[Row]:
        """Yield what could be read; what could not is told and counted."""
        for row in rows:
            if isinstance(row, LineFault):
                self._refused[Refused.BROKEN_LINE] += 1
                self._fault(row)
            else:
                yield row

    def _horizon(self) -> Horizon:
        from_us = self._request.from_us
        if from_us is None:
            rows = read_bids(self._request.bids)
            from_us = next((row.submitted_at_us for row in rows if isinstance(row, TraceBid)), None)
        if from_us is None:
            raise ReplayError(f"{self._request.bids} holds no bid that can be read")
        starts_hour = hour_of(from_us) + 1
        return Horizon(starts_hour=starts_hour, ends_hour=starts_hour + self._request.hours)

    def _planned_bids(self, supply: Supply, models: ModelMap, horizon: Horizon) -> Iterator[PlannedBid]:
        """Yield the bids of the horizon as they are read; what becomes no bid is counted by its reason."""
        for row in self._good(read_bids(self._request.bids)):
            if row.submitted_at_us >= horizon.submitted_until_us:
                return
            planned = plan_bid(self._request.seed, row, supply, models, horizon)
            if isinstance(planned, Refused):
                self._refused[planned] += 1
            else:
                self._submitted_at_us[planned.order_id] = planned.submitted_at_us
                yield planned

    async def _report(self, exchange: Exchange, driver: Driver, supply: Supply, horizon: Horizon) -> Report:
        books = [exchange.orders.book(product_id) for product_id in exchange.products]
        async with exchange.database.connection() as connection:
            figures = await read_figures(connection, books)
        asks, bids = figures.orders("sell"), figures.orders("buy")
        totals = figures.totals
        rejected: Counter[str] = Counter()
        for count in (*figures.orders("sell", rejected=True), *figures.orders("buy", rejected=True)):
            rejected[count.reason] += count.orders
        filled = sum(count.orders for count in bids if count.filled_gpu_hours)
        return Report(
            seed=self._request.seed,
            submitted_from=format_rfc3339(horizon.submitted_from_us),
            submitted_until=format_rfc3339(horizon.submitted_until_us),
            asks=sum(count.orders for count in asks),
            bids=sum(count.orders for count in bids),
            bids_filled=filled,
            bids_unfilled=sum(count.orders for count in bids) - filled,
            orders_rejected=rejected,
            lines_refused=self._refused,
            nodes_refused=supply.refused,
            fills=totals.fills,
            gpu_hours_offered=sum(count.gpu_hours for count in asks),
            gpu_hours_sold=totals.gpu_hours,
            gpu_hours_unfilled=sum(count.gpu_hours - count.filled_gpu_hours for count in bids),
            mean_wait_hours=mean_wait_hours(figures.run_starts_hours, self._submitted_at_us),
            mean_paid_cny_per_gpu_hour=_mean_cny(totals.paid_fen, totals.gpu_hours),
            mean_limit_cny_per_gpu_hour=_mean_cny(totals.limit_fen, totals.gpu_hours),
            paid_share_of_limit=round(totals.paid_fen / totals.limit_fen, 4) if totals.limit_fen else None,
            money=figures.money,
            capacity=figures.capacity,
            refused_this_run=driver.refused,
            orders_this_run=driver.placed,
            replayed_this_run=driver.replayed,
            orders_per_s=round(driver.placed / driver.elapsed_s, 1) if driver.elapsed_s else None,
        )


def model_map() -> ModelMap:
    """Return what the models of traces and quotes stand for, by the catalogue."""
    catalogue = read_catalogue()
    product_of_accelerator: dict[str, str] = {}
    for product in sorted(catalogue.products, key=lambda each: (each.lot_gpus, each.id)):
        product_of_accelerator.setdefault(product.accelerator_id, product.id)
    return ModelMap(
        accelerator_of_model={
            each.model: each.accelerator_id
            for each in catalogue.trace_models
            if each.accelerator_id is not None
        },
        product_of_accelerator=product_of_accelerator,
    )


def _mean_cny(fen: int, gpu_hours: int) -> str | None:
    return format_cny(round(fen / gpu_hours)) if gpu_hours else None
