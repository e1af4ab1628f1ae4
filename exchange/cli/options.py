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
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.cli.failures import WANTS_JSON, CommandFailure, ExitCode
from exchange.cli.times import START_FORMS, TimeFaultError, parse_duration, parse_moment
from exchange.client import ExchangeClient
from exchange.kit.signing_keys import BadKey, read_private_key

_KEY: Final = re.compile(r"[\x21-\x7e]*")
PORTS: Final = 65_536
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


class MomentType(click.ParamType[int]):
    """A moment such as 2026-11-23T09:00:00Z, in microseconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the microseconds."""
        if isinstance(value, int):
            return value
        try:
            return parse_moment(value)
        except TimeFaultError as fault:
            self.fail(str(fault), param, ctx)


MOMENT: Final = MomentType()


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
    """Give an async command a client as its first argument, from --url/EXCHANGE_URL and EXCHANGE_KEY.

    With EXCHANGE_SIGNING_KEY, the file of a private key, its requests are signed.
    """

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
            _judge_address(url)
            client = ExchangeClient(url, key, signing_key=_signing_key())
        except httpx.InvalidURL as error:
            raise CommandFailure(f"{url!r} is no address of an exchange: {error}", ExitCode.USAGE) from error
        except ValueError as error:
            detail = f"EXCHANGE_SIGNING_KEY needs EXCHANGE_KEY beside it: {error}"
            raise CommandFailure(detail, ExitCode.USAGE) from error

        async def whole() -> T:
            async with client:
                return await command(client, *args, **kwargs)

        return run_to_end(whole())

    return runs


def _judge_address(text: str) -> None:
    """Raise `httpx.InvalidURL` where httpx itself would, and where it would only fail to connect."""
    url = httpx.URL(text)
    if url.scheme not in {"http", "https"} or not url.host:
        raise httpx.InvalidURL("it begins with http:// or https:// and names a host")
    if url.port is not None and not 0 < url.port < PORTS:
        raise httpx.InvalidURL(f"a port is from 1 to {PORTS - 1}")


def _signing_key() -> Ed25519PrivateKey | None:
    """Return the private key in the file that EXCHANGE_SIGNING_KEY names, None where it names none."""
    file = os.environ.get("EXCHANGE_SIGNING_KEY", "").strip()
    if not file:
        return None
    try:
        return read_private_key(Path(file).expanduser().read_bytes())
    except OSError as error:
        raise CommandFailure(f"EXCHANGE_SIGNING_KEY: {error}", ExitCode.USAGE) from error
    except BadKey as error:
        detail = f"EXCHANGE_SIGNING_KEY: what is in {file} must {error}"
        raise CommandFailure(detail, ExitCode.USAGE) from error


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
