"""What one reader follows: its channels, from a snapshot or from where it had got to, and on from there.

A reader that names a sequence gets what came after it, where that is still at hand: of its own orders from
the journal, of a product's trades from the tape. Else it gets a snapshot that says why; of a book it always
gets one. Either way the hub goes on without a gap and tells nothing twice.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Final, TypeVar

from exchange.feed import rules
from exchange.feed.book_models import BOOK_CHANNEL
from exchange.feed.books import BookFeed
from exchange.feed.hub import Hub, Reader, encode, orders_key
from exchange.feed.models import (
    CHANNELS_MAX,
    ORDERS_CHANNEL,
    TRADES_CHANNEL,
    Delta,
    OrderNews,
    PartitionNews,
    PartitionOrders,
    Resumed,
    Snapshot,
    TradeView,
    Unsubscribed,
)
from exchange.feed.stream_models import Follow
from exchange.feed.tape import TRADES_KEPT, Tape
from exchange.kit.auth import Principal, Scope
from exchange.kit.errors import Faults
from exchange.kit.http_auth import check_scopes, requires
from exchange.products.models import ProductSpec

SNAPSHOT_TRADES: Final = 100
TOLD_AT_ONCE: Final = 200
"""News or trades of one delta where a reader goes on, unless one sequence has more."""
STEPS_A_REQUEST: Final = 100
"""So many steps of the journal cost a reader that goes on as much as another request."""
_READS: Final = requires(Scope.READ)

T = TypeVar("T", OrderNews, TradeView)
Past = Snapshot | Delta | Resumed
OwnOrders = Callable[[int, Mapping[int, int]], Awaitable[list[PartitionOrders | PartitionNews]]]


class Channels:
    """The channels of one connection."""

    def __init__(
        self,
        reader: Reader,
        principal: Principal | None,
        *,
        hub: Hub,
        tape: Tape,
        products: Mapping[str, ProductSpec],
        own_orders: OwnOrders,
        books: BookFeed,
    ) -> None:
        self._reader = reader
        self._principal = principal
        self._hub = hub
        self._tape = tape
        self._products = products
        self._own_orders = own_orders
        self._books = books
        self._followed: dict[str, None] = {}

    def cost(self, asked: Follow) -> int:
        """Return how many further requests it is worth to do what a reader asks for.

        Going on costs by the steps that are read, a book by its orders. Raises `Unavailable`.
        """
        cost = 0
        if asked.op != "unsubscribe":
            for channel in dict.fromkeys(asked.channels):
                product_id = channel.removeprefix(BOOK_CHANNEL)
                if product_id != channel and product_id in self._products:
                    cost += self._books.cost(product_id)
        if ORDERS_CHANNEL not in asked.channels:
            return cost
        return cost + sum(
            max(0, self._hub.sequences.get(int(each), 0) - since) // STEPS_A_REQUEST
            for each, since in asked.after.items()
        )

    async def follow(self, asked: Follow) -> None:
        """Do what is asked; raises `Forbidden`, or `InvalidInput` with every channel at fault."""
        self._check(asked)
        for channel in dict.fromkeys(asked.channels):
            if asked.op == "unsubscribe":
                self._followed.pop(channel, None)
                self._hub.unsubscribe(self._key(channel), self._reader)
            elif asked.op == "checksum":
                view = await self._books.view(channel.removeprefix(BOOK_CHANNEL))
                self._reader.tell(encode(view.checksum_message()))
            else:
                self._followed[channel] = None
                await self._begin(channel, {int(each): since for each, since in asked.after.items()})
        if asked.op == "unsubscribe":
            self._reader.tell(encode(Unsubscribed(channels=asked.channels, id=asked.id)))

    def _check(self, asked: Follow) -> None:
        if asked.op == "subscribe" and ORDERS_CHANNEL in asked.channels and self._principal is not None:
            check_scopes(self._principal, _READS)
        faults = Faults()
        if not asked.channels:
            faults.add("/channels", "too_short", "must name at least one channel")
        for index, channel in enumerate(asked.channels):
            pointer = f"/channels/{index}"
            if asked.op != "subscribe" and channel not in self._followed:
                faults.add(pointer, "not_subscribed", "is not subscribed on this connection", channel)
            elif asked.op == "subscribe":
                self._check_channel(faults, pointer, channel)
            elif asked.op == "checksum" and not channel.startswith(BOOK_CHANNEL):
                faults.add(pointer, "not_applicable", "must be book:<product>: others have none", channel)
        if len(self._followed | dict.fromkeys(asked.channels)) > CHANNELS_MAX:
            faults.add("/channels", "too_long", f"must leave at most {CHANNELS_MAX} channels subscribed")
        if asked.after and asked.op != "subscribe":
            faults.add("/after", "not_applicable", "goes with subscribe only")
        partitions = {str(each.partition_id) for each in self._products.values()}
        for partition in asked.after.keys() - partitions:
            detail = "must be the number of a partition, as snapshots and deltas tell it"
            faults.add(f"/after/{partition}", "unknown_reference", detail)
        faults.raise_if_any()

    def _check_channel(self, faults: Faults, pointer: str, channel: str) -> None:
        if channel == ORDERS_CHANNEL:
            if self._principal is None:
                faults.add(pointer, "key_needed", "needs a connection with a key of scope read", channel)
            return
        kind, colon, product_id = channel.partition(":")
        if f"{kind}{colon}" not in (TRADES_CHANNEL, BOOK_CHANNEL) or not product_id:
            rule = "must be orders, trades:<product> or book:<product>"
            faults.add(pointer, "unknown_channel", rule, channel)
        elif product_id not in self._products:
            rule = "must name a product listed by GET /v1/products"
            faults.add(pointer, "unknown_product", rule, channel)

    def _key(self, channel: str) -> str:
        if channel == ORDERS_CHANNEL and self._principal is not None:
            return orders_key(self._principal.participant_id)
        return channel

    async def _begin(self, channel: str, after: Mapping[int, int]) -> None:
        """Tell the channel's past, and every delta after it."""
        key = self._key(channel)
        self._reader.hold(key)
        self._hub.subscribe(key, self._reader)
        try:
            texts, sequences = await self._past(channel, after)
        except BaseException:
            self._followed.pop(channel, None)
            self._hub.unsubscribe(key, self._reader)
            raise
        self._reader.begin(key, texts, sequences)

    async def _past(self, channel: str, after: Mapping[int, int]) -> tuple[list[str], dict[int, int]]:
        """Return what leads a reader to a sequence of each partition, encoded, and those sequences."""
        past: list[Past] = []
        if channel.startswith(BOOK_CHANNEL):
            view = await self._books.view(channel.removeprefix(BOOK_CHANNEL))
            return [view.snapshot_text()], {view.partition_id: view.sequence}
        if channel == ORDERS_CHANNEL and self._principal is not None:
            found = await self._own_orders(self._principal.participant_id, after)
            past += [message for each in found for message in _of_orders(each)]
        else:
            product_id = channel.removeprefix(TRADES_CHANNEL)
            partition_id = self._products[product_id].partition_id
            past += self._of_trades(channel, product_id, partition_id, after.get(partition_id))
        return list(map(encode, past)), {each.partition: each.sequence for each in past}

    def _of_trades(
        self, channel: str, product_id: str, partition_id: int, since: int | None
    ) -> Iterator[Past]:
        sequence = self._hub.sequences.get(partition_id, 0)
        not_resumed = None
        if since is not None:
            missed = [rules.trade_view(each) for each in self._tape.latest(product_id, TRADES_KEPT)][::-1]
            # The oldest sequence of a tape that is full may stand on it in part.
            first = missed[0].sequence if len(missed) >= TRADES_KEPT else 0
            if first <= since <= sequence:
                last = since
                for trades in _chunks(each for each in missed if each.sequence > since):
                    through = trades[-1].sequence
                    yield Delta(
                        channel=channel,
                        partition=partition_id,
                        prev_sequence=last,
                        sequence=through,
                        trades=trades,
                    )
                    last = through
                yield Resumed(channel=channel, partition=partition_id, sequence=sequence)
                return
            not_resumed = "ahead" if since > sequence else "too_many"
        yield Snapshot(
            channel=channel,
            partition=partition_id,
            sequence=sequence,
            trades=[rules.trade_view(each) for each in self._tape.latest(product_id, SNAPSHOT_TRADES)],
            not_resumed=not_resumed,
        )


def _of_orders(found: PartitionOrders | PartitionNews) -> Iterator[Past]:
    if isinstance(found, PartitionOrders):
        yield Snapshot(
            channel=ORDERS_CHANNEL,
            partition=found.partition_id,
            sequence=found.sequence,
            orders=found.orders,
            is_complete=found.is_complete,
            not_resumed=found.not_resumed,
        )
        return
    last = found.after
    for news in _chunks(found.news):
        through = news[-1].sequence
        yield Delta(
            channel=ORDERS_CHANNEL,
            partition=found.partition_id,
            prev_sequence=last,
            sequence=through,
            orders=news,
        )
        last = through
    yield Resumed(channel=ORDERS_CHANNEL, partition=found.partition_id, sequence=found.sequence)


def _chunks(told: Iterable[T]) -> Iterator[list[T]]:
    """Cut what happened into parts, none in the middle of a sequence."""
    chunk: list[T] = []
    for _, group in groupby(told, key=lambda each: each.sequence):
        if len(chunk) >= TOLD_AT_ONCE:
            yield chunk
            chunk = []
        chunk += group
    if chunk:
        yield chunk
