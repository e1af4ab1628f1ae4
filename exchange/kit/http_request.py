"""The request our handlers receive.

Handlers declare `data: JSONBody[SomeInput]`, so Litestar documents the body; but reading it is ours: `json()`
hands the raw bytes to `http_decode`, and Litestar's own conversion then passes the finished struct through
untouched. The body is read only after the key was accepted, and never beyond the route's limit.
"""

import hashlib
import re
from collections.abc import AsyncGenerator
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import InternalServerException
from litestar.types import Empty

from exchange.kit.auth import Principal
from exchange.kit.errors import BadHeader, Fault, Faults, UnsupportedMediaType
from exchange.kit.http_auth import EACH, KEEP_FAULTS, ONCE, QUERY
from exchange.kit.http_body import cut_body, read_whole
from exchange.kit.http_decode import decoder_of
from exchange.kit.http_limits import Limits
from exchange.kit.http_pages import Part, place_in
from exchange.kit.http_query import decode_query, decode_query_with_holes
from exchange.kit.http_scope import announced_bytes, header, request_id_of

Q = TypeVar("Q", bound=msgspec.Struct)

IDEMPOTENCY_KEY_PATTERN: Final = r"[\x21-\x7e]{1,200}"
_JSON_TYPE: Final = re.compile(
    r'application/(?:[a-z0-9.-]+\+)?json\s*(?:;\s*charset="?utf-8"?\s*)?', re.IGNORECASE
)
_IDEMPOTENCY_KEY: Final = re.compile(IDEMPOTENCY_KEY_PATTERN)
_SHORT_BYTES_MAX: Final = 4 * 1024
"""No route's limit is lower, and few bodies but those of batches are longer."""


def fingerprint_of(method: str, path: str, body: bytes, query: bytes = b"") -> bytes:
    """Return what tells two requests under one Idempotency-Key apart: 32 bytes."""
    digest = hashlib.sha256(f"{method} {path}?".encode())
    digest.update(query + b"\n" + body)
    return digest.digest()


