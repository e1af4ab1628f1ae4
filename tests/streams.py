"""A whole exchange behind a real server, and WebSocket clients that know only what they are told."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from exchange.api import create_app
from exchange.feed.desk import Services
from exchange.feed.own_orders import own_orders
from exchange.feed.stream import Gone, Sources
from exchange.kit.auth import Principal, Scope
from exchange.orders.models import NewOrder
from exchange.participants.models import KeyGrant, ParticipantKind
from exchange.participants.service import create_key
from tests.databases import patient_locks
from tests.market_world import MarketWorld, open_market
from tests.no_tls import NO_TLS

DEADLINE_S: Final = 60.0
_MESSAGE_BYTES: Final = 64 * 1024 * 1024


class Server:
    """A running exchange and its addresses."""

    def __init__(self, world: MarketWorld, port: int, http: httpx.AsyncClient) -> None:
        self.world = world
        self.url = f"ws://127.0.0.1:{port}/v1/stream"
        self.http = http


@asynccontextmanager
async def open_server(database_url: str, data_dir: Path) -> AsyncIterator[Server]:
    """Serve an exchange on a database; what it left behind must be sound.

    Tests hold its commits up by a lock, for as long as it takes to see what is told meanwhile.
    """
    with patient_locks():
        async with _serving(database_url, data_dir) as running:
            yield running


@asynccontextmanager
async def _serving(database_url: str, data_dir: Path) -> AsyncIterator[Server]:
    async with open_market(database_url, data_dir) as world:
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            create_app(world.exchange),
            ws="websockets-sansio",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
        )
        running = uvicorn.Server(config)
        serving = asyncio.create_task(running.serve(sockets=[listener]))
        async with asyncio.timeout(DEADLINE_S):
            while not running.started:  # noqa: ASYNC110 - nobody signals it
                await asyncio.sleep(0.005)
        port = listener.getsockname()[1]
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S, verify=NO_TLS
        ) as http:
            yield Server(world, port, http)
        running.should_exit = True
        await serving
        listener.close()


@asynccontextmanager
async def opened(url: str, key: str | None = None) -> AsyncIterator[ClientConnection]:
    """Open a stream, with a key or without."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with connect(
        url, additional_headers=headers, compression=None, max_size=_MESSAGE_BYTES
    ) as connection:
        yield connection


async def send(connection: ClientConnection, **message: Any) -> None:
    """Send a message."""
    await connection.send(json.dumps(message))


async def receive(connection: ClientConnection) -> Any:
    """Return the next message."""
    async with asyncio.timeout(DEADLINE_S):
        return json.loads(await connection.recv())


async def ask(connection: ClientConnection, **message: Any) -> Any:
    """Send a request, and return its answer; whatever comes before that is passed over."""
    await send(connection, **message)
    while True:
        told = await receive(connection)
        if told.get("id") == message["id"]:
            return told


async def key_of(world: MarketWorld, principal: Principal, *scopes: Scope) -> str:
    """Make a key for a participant."""
    grant = KeyGrant(participant_id=principal.participant_id, scopes=frozenset(scopes or (Scope.READ,)))
    async with world.database.transaction() as connection:
        return (await create_key(connection, None, grant, world.now_us))[1]


async def trading_key_of(world: MarketWorld, principal: Principal) -> str:
    """Make a key with which a participant reads and places orders."""
    places = Scope.TRADE if principal.kind == ParticipantKind.BUYER else Scope.LIST_CAPACITY
    return await key_of(world, principal, Scope.READ, places)


def body_of(order: NewOrder, **other: Any) -> dict[str, Any]:
    """Return an order as it is sent."""
    body: dict[str, Any] = {
        name: value for name, value in msgspec.to_builtins(order).items() if value is not None
    }
    return body | other


def sources_of(world: MarketWorld) -> Sources:
    """Return what a session of an exchange has its data from."""
    exchange = world.exchange
    return Sources(
        hub=exchange.relay.hub,
        tape=exchange.relay.tape,
        products=exchange.products,
        own_orders=partial(own_orders, exchange.database),
        books=exchange.books,
        services=Services(
            orders=exchange.orders,
            switches=exchange.switches,
            withdrawals=exchange.withdrawals,
            limits=exchange.watched.limits,
        ),
    )


async def until(holds: Callable[[], Any], *, every_s: float = 0.002) -> None:
    """Wait until something holds that nobody signals."""
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 - nobody signals it
            await asyncio.sleep(every_s)


class QuietSocket:
    """A client that sends what it is told to, and reads or does not."""

    def __init__(self, *, reads: bool = True) -> None:
        self.sent: list[Any] = []
        self.closed: list[tuple[int, str]] = []
        self.incoming: asyncio.Queue[str] = asyncio.Queue()
        self._reading = asyncio.Event()
        if reads:
            self.start_reading()

    def start_reading(self) -> None:
        """Read from now on."""
        self._reading.set()

    async def receive(self) -> str:
        """Return what was put in; an empty text says that the client has gone."""
        text = await self.incoming.get()
        if not text:
            raise Gone
        return text

    async def send(self, text: str) -> None:
        """Keep what is read."""
        await self._reading.wait()
        self.sent.append(json.loads(text))

    async def close(self, code: int, reason: str) -> None:
        """Keep why it ends."""
        self.closed.append((code, reason))
