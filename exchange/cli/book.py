"""`exchange market PRODUCT [--watch]`: a product's book once, or live for as long as you look."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import click
from rich.console import Console
from rich.live import Live

from exchange.cli.book_screen import TRADES_SHOWN, line, picture, summary, trade_facts, trade_line
from exchange.cli.options import json_option, with_client
from exchange.cli.output import write_json
from exchange.client import ExchangeClient, OrderBook
from exchange.client.watching import NewTrades
from exchange.feed.book_models import BOOK_CHANNEL, BookChecksum, BookDelta, BookSnapshot
from exchange.feed.models import TRADES_CHANNEL, TradeView

REDRAW_S: Final = 0.1
"""Changes that come within this are drawn together."""

News = OrderBook | TradeView


class ProductGroup(click.Group):
    """A group whose first word may be a product: then its book is meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that some words mean."""
        # Ids of products have dots, names of commands have none.
        if args and "." in args[0] and args[0] not in self.commands:
            return book.name, book, args
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            ctx.fail(
                f"{args[0]!r} is no product and no command: `exchange market products` lists the products,"
                " and --help the commands"
            )
        return super().resolve_command(ctx, args)


@click.command()
@click.argument("product")
@click.option("--watch", is_flag=True, help="Go on, and show every change; Ctrl-C ends it.")
@click.option("--limit", type=click.IntRange(1), help="With --watch: end after so many changes and trades.")
@json_option
@with_client
async def book(client: ExchangeClient, product: str, watch: bool, limit: int | None, as_json: bool) -> None:
    """Show the order book of PRODUCT; `book` may be left out.

    --watch redraws it as it changes, with the last trades. On a pipe it writes a line for each change and
    each trade, and with --json a line of JSON. A connection that is lost is made anew.
    """
    if not watch:
        whole = await client.fetch_order_book(product)
        if as_json:
            write_json({**summary(whole), "orders": list(whole.orders.values())})
        else:
            Console(highlight=False).print(picture(whole, []))
        return
    console = Console(highlight=False)
    if as_json or not console.is_terminal:
        await _write_lines(client, product, limit, as_json=as_json)
    else:
        await _draw(client, product, limit, console)


async def _write_lines(client: ExchangeClient, product: str, limit: int | None, *, as_json: bool) -> None:
    told = 0
    async with aclosing(_news(client, product)) as news:
        async for each in news:
            if as_json:
                write_json(summary(each) if isinstance(each, OrderBook) else trade_facts(each))
            else:
                click.echo(line(each) if isinstance(each, OrderBook) else trade_line(each))
            told += 1
            if told == limit:
                return


async def _draw(client: ExchangeClient, product: str, limit: int | None, console: Console) -> None:
    shown = OrderBook(product)
    trades: list[TradeView] = []
    changed = asyncio.Event()

    async def listen() -> None:
        nonlocal shown
        told = 0
        async with aclosing(_news(client, product)) as news:
            async for each in news:
                if isinstance(each, OrderBook):
                    shown = each
                else:
                    trades.insert(0, each)
                    del trades[TRADES_SHOWN:]
                changed.set()
                told += 1
                if told == limit:
                    return

    listening = asyncio.create_task(listen(), name="book")
    listening.add_done_callback(lambda _: changed.set())
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while not listening.done():
                await changed.wait()
                changed.clear()
                live.update(picture(shown, trades), refresh=True)
                await asyncio.sleep(REDRAW_S)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    if not listening.cancelled():
        listening.result()
    # What was seen last stays to be read.
    console.print(picture(shown, trades))


async def _news(client: ExchangeClient, product: str) -> AsyncGenerator[News]:
    """Yield the book after each change, and each trade, in the order in which they happened."""
    channel = f"{BOOK_CHANNEL}{product}"
    followed, new_trades = OrderBook(product), NewTrades()
    async with (
        client.stream(channel, f"{TRADES_CHANNEL}{product}") as stream,
        aclosing(stream.events()) as events,
    ):
        async for event in events:
            if not isinstance(event, BookSnapshot | BookDelta | BookChecksum):
                for trade in new_trades.of(event):
                    yield trade
            elif followed.apply(event):
                yield followed
            else:
                await stream.resync(channel)
