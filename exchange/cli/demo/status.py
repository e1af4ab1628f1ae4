"""The demo's live line: what the market has come to, from the venue's tables."""

import asyncio
from collections import Counter
from typing import Final

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from exchange.app import Exchange
from exchange.kit.clock import format_rfc3339, us_of_hour
from exchange.kit.database import UNANSWERED
from exchange.kit.fields import format_cny
from exchange.kit.queries import load_queries

TERMINAL_EVERY_S: Final = 1.0
PIPE_EVERY_S: Final = 15.0
_queries: Final = load_queries(__package__)


async def status_line(exchange: Exchange, refused: Counter[str]) -> str:
    """Return the present state in one line, also where the database does not tell it."""
    venue_time = format_rfc3339(us_of_hour(exchange.clock.hour()))
    try:
        async with exchange.database.connection() as connection:
            totals = await connection.fetchrow(_queries.totals)
    except UNANSWERED:
        return f"venue {venue_time} · the database does not answer"
    if totals is None:
        raise AssertionError("an aggregate gives one row")
    return (
        f"venue {venue_time} · {totals['trades']} trades · {totals['gpu_hours']} GPU-hours"
        f" · {totals['leases']} leases open · {format_cny(totals['captured_fen'])} CNY by voucher"
        f" · {totals['claims_paid']} claims paid · {sum(refused.values())} refused"
    )


async def show_status(exchange: Exchange, refused: Counter[str], stopping: asyncio.Event) -> None:
    """Keep the line up to date until `stopping`: in place on a terminal, now and then on a pipe."""
    console = Console()
    if not console.is_terminal:
        while not await _set_within(stopping, PIPE_EVERY_S):
            click.echo(await status_line(exchange, refused))
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while not stopping.is_set():
            live.update(Text(await status_line(exchange, refused), overflow="ellipsis", no_wrap=True))
            await _set_within(stopping, TERMINAL_EVERY_S)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
