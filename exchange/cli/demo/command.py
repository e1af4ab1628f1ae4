"""The command: brings everything up with visible steps, lets the market live, takes everything down."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import click
import httpx

from exchange.api import create_app
from exchange.app import OPERATOR_KEY_FILE, Exchange, StartError
from exchange.cli.demo.agents import Agent, BuyerAgent, IssuerAgent, ProviderAgent, Scene, Traded, live_all
from exchange.cli.demo.cast import BUYERS, PROGRAMMES, PROVIDERS
from exchange.cli.demo.curls import curl_commands, exports
from exchange.cli.demo.keyring import Keyring
from exchange.cli.demo.setup import DemoMarket
from exchange.cli.demo.status import show_status, status_line
from exchange.cli.failures import CommandFailure, ExitCode
from exchange.cli.options import database_options, run
from exchange.cli.serve import (
    Stopped,
    bound_socket,
    opened,
    serve_until,
    settings_with,
    wire_of,
)
from exchange.cli.stopping import Stop
from exchange.client import ApiProblem, ExchangeClient
from exchange.kit.clock import monotonic_s, wall_now_us
from exchange.kit.migrate import MigrationError
from exchange.kit.settings import Settings

CHECKOUT: Final = Path(__file__).resolve().parents[3]
HOUR_S: Final = 20.0
OPENING_BIDS: Final = 12


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on.  [default: 8000]")
@click.option("--hour-seconds", type=click.FloatRange(0.5, 3600), default=HOUR_S, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the simulated participants.")
@click.option("--for", "seconds", type=click.FloatRange(1), help="Stop after so many seconds.")
@database_options
@run
async def demo(
    port: int | None,
    hour_seconds: float,
    seed: int,
    seconds: float | None,
    database_url: str | None,
    data_dir: Path | None,
) -> None:
    """Run an exchange with a live, simulated market, and show how to use it.

    Time runs fast: one delivery hour lasts --hour-seconds. Data and keys stay in the data folder (var/demo of
    the checkout), so a second start goes on where the first was stopped. Ctrl-C stops it.
    """
    settings = settings_with(
        port=port,
        seconds_per_hour=hour_seconds,
        database_url=database_url,
        data_dir=data_dir or default_data_dir(),
    )
    # What the newcomer should know is on the screen; only what goes wrong is logged beside it.
    logging.basicConfig(level=logging.ERROR)
    stopping = asyncio.Event()
    Stop(stopping).listen()
    if seconds is not None:
        asyncio.get_running_loop().call_later(seconds, stopping.set)
    try:
        async with running_exchange(settings, stopping) as (exchange, url):
            await _market_day(exchange, url, seed, hour_seconds, stopping)
            click.echo("stopping ...")
    except Stopped:
        click.echo()  # the step that was under way has no end
    click.echo("stopped; the data stays in " + str(settings.data_dir))


def default_data_dir() -> Path:
    """Return var/demo of the checkout, or a folder of the user's own where that is not to be written."""
    in_checkout = CHECKOUT / "var" / "demo"
    nearest = next(folder for folder in (in_checkout, *in_checkout.parents) if folder.exists())
    if os.access(nearest, os.W_OK):
        return in_checkout
    return Settings().data_dir.expanduser() / "demo"


@contextlib.asynccontextmanager
async def running_exchange(
    settings: Settings, stopping: asyncio.Event
) -> AsyncIterator[tuple[Exchange, str]]:
    """Give a served exchange and its address; afterwards answer what is under way and stop everything.

    Raises `Stopped` where it is told to stop before it is up.
    """
    listener = bound_socket(settings.host, settings.port)
    url = f"http://{settings.host}:{listener.getsockname()[1]}"
    with _step("PostgreSQL, schema, catalogue, order books"):
        try:
            exchange = await opened(settings, stopping)
        except (StartError, MigrationError) as error:
            listener.close()
            ours = settings.database_url is None
            advice = f"; to begin anew, remove the demo's data: {settings.data_dir}" if ours else ""
            raise CommandFailure(f"{error}{advice}", ExitCode.USAGE) from error
    try:
        exchange.watched.connections = wire = wire_of(settings)
        listening, stop_serving = asyncio.Event(), asyncio.Event()
        serving = asyncio.create_task(
            serve_until(
                create_app(exchange),
                listener,
                stop_serving,
                listening.set,
                trusted_proxies=settings.trusted_proxies,
                wire=wire,
                on_stopping=exchange.announce_stop,
                stop_timeout_s=settings.stop_timeout_s,
            )
        )
        # However it ends, nobody waits for it in vain.
        serving.add_done_callback(lambda _done: listening.set())
        try:
            with _step(f"HTTP server on {url}"):
                await listening.wait()
            yield exchange, url
        finally:
            stop_serving.set()
            await asyncio.gather(serving, return_exceptions=True)
    finally:
        await exchange.close()


