"""Places a planned trace as real orders, hour by hour, with the venue's clock driven by the trace.

Within one trace hour up to `IN_FLIGHT_MAX` orders are under way at once, so that they share commits; the hour
advances only when every order of it has been answered. Nothing of the progress is stored beside the
exchange's own data: a replay started again reads how far the venue got, passes over the hours before, and
places the orders of the hour it was in again under their trace ids, where those that stand already are
answered as replayed.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from exchange.fleet.roles import LedHere
from exchange.kit.clock import ManualClock, hour_of, monotonic_s, us_of_hour
from exchange.kit.database import Database
from exchange.kit.errors import Refusal
from exchange.kit.fields import format_cny, format_hour
from exchange.orders.models import NewOrder
from exchange.orders.service import OrderService
from exchange.participants.models import ParticipantKind
from exchange.replay import store
from exchange.replay.cheapest import cheapest_alternative
from exchange.replay.participants import Cast
from exchange.replay.plan import Alternative, Horizon, PlannedAsk, PlannedBid, bids_by_hour
from matching.order import Side

IN_FLIGHT_MAX: Final = 256
Planned = TypeVar("Planned")


class Driver:
    """One replay on one venue. `placed`, `replayed` and `refused` (not on record) count what this run saw."""

    def __init__(
        self,
        *,
        database: Database,
        orders: OrderService,
        partitions: LedHere,
        clock: ManualClock,
        horizon: Horizon,
        hours_per_second: float | None = None,
        acknowledged: int | None = None,
        progress: Callable[[int, int], None] = lambda _hour, _orders: None,
    ) -> None:
        """Drive `orders` under `clock`. `acknowledged` is a file descriptor that gets a line an answer."""
        self.placed = 0
        self.replayed = 0
        self.refused: Counter[str] = Counter()
        self.elapsed_s = 0.0
        self._database = database
        self._cast = Cast(database)
        self._orders = orders
        self._partitions = partitions
        self._clock = clock
        self._horizon = horizon
        self._hours_per_second = hours_per_second
        self._acknowledged = acknowledged
        self._progress = progress
        self._chosen_before: dict[str, str] = {}
        self._seen: set[str] = set()

    async def run(self, asks: Sequence[PlannedAsk], bids: Iterable[PlannedBid], last_hour: int) -> None:
        """Place everything and bring the venue to `last_hour`, from wherever it stands."""
        begun_s = monotonic_s()
        begun_hour = hour_of(self._clock.now_us())
        await self._partitions.reach_hour(begun_hour)
        await self._cast.load()
        async with self._database.connection() as connection:
            self._chosen_before = await store.products_of_orders_since(connection, us_of_hour(begun_hour))
        # The asks are placed before the first hour's end: a venue beyond it has them all.
        if begun_hour < self._horizon.starts_hour:
            await self._place_all(asks, lambda ask: ask.provider, self._place_ask)
        for hour, group in bids_by_hour(bids):
            if hour < begun_hour:
                continue
            await self._advance_to(hour)
            await self._place_all(group, lambda bid: bid.buyer, self._place_bid)
        await self._advance_to(last_hour)
        self.elapsed_s = monotonic_s() - begun_s

    async def _advance_to(self, last_hour: int) -> None:
        """Pass every hour up to `last_hour`, each with its settlement."""
        for hour in range(self._clock.hour() + 1, last_hour + 1):
            begun_s = monotonic_s()
            self._clock.advance_to_us(us_of_hour(hour))
            await self._partitions.reach_hour(hour)
            self._progress(hour, self.placed)
            if self._hours_per_second is not None:
                passed_s = monotonic_s() - begun_s
                await asyncio.sleep(max(0.0, 1 / self._hours_per_second - passed_s))

    async def _place_all(
        self,
        group: Iterable[Planned],
        who: Callable[[Planned], str],
        place: Callable[[Planned], Coroutine[Any, Any, None]],
    ) -> None:
        """Place a group in chunks; each chunk is under way at once and answered before the next.

        The exchange takes them in the order of the trace: tasks begin in the order of their making, and an
        order of a known participant waits for nothing before it is queued. The first order of a participant,
        who has to be registered and looked up, is therefore awaited alone.
        """
        rest = iter(group)
        while chunk := list(islice(rest, IN_FLIGHT_MAX)):
            async with asyncio.TaskGroup() as tasks:
                for each in chunk:
                    name = who(each)
                    if name in self._seen:
                        tasks.create_task(place(each))
                    else:
                        self._seen.add(name)
                        await place(each)
        self._progress(self._clock.hour(), self.placed)

    async def _place_ask(self, ask: PlannedAsk) -> None:
        order = NewOrder(
            client_order_id=ask.offer_id,
            product=ask.product_id,
            side=Side.SELL,
            quantity_gpus=ask.quantity_gpus,
            starts_at=format_hour(self._horizon.starts_hour),
            ends_at=format_hour(self._horizon.ends_hour),
            price_cny_per_gpu_hour=format_cny(ask.price_ticks),
        )
        await self._place(ParticipantKind.PROVIDER, ask.provider, order)

    async def _place_bid(self, bid: PlannedBid) -> None:
        chosen = self._chosen(bid)
        order = NewOrder(
            client_order_id=bid.order_id,
            product=chosen.product_id,
            side=Side.BUY,
            quantity_gpus=bid.quantity_gpus,
            hours=bid.hours,
            starts_at=format_hour(bid.earliest_hour),
            ends_at=format_hour(bid.latest_hour),
            price_cny_per_gpu_hour=format_cny(chosen.limit_ticks),
            fill="all_or_none",
            placement="any",
        )
        await self._place(ParticipantKind.BUYER, bid.buyer, order)

    def _chosen(self, bid: PlannedBid) -> Alternative:
        """Return the alternative to place: the one an earlier run placed, else the cheapest now."""
        if len(bid.alternatives) == 1:
            return bid.alternatives[0]
        before = self._chosen_before.get(bid.order_id)
        for alternative in bid.alternatives:
            if alternative.product_id == before:
                return alternative
        return cheapest_alternative(bid, self._orders.book)

    async def _place(self, kind: ParticipantKind, name: str, order: NewOrder) -> None:
        principal = await self._cast.member(kind, name, self._clock.now_us())
        try:
            answer = await self._orders.place(principal, order)
        except Refusal as refusal:
            if refusal.outcome == "applied":
                # The order is on record with its reason, and the report finds it there.
                self._acknowledge(order.client_order_id, "refused")
            else:
                self.refused[refusal.errors[0].code if refusal.errors else refusal.code] += 1
            return
        if answer.replayed:
            self.replayed += 1
        else:
            self.placed += 1
        self._acknowledge(order.client_order_id, answer.view.id)

    def _acknowledge(self, client_order_id: str, order_id: str) -> None:
        """Note an answer, after it came, in one write that a kill cannot cut."""
        if self._acknowledged is not None:
            os.write(self._acknowledged, f"{client_order_id} {order_id}\n".encode())
