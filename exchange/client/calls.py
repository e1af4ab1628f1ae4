"""What the calls of every part of the client are made of: one request, or a list page by page."""

import secrets
from collections.abc import AsyncIterator, Mapping
from typing import TypeVar
from urllib.parse import quote

import msgspec

from exchange.client.transport import QueryValue, Transport

PAGE_ROWS = 1000
T = TypeVar("T")


class ClientPage(msgspec.Struct, frozen=True):
    """One page of a list, its rows still encoded."""

    data: list[msgspec.Raw]
    next_cursor: str | None = None


class Calls:
    """Calls over one transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def _once(
        self, method: str, path: str, answer: type[T], body: object = None, once_key: str | None = None
    ) -> T:
        """Send a request that has one effect under its key, however often it is sent."""
        headers = {"Idempotency-Key": once_key or secrets.token_hex(16)}
        return await self._transport.call(method, path, answer, body=body, headers=headers, again=True)

    async def _list(
        self, path: str, row_type: type[T], limit: int | None, filters: Mapping[str, QueryValue]
    ) -> AsyncIterator[T]:
        """Yield the first `limit` rows of a list, or all; a page is fetched once the one before is read."""
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            rows = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
            query = {**filters, "limit": rows, "cursor": cursor}
            page = await self._transport.call("GET", path, ClientPage, query=query)
            for row in page.data[:rows]:
                yield msgspec.json.decode(row, type=row_type)
            left = None if left is None else left - len(page.data)
            cursor = page.next_cursor
            if cursor is None:
                return


def segment(name: str) -> str:
    """Return an id as one part of a path, whatever it holds."""
    return quote(name, safe="")
