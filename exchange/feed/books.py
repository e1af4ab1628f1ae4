"""The channels `book:<product>`: who follows a book has a snapshot of what is committed, then every change.

The live book of a leader is ahead of the truth while a batch commits, so a book that somebody follows is
copied once, at a moment when all that it holds is committed, and the copy goes on by the steps that the relay
tells. A gateway's book is copied the same way. Our own hub carries it, not the framework's channels: those
encode for each subscriber, wait for slow ones, and can lose a subscription to a cancellation.

Invariants: a view holds exactly what was committed through the last step that the relay told, or a moment
more where the leader was ahead of the relay when it was copied; those steps are then passed over. A delta is
encoded once, however many follow. It has all that a commit changed. To tell a thousand readers takes longer
than a commit: then a rest follows, and the next delta has all that has changed since; so the readers of one
book take about a third of a core from orders at most, however many they are.

What it costs: nothing but a look into a dictionary for each step of a book that nobody follows. The first who
follows has the book copied (while nothing else runs); the copy is dropped when the last reader leaves.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from exchange.feed.book_models import BOOK_CHANNEL
from exchange.feed.book_view import BookView
from exchange.feed.hub import Closing, Hub
from exchange.kit.errors import Unavailable
from exchange.orders.leader import Leader
from exchange.orders.models import Step
from exchange.products.models import ProductSpec

LOOK_S: Final = 0.05
REST: Final = 2.0
"""For so many times as long as it took to tell the readers of a book, nothing more of it is told."""
ORDERS_A_REQUEST: Final = 100
"""So many orders of a snapshot, or of a checksum, cost as much as another request."""
COST_MAX: Final = 1_000

_log = logging.getLogger(__name__)


class BookFeed:
    """The books that somebody follows. The relay tells it of every step, its leader of every commit."""

    def __init__(self, hub: Hub, products: Mapping[str, ProductSpec], leaders: Mapping[int, Leader]) -> None:
        self._hub = hub
        self._products = products
        self._leaders = leaders
        self._views: dict[str, BookView] = {}
        self._waiting: dict[str, asyncio.Event] = {}
        self._committed: dict[int, int] = {}
        hub.on_left.append(self._drop)

    def cost(self, product_id: str) -> int:
        """Return how many further requests a snapshot is worth; raises `Unavailable`."""
        orders = self._leader(product_id).book(product_id).orders
        return min(len(orders) // ORDERS_A_REQUEST, COST_MAX)

    async def view(self, product_id: str) -> BookView:
        """Return a product's book for a reader that has subscribed; raises `Unavailable` where there is none.

        What it holds when this returns is what the next delta follows.
        """
        while product_id not in self._views and not self._copy(product_id):
            moved = self._waiting.setdefault(product_id, asyncio.Event())
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await moved.wait()
        return self._views[product_id]

    def committed(self, partition_id: int, steps: Sequence[Step]) -> None:
        """Hear of a commit of this process, before anything else is done to its books."""
        if steps:
            self._committed[partition_id] = steps[-1].sequence
            self._copy_waiting(partition_id)

    def take(self, partition_id: int, step: Step) -> None:
        """Take in the next step that is told, and tell what it changed."""
        if self._waiting:
            self._copy_waiting(partition_id)
        view = self._views.get(step.product_id)
        if view is None:
            return
        try:
            view.take(step)
        except Exception:  # noqa: BLE001 - the view is of no use now, and the feed must go on
            self._give_up(view)
        else:
            self._tell_later(view)

    def _tell_later(self, view: BookView) -> None:
        """Tell a view's readers once the commit is taken in whole, and they have had time for the last."""
        if view.is_due or not view.has_news:
            return
        view.is_due = True
        loop = asyncio.get_running_loop()
        if view.rests_until_s <= loop.time():
            loop.call_soon(self._tell, view)
        else:
            loop.call_at(view.rests_until_s, self._tell, view)

    def _tell(self, view: BookView) -> None:
        if self._views.get(view.product_id) is not view:
            return
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        try:
            delta = view.delta()
        except Exception:  # noqa: BLE001 - as in `take`
            self._give_up(view)
            return
        if delta is not None:
            self._hub.publish(view.channel, delta)
        # Runs after all readers that this has woken.
        loop.call_soon(self._told, view, begun_s)

    def _told(self, view: BookView, begun_s: float) -> None:
        now_s = asyncio.get_running_loop().time()
        view.rests_until_s = now_s + REST * (now_s - begun_s)
        view.is_due = False
        self._tell_later(view)

    def _give_up(self, view: BookView) -> None:
        """Let the readers of a view that does not fit come back for another one."""
        _log.exception("the book of %s does not fit what was committed", view.channel)
        del self._views[view.product_id]
        self._hub.close_channel(view.channel, Closing.MISSED)

    def miss(self) -> None:
        """Forget every book: steps were passed over, and whoever reads is closed."""
        self._views.clear()

    def _leader(self, product_id: str) -> Leader:
        return self._leaders[self._products[product_id].partition_id]

    def _copy_waiting(self, partition_id: int) -> None:
        for product_id in list(self._waiting):
            if self._products[product_id].partition_id != partition_id:
                continue
            if not self._hub.has_readers(f"{BOOK_CHANNEL}{product_id}"):
                del self._waiting[product_id]
                continue
            # Where there is no book at all, who waits finds out by itself.
            with suppress(Unavailable):
                self._copy(product_id)

    def _copy(self, product_id: str) -> bool:
        """Begin a view of a book, unless some of what it holds may never be committed."""
        leader, partition_id = self._leader(product_id), self._products[product_id].partition_id
        book = leader.book(product_id)
        told = self._hub.sequences.get(partition_id, 0)
        # A leader that has been left behind does not know what was committed after it.
        is_behind = leader.state.sequence < told
        if is_behind or book.sequence > max(told, self._committed.get(partition_id, 0)):
            return False
        view = self._views[product_id] = BookView(partition_id, book)
        self._hub.seed(view.channel, view.sequence)
        if (waiting := self._waiting.pop(product_id, None)) is not None:
            waiting.set()
        return True

    def _drop(self, key: str) -> None:
        if key.startswith(BOOK_CHANNEL):
            self._views.pop(key.removeprefix(BOOK_CHANNEL), None)