async def _market_day(
    exchange: Exchange, url: str, seed: int, hour_s: float, stopping: asyncio.Event
) -> None:
    """Set the participants up, show the newcomer what to do, and let the market live until `stopping`."""
    folder = exchange.settings.data_dir.expanduser()
    operator_key = (folder / OPERATOR_KEY_FILE).read_text().strip()
    async with httpx.AsyncClient(timeout=30.0) as http:
        market = DemoMarket(url, operator_key, Keyring(folder), http)
        with _step("participants, money, voucher programmes"):
            await market.register()
            await market.fund()
            await market.open_programmes()
        async with ExchangeClient(url, http=http) as anyone:
            listed = [Traded(description) for description in await anyone.products()]
        offered = {product_id for provider in PROVIDERS for product_id in provider.gpus}
        products = {product.id: product for product in listed if product.id in offered}
        scene = Scene(market, products, hour_s, f"{wall_now_us():x}")
        with _step("first offers and bids"):
            agents = await _open_market(scene, seed)
        _welcome(market, hour_s)
        simulation = asyncio.create_task(live_all(agents, scene, click.echo))
        simulation.add_done_callback(lambda _done: stopping.set())
        try:
            await show_status(exchange, scene.refused, stopping)
        finally:
            simulation.cancel()
            await asyncio.wait([simulation])
        click.echo(await status_line(exchange, scene.refused))
        if not simulation.cancelled() and (failure := simulation.exception()) is not None:
            raise failure


async def _open_market(scene: Scene, seed: int) -> list[Agent]:
    """List the first capacity and place the first bids, so that a newcomer finds a market."""
    providers = [ProviderAgent(scene, provider, seed) for provider in PROVIDERS]
    buyers = [BuyerAgent(scene, buyer, seed) for buyer in BUYERS]
    issuers = [IssuerAgent(scene, programme.issuer, seed) for programme in PROGRAMMES]
    for provider in providers:
        await provider.publish_list_prices()
        await provider.find_listed()
        await _list(scene, provider)
    for number in range(OPENING_BIDS):
        try:
            await buyers[number % len(buyers)].bid()
        except ApiProblem as problem:
            scene.refuse(problem)
    return [*providers, *buyers, *issuers]


async def _list(scene: Scene, provider: ProviderAgent) -> None:
    """List a provider's first capacity; once more where an hour began between its question and its offer."""
    try:
        await provider.list_capacity()
    except ApiProblem as problem:
        scene.refuse(problem)
        await provider.list_capacity()


def _welcome(market: DemoMarket, hour_s: float) -> None:
    click.echo(
        f"\nThe exchange runs at {market.url}; one hour lasts {hour_s:g} s. API docs: {market.url}/schema"
    )
    for who, command in curl_commands(market):
        click.echo(f"\n# {who}\n{command}")
    click.echo("\nFor the commands of `exchange` in a second terminal, as README.md shows them:")
    click.echo("\n".join(exports(market)))
    click.echo("\nCtrl-C stops it.\n")


@contextlib.contextmanager
def _step(name: str) -> Iterator[None]:
    """Show a step while it lasts, and how long it took."""
    click.echo(f"{name} ... ", nl=False)
    begun_s = monotonic_s()
    yield
    click.echo(f"{monotonic_s() - begun_s:.1f} s")
