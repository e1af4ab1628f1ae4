"""One request and its answer: encoding, authorisation, and every way it can fail as one of two named errors.

`ApiProblem` is an answer of the exchange (RFC 9457); `Unreachable` is no usable answer at all. Reads, and
requests that say that they may be sent `again`, are (`exchange.client.retrying`); no others ever are. Where
nobody was there from the beginning, that is told at once.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final, TypeVar

import httpx
import msgspec

from exchange.client.problems import ApiProblem, Problem, Unanswered, Unreachable
from exchange.client.retrying import PATIENCE_S, Doubt, persist
from exchange.client.signing import SignedBy

TIMEOUT_S: Final = 30.0
T = TypeVar("T")
GATEWAY_FAULTS: Final = frozenset({502, 503, 504})
_NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)
QueryValue = str | int | bool | Sequence[str] | None


class Transport:
    """A connection pool to one exchange under one key; `signed_by` signs its requests."""

    def __init__(
        self,
        url: str,
        key: str = "",
        http: httpx.AsyncClient | None = None,
        signed_by: SignedBy | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.patience_s = patience_s
        """For how long what may be tried again is."""
        self._url = url
        self._signed_by = signed_by
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = http or httpx.AsyncClient(timeout=TIMEOUT_S)
        self._base = httpx.URL(url)
        self._headers = headers
        self._has_answered = False

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        query: Mapping[str, QueryValue] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        again: bool = False,
        doubt: Doubt | None = None,
    ) -> T:
        """Send one request and decode its answer as `answer`; `bytes` gives the body as it came.

        A `body` of bytes is sent as it is, with the Content-Type of `headers`; any other as JSON. `again`:
        the request has one effect however often it is sent, as every GET has; `doubt` is for `persist`.
        """

        async def attempt() -> httpx.Response:
            response = await self._send(method, path, query, body, headers)
            if response.is_error:
                raise _problem_of(response, method)
            return response

        response = await persist(attempt, self.patience_s if again or method == "GET" else 0.0, doubt)
        if answer is bytes:
            return response.content  # type: ignore[return-value]  # T is bytes here
        try:
            return msgspec.json.decode(response.content, type=answer)
        except msgspec.DecodeError as error:
            detail = f"{self._url} answered {path} with something else than expected: {error}"
            raise Unreachable(detail, outcome=_outcome_of(method)) from error

    async def stream(
        self,
        path: str,
        *,
        query: Mapping[str, QueryValue] | None = None,
        on_headers: Callable[[Mapping[str, str]], None] | None = None,
    ) -> AsyncIterator[bytes]:
        """Yield the body of a GET as it comes; `on_headers` hears the answer's headers before it."""
        request = self._request("GET", path, query, None, {})
        try:
            response = await self._http.send(request, stream=True, auth=self._signed_by)
            try:
                if response.is_error:
                    await response.aread()
                    raise _problem_of(response, "GET")
                if on_headers is not None:
                    on_headers(response.headers)
                async for chunk in response.aiter_bytes():
                    yield chunk
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise self._no_answer(error, "GET") from error

    def _no_answer(self, error: httpx.HTTPError, method: str) -> Unreachable:
        # Some of httpx's errors, timeouts above all, have no text.
        detail = f"no answer from {self._url}: {str(error) or type(error).__name__}"
        is_lost = self._has_answered and isinstance(error, httpx.TransportError)
        outcome = "not_applied" if isinstance(error, _NOT_SENT) else _outcome_of(method)
        return Unreachable(detail, is_lost=is_lost, outcome=outcome)

    def stream_url(self, path: str) -> str:
        """Return the address of a WebSocket."""
        address = self._base.join(path)
        return str(address.copy_with(scheme="wss" if address.scheme == "https" else "ws"))

    def handshake(self, path: str) -> dict[str, str]:
        """Return the headers that open a WebSocket, once."""
        signature = {} if self._signed_by is None else self._signed_by.headers("GET", path, self._headers)
        return {**self._headers, **signature}

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, QueryValue] | None,
        body: object,
        headers: Mapping[str, str] | None,
    ) -> httpx.Response:
        try:
            request = self._request(method, path, query, body, headers or {})
            response = await self._http.send(request, auth=self._signed_by)
        except httpx.HTTPError as error:
            # Once there is a connection there was somebody, whose answer it is that was lost.
            self._has_answered |= not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            raise self._no_answer(error, method) from error
        self._has_answered = True
        return response

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, QueryValue] | None,
        body: object,
        headers: Mapping[str, str],
    ) -> httpx.Request:
        return self._http.build_request(
            method,
            self._base.join(path),
            params={name: value for name, value in (query or {}).items() if value is not None},
            content=body if body is None or isinstance(body, bytes) else msgspec.json.encode(body),
            headers={
                **self._headers,
                **({} if body is None else {"Content-Type": "application/json"}),
                **headers,
            },
        )


def _outcome_of(method: str) -> Unanswered:
    """What is known of a request that was sent, and whose answer is of no use."""
    return "not_applied" if method == "GET" else "unknown"


def _problem_of(response: httpx.Response, method: str) -> ApiProblem | Unreachable:
    return failure_of(response.status_code, response.headers, response.content, method, str(response.url))


def failure_of(
    status: int, headers: Mapping[str, str], body: bytes, method: str, what: str
) -> ApiProblem | Unreachable:
    """Return what an answer of status 400 or above says: a problem, or that it is none of the exchange's."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        detail = f"{what} answered {status} without a problem body"
        return Unreachable(detail, is_lost=status in GATEWAY_FAULTS, outcome=_outcome_of(method))
    retry_after = headers.get("Retry-After", "")
    return ApiProblem(problem, float(retry_after) if retry_after.isdecimal() else 0.0)