class ApiRequest(Request[Principal, Any, State]):
    """A request with its principal, its faults and its query struct."""

    __slots__ = ("_faults", "item_faults")

    _faults: Faults
    item_faults: list[Faults]
    """What is wrong with each item of the list that the route names; see `requires(each=...)`."""

    @property
    def faults(self) -> Faults:
        """What is wrong with this request so far; see `requires(keep_faults=True)`."""
        known: Faults | None = getattr(self, "_faults", None)
        if known is None:  # made at first use: most requests have none
            known = self._faults = Faults()
        return known

    @property
    def principal(self) -> Principal:
        """Who sends this; only on routes that declare `requires(...)`."""
        principal: Principal = self.scope["user"]
        return principal

    @property
    def request_id(self) -> str:
        """The id in X-Request-Id and in every problem answer."""
        return request_id_of(self.scope)

    async def charge(self, things: int) -> None:
        """Count a request for many things as so many, one of them counted already; raises `RateLimited`."""
        limits: Limits = self.app.state.limits
        await limits.charge(self.scope, self.principal, things - 1)

    def query(self, type_: type[Q]) -> Q:
        """Return the query string as the struct that the route declared with `query=`."""
        self._must_declare(type_)
        return decode_query(self.scope["query_string"], type_)

    def query_with_holes(self, type_: type[Q]) -> tuple[Q, Faults]:
        """Return the query as `query` does, `msgspec.UNSET` where it is at fault, and what is wrong with it.

        The handler adds its own faults, then calls `raise_if_any()` before it does anything.
        """
        self._must_declare(type_)
        faults = Faults("invalid_query")
        return decode_query_with_holes(self.scope["query_string"], type_, faults), faults

    def listed(
        self, type_: type[Q], list_name: str, kind: Part = Part.ID, *, otherwise: int
    ) -> tuple[Q, int]:
        """Return the query of a list, and the number that its page goes on after; raises as `query`."""
        query, faults = self.query_with_holes(type_)
        place = place_in(list_name, getattr(query, "cursor", None), kind, otherwise=otherwise, faults=faults)
        faults.raise_if_any()
        return query, place

    def _must_declare(self, type_: type[msgspec.Struct]) -> None:
        if self.route_handler.opt.get(QUERY) is not type_:
            raise TypeError(
                f"{self.route_handler} must declare query={type_.__name__}, so that it is documented"
            )

    async def body(self) -> bytes:
        """Return the raw body; an empty one as a blank, since Litestar takes empty for an absent argument.

        Raises as `content` does.
        """
        return await self.content() or b" "

    async def content(self) -> bytes:
        """Return the raw body as it came.

        Raises `UnsupportedMediaType` (415) for a compressed one, which would be as large as its sender likes,
        and `MalformedInput` (400) where it ends too early.
        """
        if self._body is not Empty:  # it is asked for more than once
            return self._body
        self._refuse_compressed()
        # As Litestar reads one of any length, without the generator that it takes for that.
        announced = announced_bytes(self.scope)
        if announced is not None and announced <= _SHORT_BYTES_MAX:
            body = await read_whole(self.receive, _SHORT_BYTES_MAX)
            self.is_connected = False
            self._body = self._connection_state.body = body
            return body
        try:
            return await super().body()
        except InternalServerException:
            if not self.is_connected:  # the body was read before, which is a fault of ours
                raise
            raise cut_body() from None

    def stream(self) -> AsyncGenerator[bytes, None]:
        """Give the body piece by piece; raises `UnsupportedMediaType` (415) for a compressed one."""
        self._refuse_compressed()
        return super().stream()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Give the body as it comes, for routes that need not hold all of it; raises as `content`."""
        try:
            async for piece in self.stream():
                yield piece
        except InternalServerException:
            raise cut_body() from None

    def _refuse_compressed(self) -> None:
        coding = header(self.scope, b"content-encoding")
        if coding is not None and coding.strip().lower() not in {"", "identity"}:
            detail = f"send the body as it is, not encoded as {coding[:100]}"
            raise UnsupportedMediaType(detail=detail, headers={"Accept-Encoding": "identity"})

    async def json(self) -> Any:
        """Return the body as the type of the handler's `data`; Litestar calls this."""
        content_type = header(self.scope, b"content-type")
        if content_type and content_type != "application/json" and not _JSON_TYPE.fullmatch(content_type):
            raise UnsupportedMediaType(detail=f"send application/json in UTF-8, not {content_type[:100]}")
        field = self.route_handler.parsed_data_field
        if field is None:
            raise TypeError(f"{self.route_handler} reads a body but declares no data")
        decoder = decoder_of(field.annotation)
        body = await self.body()
        if each := self.route_handler.opt[EACH]:
            whole, self.item_faults = await decoder.decode_each(body, each, self.faults, self.charge)
            return whole
        if self.route_handler.opt[KEEP_FAULTS]:
            return decoder.decode_with_holes(body, self.faults)
        return decoder.decode(body)

    def idempotency_key(self) -> str:
        """Return the Idempotency-Key header, or raise `BadHeader` (400) when it is missing or unfit.

        Only on routes that declare `requires(..., once=True)`.
        """
        if not self.route_handler.opt.get(ONCE):
            raise TypeError(f"{self.route_handler} must declare once=True, so that it is documented")
        key = header(self.scope, b"idempotency-key")
        if key is None:
            raise BadHeader("idempotency_key_missing", "send an Idempotency-Key header with a fresh value")
        if not _IDEMPOTENCY_KEY.fullmatch(key):
            detail = "must be 1 to 200 printable ASCII characters without spaces"
            fault = Fault("Idempotency-Key", "pattern", detail, key[:100])
            raise BadHeader(detail=f"Idempotency-Key {detail}", errors=[fault])
        return key

    async def fingerprint(self) -> bytes:
        """Return the SHA-256 of method, path, query and body: equal for two sendings of the same request."""
        scope = self.scope
        return fingerprint_of(scope["method"], scope["path"], await self.body(), scope["query_string"])
