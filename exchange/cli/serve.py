"""`exchange serve`: the exchange as one process, until it is told to stop."""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
import uvicorn

from exchange.app import OPERATOR_KEY_FILE, Exchange, StartError, create_app
from exchange.cli.failures import CommandFailure, ExitCode
from exchange.cli.options import database_options, run
from exchange.kit.http_wire import ProblemProtocol
from exchange.kit.settings import Settings

DRAIN_TIMEOUT_S = 10


class Server(uvicorn.Server):
    """A server that leaves signals to us, so that we exit with our own code, and tells when it listens."""

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_listening = on_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started:
            self._on_listening()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install nothing."""
        yield


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket, so that a taken port is told before anything is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By its protocol number asyncio knows that it may send small packets at once; uvloop does so anyway.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        advice = (
            "; another program uses the port: choose one with --port, or EXCHANGE_PORT in the environment"
            if error.errno == errno.EADDRINUSE
            else ""
        )
        raise CommandFailure(
            f"cannot listen on {host}:{port}: {error.strerror or error}{advice}", ExitCode.UNAVAILABLE
        ) from error
    return listener


async def serve_until(
    app: Callable[..., Any],
    listener: socket.socket,
    stopping: asyncio.Event,
    on_listening: Callable[[], None],
    *,
    trusted_proxies: Sequence[str] = (),
) -> None:
    """Answer requests until `stopping` is set, then answer those under way and return.

    Only `trusted_proxies` may say from where a request comes: a key may be bound to networks.
    """
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=ProblemProtocol,
        ws="websockets-sansio",
        access_log=False,
        log_config=None,
        lifespan="on",
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        timeout_graceful_shutdown=DRAIN_TIMEOUT_S,
    )
    server = Server(config, on_listening)

    async def stop() -> None:
        await stopping.wait()
        server.should_exit = True

    stopper = asyncio.create_task(stop())
    try:
        await server.serve(sockets=[listener])
    finally:
        stopper.cancel()


def stop_on_signals(stopping: asyncio.Event) -> None:
    """Set `stopping` on SIGINT and SIGTERM."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes any free one.")
@click.option("--hour-seconds", type=click.FloatRange(0.01, 3600), help="Scale time: how long an hour lasts.")
@database_options
@run
async def serve(
    host: str | None,
    port: int | None,
    hour_seconds: float | None,
    database_url: str | None,
    data_dir: Path | None,
) -> None:
    """Run the exchange.

    Settings come from the environment (EXCHANGE_*, DATABASE_URL); an option given here comes first. Without a
    database an embedded PostgreSQL is started. SIGINT and SIGTERM stop it after answering what is under way.
    """
    settings = settings_with(
        host=host, port=port, seconds_per_hour=hour_seconds, database_url=database_url, data_dir=data_dir
    )
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    listener = bound_socket(settings.host, settings.port)
    try:
        exchange = await Exchange.open(settings)
    except StartError as error:
        raise CommandFailure(str(error), ExitCode.USAGE) from error
    try:
        address = f"http://{settings.host}:{listener.getsockname()[1]}"
        key_file = settings.data_dir.expanduser() / OPERATOR_KEY_FILE

        def announce() -> None:
            if key_file.exists():
                click.echo(f"operator's key: {key_file}", err=True)
            else:
                click.echo("operator's key: as made at this database's first start", err=True)
            click.echo(f"exchange at {address}, API docs at {address}/schema", err=True)

        async def stop_when_ended() -> None:
            await exchange.ended.wait()
            stopping.set()

        watcher = asyncio.create_task(stop_when_ended())
        await serve_until(
            create_app(exchange),
            listener,
            stopping,
            announce,
            trusted_proxies=settings.trusted_proxies,
        )
        watcher.cancel()
        if exchange.ended.is_set():
            raise CommandFailure(
                "a partition stopped: another server leads it now, or it met a fault (see the log)",
                ExitCode.UNAVAILABLE,
            )
    finally:
        await exchange.close()


def settings_with(**overrides: object) -> Settings:
    """Return the environment's settings with those overridden that are not None."""
    given = {name: value for name, value in overrides.items() if value is not None}
    return msgspec.structs.replace(Settings.from_environment(os.environ), **given)
