"""What happens as it happens: your orders, a product's trades, a product's book.

Each is a generator with a connection of its own, which is made anew where it is lost, and then goes on
without a gap. Close it (`contextlib.aclosing`) where you stop before its end; it ends with an error only. To
follow more over one connection use `ExchangeClient.stream`.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from exchange.client.calls import Calls
from exchange.client.order_book import OrderBook
from exchange.client.stream import OrderStream, StreamEvent
from exchange.feed.book_models import BOOK_CHANNEL, BookChecksum, BookDelta, BookSnapshot
from exchange.feed.models import ORDERS_CHANNEL, TRADES_CHANNEL, Delta, Snapshot, TradeView


class NewTrades:
    """Tells which of a product's trades are new, whatever a snapshot tells again."""

    def __init__(self) -> None:
        self._last = (0, 0)

    def of(self, event: StreamEvent) -> list[TradeView]:
        """Return the trades of an event that none before it had, oldest first."""
        told = event.trades or [] if isinstance(event, Snapshot | Delta) else []
        new = sorted((each for each in told if _place(each) > self._last), key=_place)
        if new:
            self._last = _place(new[-1])
        return new


def _place(trade: TradeView) -> tuple[int, int]:
    return (trade.sequence, trade.number)


class WatchCalls(Calls):
    """What is told over WebSockets."""

    def stream(self, *channels: str, cancel_on_disconnect: bool = False) -> OrderStream:
        """Return a connection to place orders over and to follow channels.

        They are `orders`, `trades:<product>` and `book:<product>`.
        """
        return OrderStream(self._transport, channels, cancel_on_disconnect=cancel_on_disconnect)

    async def watch_orders(self) -> AsyncGenerator[StreamEvent]:
        """Yield what happens to your orders, beginning with those that are live; see `OwnOrders`."""
        async with self.stream(ORDERS_CHANNEL) as stream, aclosing(stream.events()) as events:
            async for event in events:
                yield event

    async def watch_trades(self, product: str) -> AsyncGenerator[list[TradeView]]:
        """Yield the latest trades of a product, then further ones; oldest first, none twice."""
        new_trades = NewTrades()
        async with self.stream(f"{TRADES_CHANNEL}{product}") as stream, aclosing(stream.events()) as events:
            async for event in events:
                new = new_trades.of(event)
                if new or isinstance(event, Snapshot):
                    yield new

    async def watch_order_book(self, product: str) -> AsyncGenerator[OrderBook]:
        """Yield a product's book after each change: the same object, whole, and for you to read only."""
        channel = f"{BOOK_CHANNEL}{product}"
        book = OrderBook(product)
        async with self.stream(channel) as stream, aclosing(stream.events()) as events:
            async for event in events:
                if not isinstance(event, BookSnapshot | BookDelta | BookChecksum):
                    continue
                if isinstance(event, BookSnapshot):
                    # Whoever answers now says what the book is, also where it is behind who answered before.
                    book.begin_anew()
                if book.apply(event):
                    yield book
                else:
                    await stream.resync(channel)

    async def fetch_order_book(self, product: str) -> OrderBook:
        """Return a product's whole book as it is now."""
        async with aclosing(self.watch_order_book(product)) as books:
            return await anext(books)
