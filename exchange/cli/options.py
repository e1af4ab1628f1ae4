"""Options that commands share, and the decorators that turn them into an open client or database."""

import asyncio
import functools
import os
import re
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import click
import httpx
import uvloop

from exchange.cli.failures import WANTS_JSON, CommandFailure, ExitCode
from exchange.cli.times import START_FORMS, TimeFaultError, parse_duration
from exchange.client import ExchangeClient

_KEY: Final = re.compile(r"[\x21-\x7e]*")
DEFAULT_URL: Final = "http://127.0.0.1:8000"
P = ParamSpec("P")
T = TypeVar("T")


def _note_json(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    # Failures are told by the group, after the command's own context is gone.
    ctx.meta[WANTS_JSON] = value
    return value


json_option = click.option(
    "--json", "as_json", is_flag=True, callback=_note_json, help="Write JSON instead of text."
)
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask before doing it.")
start_option = click.option("--start", default="now", show_default=True, help=f"When: {START_FORMS}.")


class DurationType(click.ParamType[int]):
    """A duration such as `6h` or `7d`, as whole hours."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the hours."""
        if isinstance(value, int):
            return value
        try:
            return parse_duration(value)
        except TimeFaultError as fault:
            self.fail(str(fault), param, ctx)


DURATION: Final = DurationType()


def run(command: Callable[P, Awaitable[T]]) -> Callable[P, T]:
    """Make a command of an async function."""

    @functools.wraps(command)
    def runs(*args: P.args, **kwargs: P.kwargs) -> T:
        async def whole() -> T:
            return await command(*args, **kwargs)

        return run_to_end(whole())

    return runs


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the fast event loop, and return what it returns."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def with_client(command: Callable[Concatenate[ExchangeClient, P], Awaitable[T]]) -> Callable[..., T]:
    """Give an async command a client as its first argument, from --url/EXCHANGE_URL and EXCHANGE_KEY."""

    @click.option(
        "--url", envvar="EXCHANGE_URL", default=DEFAULT_URL, show_default=True, help="The exchange."
    )
    @functools.wraps(command)
    def runs(*args: Any, **kwargs: Any) -> T:
        url: str = kwargs.pop("url")
        # The key comes by the environment only: an argument would show in the list of processes.
        key = os.environ.get("EXCHANGE_KEY", "").strip()
        if not _KEY.fullmatch(key):
            # Without the text itself: it may be a key and something more.
            raise CommandFailure("EXCHANGE_KEY is no key: one has no spaces and is ASCII", ExitCode.USAGE)
        try:
            client = ExchangeClient(url, key)
        except httpx.InvalidURL as error:
            raise CommandFailure(f"{url!r} is no address of an exchange: {error}", ExitCode.USAGE) from error

        async def whole() -> T:
            async with client:
                return await command(client, *args, **kwargs)

        return run_to_end(whole())

    return runs


def database_options(command: Callable[P, T]) -> Callable[P, T]:
    """Add --database-url and --data-dir."""
    command = click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of the embedded PostgreSQL, used where no database is named.",
    )(command)
    return click.option(
        "--database-url",
        envvar="DATABASE_URL",
        help="A PostgreSQL 16 or newer; else an embedded one is used.",
    )(command)
