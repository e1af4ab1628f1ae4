"""`exchange serve`: the exchange as one process, or as one of several, until it is told to stop."""

import asyncio
import contextlib
import errno
import logging
import os
import resource
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import click
import msgspec
import uvicorn

from exchange.api import create_app
from exchange.app import GIVE_UP_S, OPERATOR_KEY_FILE, Exchange, StartError
from exchange.cli.failures import CommandFailure, ExitCode
from exchange.cli.options import database_options, run
from exchange.cli.stopping import Stop
from exchange.kit import collector, logs
from exchange.kit.http_connection import ProblemProtocol, StreamProtocol
from exchange.kit.http_wire import Wire, WireLimits
from exchange.kit.settings import ROLES, Settings
from exchange.kit.tasks import end

STOP_TIMEOUT_S = 10
WEBSOCKET_BYTES_MAX = 1024 * 1024 + 64 * 1024
"""Longest message of a WebSocket that is taken in; what the stream takes is less."""
FILES_BESIDE = 256
"""Files that a server needs beside its connections."""

_log = logging.getLogger(__name__)


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
    wire: Wire | None = None,
    on_stopping: Callable[[], None] = lambda: None,
    stop_timeout_s: int = STOP_TIMEOUT_S,
) -> None:
    """Answer requests until `stopping` is set, then answer those under way and return.

    Only `trusted_proxies` may say from where a request comes: a key may be bound to networks. `wire` holds
    the limits of connections. A stop calls `on_stopping`, takes no more connections, answers what is under
    way with `Connection: close`, and after `stop_timeout_s` gives up what is left.
    """
    wire = wire or Wire()
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=partial(ProblemProtocol, wire),  # type: ignore[arg-type]  # it is called as a class would be
        ws=StreamProtocol,
        ws_max_size=WEBSOCKET_BYTES_MAX,
        ws_per_message_deflate=False,
        ws_ping_interval=wire.limits.ping_s,
        ws_ping_timeout=wire.limits.ping_s,
        access_log=False,
        log_config=None,
        lifespan="on",
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        timeout_graceful_shutdown=stop_timeout_s,
    )
    server = Server(config, on_listening)

    async def stop() -> None:
        await stopping.wait()
        wire.stop()
        on_stopping()
        server.should_exit = True

    beside = [asyncio.create_task(stop()), asyncio.create_task(wire.watch())]
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in beside:
            task.cancel()


def wire_of(settings: Settings) -> Wire:
    """Return the connections of a server, limited by settings and by the files this process may open."""
    proxies = tuple(ip_network(network) for network in settings.trusted_proxies)
    limits = WireLimits(
        head_s=settings.head_timeout_s,
        body_s=settings.body_timeout_s,
        reader_s=settings.reader_timeout_s,
        connections_max=min(settings.connections_max, _files(settings.connections_max)),
        connections_per_address_max=settings.connections_per_address_max,
        refusals=settings.rate_refusals,
        bytes=settings.rate_bytes,
    )
    return Wire(limits, proxies)


def _files(connections: int) -> int:
    """Ask for as many open files as connections need, and return how many connections there can be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return connections if soft == resource.RLIM_INFINITY else max(1, soft - FILES_BESIDE)


class Stopped(Exception):
    """The exchange was told to stop before it was up."""


async def opened(settings: Settings, stopping: asyncio.Event) -> Exchange:
    """Bring the exchange up; where it is to stop meanwhile, take down what stands of it and raise `Stopped`.

    Books that are being rebuilt take a while, and a database that does not answer takes for ever. What does
    not come down in `GIVE_UP_S` is cut off.
    """
    opening = asyncio.create_task(Exchange.open(settings), name="opening")
    told = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([opening, told], return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            opening.cancel()
            await asyncio.wait([opening], timeout=GIVE_UP_S)
    finally:
        await end([told, opening])
    if opening.cancelled():
        raise Stopped
    return opening.result()


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes any free one.")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    help="What this process does: all (the default), or as one of several gateway or engine.",
)
@click.option("--hour-seconds", type=click.FloatRange(0.01, 3600), help="Scale time: how long an hour lasts.")
@database_options
@run
async def serve(
    host: str | None,
    port: int | None,
    role: str | None,
    hour_seconds: float | None,
    database_url: str | None,
    data_dir: Path | None,
) -> None:
    """Run the exchange.

    Settings come from the environment (EXCHANGE_*, DATABASE_URL); an option given here comes first. Without a
    database an embedded PostgreSQL is started. SIGINT and SIGTERM stop it after answering what is under way;
    after SIGTERM /readyz says for EXCHANGE_DRAIN_S before that it will (a second one stops at once).

    Several processes share a database and a Redis (EXCHANGE_REDIS_URL): gateways serve callers, engines lead
    the market by turns.
    """
    settings = settings_with(
        host=host,
        port=port,
        role=role,
        seconds_per_hour=hour_seconds,
        database_url=database_url,
        data_dir=data_dir,
    )
    is_json = logs.configure(settings.log_level, settings.log_format)
    stopping = asyncio.Event()
    stop = Stop(stopping)
    stop.listen()
    listener = bound_socket(settings.host, settings.port)
    try:
        exchange = await opened(settings, stopping)
    except StartError as error:
        raise CommandFailure(str(error), ExitCode.USAGE) from error
    except Stopped:
        _log.info("stopped before the exchange was up")
        return
    try:
        address = f"http://{settings.host}:{listener.getsockname()[1]}"
        key_file = settings.data_dir.expanduser() / OPERATOR_KEY_FILE

        def announce() -> None:
            # Nobody is sent to an engine, and the one that stands by shall lead at once.
            stop.drain(0 if settings.role == "engine" else settings.drain_s, exchange.watched.drain)
            where = key_file if key_file.exists() else "as made at this database's first start"
            for text in (
                f"operator's key: {where}",
                f"exchange at {address}, API docs at {address}/schema",
            ):
                click.echo(logs.announcement(text, is_json=is_json), err=True)

        async def stop_when_ended() -> None:
            await exchange.ended.wait()
            stopping.set()

        watcher = asyncio.create_task(stop_when_ended())
        exchange.watched.connections = wire = wire_of(settings)
        app = create_app(exchange)
        collector.calm()
        await serve_until(
            app,
            listener,
            stopping,
            announce,
            trusted_proxies=settings.trusted_proxies,
            wire=wire,
            on_stopping=exchange.announce_stop,
            stop_timeout_s=settings.stop_timeout_s,
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
