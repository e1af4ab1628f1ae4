"""A line to a served exchange that loses requests or answers, the client over it, and a clock made up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest

from exchange.client import ExchangeClient, retrying
from exchange.orders.models import NewOrder
from tests.e2e.served import DEADLINE_S, Caller
from tests.e2e.stage import Stage


class Line(httpx.AsyncBaseTransport):
    """A line to the exchange, on which a request or its answer is lost, one for each of `faults`."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.sent: list[tuple[str, str]] = []
        self.answered: list[int] = []
        self.on_answer: Callable[[int], None] = lambda _status: None
        self.on_loss: Callable[[], None] = lambda: None
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry a request, as far as the next fault lets it."""
        fault = self.faults.pop(0) if self.faults else ""
        self.sent.append((request.method, request.url.path))
        if fault == "there":
            raise httpx.WriteError("cut")
        if fault == "proxy":
            return httpx.Response(502, text="Bad Gateway", request=request)
        response = await self._inner.handle_async_request(request)
        if fault == "back":
            await response.aclose()
            self.on_loss()
            raise httpx.ReadError("cut")
        self.answered.append(response.status_code)
        self.on_answer(response.status_code)
        return response

    async def aclose(self) -> None:
        """Hang up."""
        await self._inner.aclose()


@asynccontextmanager
async def client_over(
    stage: Stage, caller: Caller, patience_s: float = 30.0
) -> AsyncIterator[tuple[ExchangeClient, Line]]:
    """Give a client, and the line it speaks over."""
    line = Line()
    async with httpx.AsyncClient(transport=line, timeout=DEADLINE_S) as http:
        url = str(stage.house.http.base_url)
        yield ExchangeClient(url, caller.key, http, patience_s=patience_s), line


def ask(stage: Stage, name: str, **more: object) -> NewOrder:
    return msgspec.convert(stage.order("sell", name, (0, 4), **more), NewOrder)


def made_up_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let the waits of this task take no time, and return them as they come."""
    waits: list[float] = []
    sleep, waiting = asyncio.sleep, asyncio.current_task()

    async def note(wait_s: float) -> None:
        if asyncio.current_task() is waiting:
            waits.append(wait_s)
        else:
            await sleep(wait_s)

    monkeypatch.setattr(asyncio, "sleep", note)
    return waits


def made_up_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let the client's waits take no time and move its clock on; return them as they come."""
    waits = made_up_waits(monkeypatch)
    monkeypatch.setattr(retrying, "monotonic_s", lambda: 1_000.0 + sum(waits))
    return waits
