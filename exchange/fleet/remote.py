"""A partition as a gateway has it: requests go over Redis to the engine that leads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.kit.errors import NOTHING_BY_THIS, Unavailable
from exchange.orders.meters import SequencerMeters, SequencerState

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection, Mapping, Sequence

    from exchange.fleet.follower import Follower
    from exchange.fleet.leases import LeaseWatch
    from exchange.fleet.link import GatewayLink
    from exchange.kit.clock import Clock
    from exchange.orders.models import Request
    from exchange.orders.outcomes import Outcome
    from exchange.orders.preview_models import RestingAsk
    from matching.book import OrderBook


class RemotePartition:
    """The way from a gateway to a partition's leader; an `exchange.orders.leader.Leader`."""

    def __init__(
        self,
        partition_id: int,
        link: GatewayLink,
        leases: LeaseWatch,
        *,
        clock: Clock,
        fee_bps: int,
        patience_s: float,
        follower: Follower,
    ) -> None:
        """Stand ready; `follower` has what this process knows of the market."""
        self.fee_bps = fee_bps
        self._follower = follower
        self.meters = SequencerMeters(partition_id, link.acknowledged_seconds[partition_id])
        self._partition_id = partition_id
        self._link = link
        self._leases = leases
        self._clock = clock
        self._patience_s = patience_s

    @property
    def is_ready(self) -> bool:
        """Whether an engine leads."""
        return self._leases.is_led(self._partition_id)

    @property
    def state(self) -> SequencerState:
        """Where the partition stands, as far as a gateway knows: its hour is the clock's."""
        trouble = "" if self.is_ready else "no engine leads it"
        if not trouble and not self._follower.is_ready(self._partition_id):
            trouble = "its books are being built"
        sequence = self._follower.sequence(self._partition_id)
        return SequencerState(
            trouble, self._link.unanswered(self._partition_id), self._clock.hour(), sequence
        )

    def book(self, product_id: str) -> OrderBook:
        """The book of a product as of a commit a moment ago; raises `Unavailable` while it is being built."""
        return self._follower.book(product_id)

    async def asks(self, order_ids: Collection[int]) -> Mapping[int, RestingAsk]:
        """Asks of the books as they stand when this is called."""
        return await self._follower.asks(self._partition_id, order_ids)

    async def submit(self, request: Request) -> Outcome:
        """Hand a request over and wait for its committed outcome."""
        [answer] = self.enqueue([request])
        return await answer

    def enqueue(self, requests: Sequence[Request]) -> list[asyncio.Future[Outcome]]:
        """Hand requests over behind each other, all or none; return their outcomes to come.

        Where nobody has led for so long that nobody would answer in time, nothing is handed over.
        """
        if self._leases.over_s(self._partition_id) > self._patience_s:
            raise Unavailable("no_leader", f"no engine leads this market now; {NOTHING_BY_THIS}")
        return self._link.hand_over(self._partition_id, requests)
