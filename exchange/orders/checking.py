"""What would come of placing asks, told before any is: for files that are applied whole or not at all.

By the functions that would place them: orders are judged, those that were placed before are found with their
stored outcomes, and the books are asked about the others. Nothing is locked: an order that passes here can
still be refused by its book a moment later, where the product halts or a price moves meanwhile; and one ask
of a file does not know of the others, with which it never trades anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exchange.kit.errors import Conflict, Refusal
from exchange.orders.models import PlaceRequest
from exchange.orders.preview import Venue, look_ahead, means_of
from exchange.orders.preview_models import PreviewView
from exchange.orders.reading import Known

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from exchange.kit.auth import Principal
    from exchange.kit.clock import Clock
    from exchange.kit.errors import Faults
    from exchange.orders.leader import Leader
    from exchange.orders.models import NewOrder
    from exchange.orders.reading import OrderReader

    Judge = Callable[
        [Principal, Sequence[tuple[NewOrder, Faults]]], Awaitable[dict[int, PlaceRequest | Known | Refusal]]
    ]


class Checked(msgspec.Struct, frozen=True, gc=False):
    """What would come of one ask: a refusal, the order that stands already, or a new one of so many hours."""

    refusal: Refusal | None = None
    is_known: bool = False
    gpu_hours: int = 0


class Checker:
    """Looks at asks together; takes two statements for many as for one."""

    def __init__(
        self, *, judge: Judge, reader: OrderReader, sequencers: Mapping[int, Leader], clock: Clock
    ) -> None:
        self._judge = judge
        self._reader = reader
        self._sequencers = sequencers
        self._clock = clock

    async def check_asks(
        self, principal: Principal, asks: Sequence[tuple[NewOrder, Faults]]
    ) -> list[Checked]:
        """Return what would come of each of some asks if all were placed now; `faults` as in `place_all`.

        Raises `Unavailable` where a book cannot be asked.
        """
        judged = await self._judge(principal, asks)
        requests = {place: each for place, each in judged.items() if isinstance(each, PlaceRequest)}
        known = {place: each for place, each in judged.items() if isinstance(each, Known)}
        known |= await self._reader.placed_before(principal.participant_id, requests)
        replays = await self._reader.replays(principal.participant_id, list(known.values())) if known else ()
        checked = {
            place: Checked(refusal=each) for place, each in judged.items() if isinstance(each, Refusal)
        }
        for place, replay in zip(known, replays, strict=True):
            checked[place] = Checked(replay) if isinstance(replay, Refusal) else Checked(is_known=True)
        for place, request in requests.items():
            if place not in checked:
                checked[place] = self._ask_book(request)
        return [checked[place] for place in range(len(asks))]

    def _ask_book(self, request: PlaceRequest) -> Checked:
        sequencer = self._sequencers[request.product.partition_id]
        venue = Venue(
            book=sequencer.book(request.product_id),
            first_hour=self._clock.hour() + 1,
            partition_id=request.product.partition_id,
            fee_bps=sequencer.fee_bps,
            at_us=self._clock.now_us(),
        )
        prospect = look_ahead(request, means_of(request.participant_id, 0, []), venue)
        if isinstance(prospect, PreviewView) and (refusal := prospect.refusal) is not None:
            return Checked(Conflict(refusal.code, refusal.detail, errors=refusal.errors))
        return Checked(gpu_hours=request.quantity_gpus * (request.ends_hour - request.starts_hour))
