"""Market data over HTTP and WebSocket.

Public: prices and volumes of an open venue are everyone's; who trades is only the regulator's business. Needs
`market` (`MarketService`), `relay` (`Relay`), `books` (`BookFeed`), `orders`, `switches`, `withdrawals`,
`limits`, `database`, `authenticator`, `sessions` and `key_ends` (`KeyEnds`) in the application's state. A key
that signs its requests signs the one that opens the stream; one with a cookie must come from the exchange's
own pages.
"""

from contextlib import ExitStack
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Controller, WebSocket, get, websocket
from litestar.datastructures import State
from litestar.exceptions import WebSocketDisconnect
from litestar.params import FromPath
from litestar.response import Response

from exchange.feed.desk import Services
from exchange.feed.models import STREAM_PATH, CalendarView, DepthView, MarketView, TapeView, TickerView
from exchange.feed.own_orders import own_orders
from exchange.feed.service import QUANTITY_GPUS_MAX, MarketService
from exchange.feed.stream import Gone, Session, Sources
from exchange.feed.tape import TRADES_KEPT
from exchange.kit.auth import Authenticator, Principal
from exchange.kit.fields import TimeText
from exchange.kit.http_auth import principal_of, public
from exchange.kit.http_cached import answer_unless_known
from exchange.kit.http_described import revalidates
from exchange.kit.http_limits import address_of
from exchange.kit.http_request import ApiRequest
from exchange.kit.http_scope import request_id_of
from exchange.kit.key_ends import KeyEnds


class CalendarQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which delivery hours; by default the next seven days."""

    starts_at: TimeText | None = None
    ends_at: TimeText | None = None


class DepthQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which window; with `hours` the cheapest run of that length inside it. No quantity: everything."""

    starts_at: TimeText
    ends_at: TimeText
    hours: Annotated[int, msgspec.Meta(ge=1, le=8784)] | None = None
    quantity_gpus: Annotated[int, msgspec.Meta(ge=1, le=QUANTITY_GPUS_MAX)] | None = None


class TapeQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many trades."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=TRADES_KEPT)] = 100


def _market(request: ApiRequest) -> MarketService:
    market: MarketService = request.app.state.market
    return market


class MarketController(Controller):
    """What can be bought and sold at which price, and what was."""

    path = "/v1/market"
    tags = ("Market data",)
    opt = public() | revalidates()

    @get("", summary="Summarise all products with activity")
    async def summary(self, request: ApiRequest) -> Response[MarketView]:
        """Every product that has live orders or has traded, in one line each."""
        return answer_unless_known(request, _market(request).summary())

    @get("/{product:str}/calendar", opt=public(query=CalendarQuery), summary="Read prices hour by hour")
    async def calendar(self, request: ApiRequest, product: FromPath[str]) -> Response[CalendarView]:
        """For each delivery hour the cheapest ask, the best bid and the free GPUs."""
        query, faults = request.query_with_holes(CalendarQuery)
        found = _market(request).calendar(product, query.starts_at, query.ends_at, faults)
        return answer_unless_known(request, found)

    @get("/{product:str}/depth", opt=public(query=DepthQuery), summary="Read what would fill at which price")
    async def depth(self, request: ApiRequest, product: FromPath[str]) -> Response[DepthView]:
        """What a bid for the window would fill now, price by price, without capacity reserved for others."""
        query, faults = request.query_with_holes(DepthQuery)
        found = _market(request).depth(
            product, query.starts_at, query.ends_at, query.hours, query.quantity_gpus, faults
        )
        return answer_unless_known(request, found)

    @get("/{product:str}/trades", opt=public(query=TapeQuery), summary="Read the latest trades")
    async def trades(self, request: ApiRequest, product: FromPath[str]) -> Response[TapeView]:
        """The tape, newest first."""
        return answer_unless_known(request, _market(request).tape(product, request.query(TapeQuery).limit))

    @get("/{product:str}/ticker", summary="Read a product's market in short")
    async def ticker(self, request: ApiRequest, product: FromPath[str]) -> Response[TickerView]:
        """Last price, best prices of the next 24 delivery hours, and the last 24 hours of trading."""
        return answer_unless_known(request, _market(request).ticker(product))


class _LitestarSocket:
    """A Litestar WebSocket as a session knows it."""

    def __init__(self, socket: WebSocket[Any, Any, State]) -> None:
        self._socket = socket

    async def receive(self) -> str | bytes:
        """Return the next message; bytes for a binary one."""
        event = await self._socket.receive()
        if event["type"] != "websocket.receive":
            raise Gone
        text: str | None = event.get("text")
        return (event.get("bytes") or b"") if text is None else text

    async def send(self, text: str) -> None:
        """Send a message."""
        try:
            await self._socket.send_data(text)
        except WebSocketDisconnect as error:
            raise Gone from error

    async def close(self, code: int, reason: str) -> None:
        """Close the connection."""
        try:
            await self._socket.close(code, reason)
        except WebSocketDisconnect as error:
            raise Gone from error


async def _principal_of(socket: WebSocket[Any, Any, State]) -> Principal | None:
    """Return whose key the connection came with, None without one; raises if bad."""
    authenticator: Authenticator = socket.app.state.authenticator
    sessions: Authenticator | None = socket.app.state.get("sessions")
    return await principal_of(socket.scope, authenticator, sessions)


@websocket(STREAM_PATH, opt=public())
async def stream(socket: WebSocket[Any, Any, State]) -> None:
    """Serve live market data, and with a key its owner's orders: those to read, and those to place."""
    principal = await _principal_of(socket)
    state = socket.app.state
    sources = Sources(
        hub=state.relay.hub,
        tape=state.relay.tape,
        products=state.market.products,
        own_orders=partial(own_orders, state.database),
        books=state.books,
        services=Services(
            orders=state.orders,
            switches=state.switches,
            withdrawals=state.withdrawals,
            limits=state.limits,
        ),
    )
    await socket.accept()
    session = Session(
        _LitestarSocket(socket),
        sources,
        principal,
        request_id=request_id_of(socket.scope),
        address=address_of(socket.scope),
    )
    key_ends: KeyEnds = state.key_ends
    with ExitStack() as held:
        if principal is not None:
            held.enter_context(key_ends.held(principal.key_id))
            if principal.session_id is not None:
                held.enter_context(key_ends.held(principal.session_id))
        await session.run()
