"""What a partition's requests are handed to, in this process or in another one; how leading ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

import msgspec

from exchange.kit.errors import NOTHING_BY_THIS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection, Mapping, Sequence

    from exchange.orders import outcomes
    from exchange.orders.meters import SequencerMeters, SequencerState
    from exchange.orders.models import Request
    from exchange.orders.preview_models import RestingAsk
    from matching.book import OrderBook

NO_HOUR: Final = -1

Outcome: TypeAlias = Literal["not_applied", "unknown"]


class Leader(Protocol):
    """The one writer of a partition, or the way to it. What is answered has been committed."""

    @property
    def is_ready(self) -> bool:
        """Whether requests are taken."""

    @property
    def state(self) -> SequencerState:
        """Where the partition stands, for who watches."""

    @property
    def meters(self) -> SequencerMeters:
        """What is measured of the partition here."""

    @property
    def fee_bps(self) -> int:
        """What the exchange takes of a delivered hour, in basis points."""

    def book(self, product_id: str) -> OrderBook:
        """The book of a product, to read and not to keep; raises `Unavailable` while there is none."""

    async def asks(self, order_ids: Collection[int]) -> Mapping[int, RestingAsk]:
        """Asks of the books as they stand when this is called; raises `Unavailable` while there are none."""

    async def submit(self, request: Request) -> outcomes.Outcome:
        """Hand a request over and wait for its committed outcome; raises `Unavailable`."""

    def enqueue(self, requests: Sequence[Request]) -> list[asyncio.Future[outcomes.Outcome]]:
        """Hand requests over behind each other, all or none; their outcomes to come. Raises `Unavailable`."""


class Fenced(Exception):
    """Another leader has taken the partition: this one must write no more.

    `outcome` is that of the last batch: unknown where its commit was lost from sight before this was found.
    """

    def __init__(self, detail: str, *, outcome: Outcome = "not_applied") -> None:
        super().__init__(detail)
        self.outcome: Outcome = outcome

    @property
    def told(self) -> str:
        """What the callers of that batch are told."""
        known = NOTHING_BY_THIS if self.outcome == "not_applied" else "what came of it was lost from sight"
        return f"another leader has taken over; {known}"


def check_epoch(found: int, own: int, *, unknown: bool) -> None:
    """Raise `Fenced` where another leader's epoch was found; `unknown`: a commit had been lost from sight."""
    if found != own:
        detail = f"the partition is led by epoch {found}, not {own}"
        raise Fenced(detail, outcome="unknown" if unknown else "not_applied")


class HourPassed(Exception):
    """An hour began while the batch waited for the database: nothing was done, and the hour goes first."""


class SequencerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a sequencer is told: its partition, whether there are others, and the terms of settlement."""

    partition_id: int
    is_alone: bool = True
    fee_bps: int
    settlement_delay_hours: int

    def settle_through(self, hour: int, since_hour: int) -> int:
        """The last hour whose money is due: ended for as long as its provider may report that it failed.

        The time before `since_hour`, when nobody could report because nothing led the partition, does not
        count: what ended by then is due `settlement_delay_hours` after it.
        """
        delay_hours = self.settlement_delay_hours
        return hour - 1 - delay_hours if hour >= since_hour + delay_hours else NO_HOUR
