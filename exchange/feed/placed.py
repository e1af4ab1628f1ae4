"""Which orders were placed over one connection, so that they can be withdrawn when it ends.

Placed over it is an order that was answered there, as a replay too, or put there in another's place; and
whatever an amendment, sent wherever, puts in its place until it is withdrawn: they are remembered by client
order id.

Memory goes with live orders, not with the age of a connection: now and then it is looked which still live,
those of unknown outcome too once they can come no more. Known limit: while the database is out of reach
nothing is forgotten.
"""

from collections.abc import Collection
from contextlib import suppress
from typing import Final

from exchange.kit.auth import Principal
from exchange.kit.clock import monotonic_s
from exchange.kit.database import UNANSWERED
from exchange.kit.errors import Refusal
from exchange.orders.models import LIVE_STATUSES, OrderView
from exchange.orders.withdrawals import UNCLEAR_S, Withdrawals

REMEMBERED_MIN: Final = 10_000
"""So many are remembered before it is looked which of them are live; 2 MB."""


class PlacedOrders:
    """The client order ids of one connection's orders."""

    def __init__(self, owner: Principal, withdrawals: Withdrawals) -> None:
        self._owner = owner
        self._withdrawals = withdrawals
        self._live: set[str] = set()
        self._unclear_since_s: dict[str, float] = {}
        self._look_at = REMEMBERED_MIN

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._live) + len(self._unclear_since_s)

    def add(self, view: OrderView) -> None:
        """Remember an order, if it is live."""
        if view.status not in LIVE_STATUSES:
            return
        self._live.add(view.client_order_id)
        self._look_if_many()

    def fail(self, error: Exception, names: Collection[str]) -> None:
        """Remember what may have been placed although its sender was told of an error."""
        if not isinstance(error, Refusal) or error.outcome != "not_applied":
            self.doubt(names)

    def doubt(self, names: Collection[str]) -> None:
        """Remember what may have been placed: its outcome is unknown."""
        self._unclear_since_s |= dict.fromkeys(names, monotonic_s())
        self._look_if_many()

    def discard(self, names: Collection[str]) -> None:
        """Forget orders that were withdrawn."""
        self._live.difference_update(names)

    async def withdraw(self, cause: str) -> None:
        """Return when none of them is live; what is added meanwhile is for the next call."""
        live, self._live = self._live, set()
        unclear, self._unclear_since_s = self._unclear_since_s, {}
        await self._withdrawals.withdraw(self._owner, live, cause, unclear=unclear)

    def _look_if_many(self) -> None:
        if len(self) >= self._look_at:
            self._look_at = 2 * len(self)
            self._withdrawals.start(self._forget_ended())

    async def _forget_ended(self) -> None:
        settled_s = monotonic_s() - 2 * UNCLEAR_S
        settled = {name: since_s for name, since_s in self._unclear_since_s.items() if since_s <= settled_s}
        known = {*self._live, *settled}
        with suppress(*UNANSWERED):  # looked again when there are twice as many
            live = await self._withdrawals.live(self._owner, known)
            self._live.difference_update(known - live)
            for name, since_s in settled.items():
                if self._unclear_since_s.get(name) == since_s:  # not withdrawn or in doubt anew meanwhile
                    del self._unclear_since_s[name]
                    if name in live:
                        self._live.add(name)
        self._look_at = max(REMEMBERED_MIN, 2 * len(self))
