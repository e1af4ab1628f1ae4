"""One request and its answer: encoding, authorisation, and every way it can fail as one of two named errors.

`ApiProblem` is an answer of the exchange (RFC 9457); `Unreachable` is no usable answer at all. Requests are
never repeated here: an order that got no answer may stand, and repeating it under the same
`client_order_id` is the caller's decision.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Final, TypeVar

import httpx
import msgspec

TIMEOUT_S: Final = 30.0
T = TypeVar("T")
QueryValue = str | int | bool | None


class ProblemFault(msgspec.Struct, frozen=True, gc=False):
    """One field of a request that broke a rule."""

    pointer: str = ""
    code: str = ""
    detail: str = ""
    value: str | int | float | bool | None = None


class Problem(msgspec.Struct, frozen=True):
    """The body of an `application/problem+json` answer."""

    title: str = ""
    status: int = 0
    detail: str = ""
    code: str = ""
    request_id: str = ""
    outcome: str = ""
    retryable: bool = False
    errors: tuple[ProblemFault, ...] = ()


class ApiProblem(Exception):
    """The exchange refused the request; `problem` says why, field by field."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.status} {problem.code}: {problem.detail or problem.title}")
        self.problem = problem


class Unreachable(Exception):
    """No usable answer came: refused connection, timeout, or something that is not the exchange."""


class Transport:
    """A connection pool to one exchange under one key."""

    def __init__(self, url: str, key: str = "", http: httpx.AsyncClient | None = None) -> None:
        self._url = url
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = http or httpx.AsyncClient(timeout=TIMEOUT_S)
        self._base = httpx.URL(url)
        self._headers = headers

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
    ) -> T:
        """Send one request and decode its answer as `answer`; `bytes` gives the body as it came.

        A `body` of bytes is sent as it is, with the Content-Type of `headers`; any other as JSON.
        """
        response = await self._send(method, path, query, body, headers)
        if response.is_error:
            raise _problem_of(response)
        if answer is bytes:
            return response.content  # type: ignore[return-value]  # T is bytes here
        try:
            return msgspec.json.decode(response.content, type=answer)
        except msgspec.DecodeError as error:
            raise Unreachable(
                f"{self._url} answered {path} with something else than expected: {error}"
            ) from error

    async def stream(
        self, path: str, *, query: Mapping[str, QueryValue] | None = None
    ) -> AsyncIterator[bytes]:
        """Yield the body of a GET as it comes."""
        request = self._request("GET", path, query, None, {})
        try:
            response = await self._http.send(request, stream=True)
            try:
                if response.is_error:
                    await response.aread()
                    raise _problem_of(response)
                async for chunk in response.aiter_bytes():
                    yield chunk
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise self._no_answer(error) from error

    def _no_answer(self, error: httpx.HTTPError) -> Unreachable:
        # Some of httpx's errors, timeouts above all, have no text.
        return Unreachable(f"no answer from {self._url}: {str(error) or type(error).__name__}")

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, QueryValue] | None,
        body: object,
        headers: Mapping[str, str] | None,
    ) -> httpx.Response:
        try:
            return await self._http.send(self._request(method, path, query, body, headers or {}))
        except httpx.HTTPError as error:
            raise self._no_answer(error) from error

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


def _problem_of(response: httpx.Response) -> Exception:
    try:
        return ApiProblem(msgspec.json.decode(response.content, type=Problem))
    except msgspec.DecodeError:
        return Unreachable(f"{response.url} answered {response.status_code} without a problem body")
