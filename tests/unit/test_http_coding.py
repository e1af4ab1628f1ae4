"""Goal: JSON is sent smaller to who takes that, and to nobody else; what else there is goes out as it is.

Method: an application built as the real one is, with an answer of each kind; bodies are looked at as
they were sent.
"""

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from litestar import MediaType, get, post
from litestar.params import FromPath
from litestar.response import Response, Stream
from litestar.testing import TestClient

from exchange.kit import http_coding
from exchange.kit.auth import Scope
from exchange.kit.errors import NotFound
from exchange.kit.http_auth import public, requires
from exchange.kit.http_cached import answer_unless_known
from exchange.kit.http_coding import COMPRESSED_FROM_BYTES, KEPT
from exchange.kit.http_pages import Page
from exchange.kit.http_request import ApiRequest
from tests.things_app import bearer, build

LONG = Page(list(range(50_000)))
SHORT = Page(list(range(50)))


@get("/long", opt=public(), sync_to_thread=False)
def long() -> Page[int]:
    return LONG


@get("/own", opt=requires(Scope.READ), sync_to_thread=False)
def own() -> Page[int]:
    return LONG


@get("/short", opt=public(), sync_to_thread=False)
def short() -> Page[int]:
    return SHORT


@get("/text", opt=public(), media_type=MediaType.TEXT, sync_to_thread=False)
def text() -> str:
    return "x" * COMPRESSED_FROM_BYTES


@get("/stream", opt=public(), sync_to_thread=False)
def stream() -> Stream:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"[" + b"1," * COMPRESSED_FROM_BYTES
        yield b"1]"

    return Stream(pieces(), media_type=MediaType.JSON)


@get("/refused", opt=public(), sync_to_thread=False)
def refused() -> Page[int]:
    raise NotFound(detail="no" * COMPRESSED_FROM_BYTES)


@post("/made", opt=public(), status_code=200, sync_to_thread=False)
def made() -> Page[int]:
    return LONG


@get("/tagged/{number:int}", opt=public(), sync_to_thread=False)
def tagged(request: ApiRequest, number: FromPath[int]) -> Response[Any]:
    return answer_unless_known(request, Page(list(range(number, number + 5_000))))


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Any]]:
    app = build(long, own, short, text, stream, refused, made, tagged)
    with TestClient(app, raise_server_exceptions=False) as ready:
        yield ready


def sent(
    client: TestClient[Any], path: str, accepted: str, method: str = "GET", **headers: str
) -> tuple[Any, bytes]:
    """Return an answer, and its body as it was sent."""
    headers = {"Accept-Encoding": accepted, **headers}
    with client.stream(method, path, headers=headers) as answer:
        return answer, b"".join(answer.iter_raw())


@pytest.mark.parametrize(
    "accepted, coding",
    [
        ("gzip", "gzip"),
        ("br;q=1.0, GZIP ; q=0.5, *;q=0", "gzip"),
        ("gzip;q=0", None),
        ("gzip; q=0.000, deflate", None),
        ("br", None),
        ("x-gzipped", None),
        ("", None),
    ],
)
def test_a_long_answer_is_compressed_for_who_takes_it(
    client: TestClient[Any], accepted: str, coding: str | None
) -> None:
    is_taken = coding is not None
    for path, headers in (("/long", {}), ("/own", bearer(Scope.READ))):
        answer, body = sent(client, path, accepted, **headers)
        assert answer.status_code == 200
        assert answer.headers.get("content-encoding") == coding
        assert int(answer.headers["content-length"]) == len(body)
        assert answer.headers["cache-control"] == "no-store"
        whole = gzip.decompress(body) if is_taken else body
        assert json.loads(whole)["data"] == LONG.data
        assert (len(body) < len(whole) / 2) == is_taken
        assert (answer.headers.get("vary") == "Accept-Encoding") == is_taken


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/short", 200),
        ("GET", "/text", 200),
        ("GET", "/stream", 200),
        ("GET", "/refused", 404),
        ("POST", "/made", 200),
    ],
)
def test_what_is_short_no_json_streamed_refused_or_made_is_sent_as_it_is(
    client: TestClient[Any], method: str, path: str, status: int
) -> None:
    answer, body = sent(client, path, "gzip", method)
    plain, expected = sent(client, path, "identity", method)
    assert answer.status_code == plain.status_code == status
    assert "content-encoding" not in answer.headers
    if status == 200:
        assert body == expected
    else:
        assert json.loads(body)["detail"] == json.loads(expected)["detail"]


def test_what_has_a_tag_is_compressed_once_and_is_forgotten_behind_many_others(
    client: TestClient[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[bytes] = []

    def counted(body: bytes) -> bytes:
        done.append(body)
        return gzip.compress(body, mtime=0)

    monkeypatch.setattr(http_coding, "_gzipped", counted)
    first = sent(client, "/tagged/0", "gzip")
    for _ in range(3):
        again = sent(client, "/tagged/0", "gzip")
        assert again[1] == first[1]
        assert again[0].headers["etag"] == first[0].headers["etag"]
    assert len(done) == 1
    for number in range(1, KEPT + 1):
        sent(client, f"/tagged/{number}", "gzip")
    assert len(done) == KEPT + 1
    sent(client, f"/tagged/{KEPT}", "gzip")
    assert len(done) == KEPT + 1
    sent(client, "/tagged/0", "gzip")
    assert len(done) == KEPT + 2
    sent(client, "/long", "gzip")
    sent(client, "/long", "gzip")
    assert len(done) == KEPT + 4  # without a tag nobody knows that it is the same


def test_each_coding_has_its_own_tag_and_only_its_holder_is_told_that_nothing_changed(
    client: TestClient[Any],
) -> None:
    tags = {}
    for accepted in ("gzip", "identity"):
        answer, _ = sent(client, "/tagged/7", accepted)
        tags[accepted] = answer.headers["etag"]
        assert answer.headers["vary"] == "Accept-Encoding"
    assert tags["gzip"] == f'{tags["identity"][:-1]}-gzip"'
    for asked, expected in tags.items():
        for had, tag in tags.items():
            answer, body = sent(client, "/tagged/7", asked, **{"If-None-Match": tag})
            assert answer.headers["etag"] == expected
            assert answer.headers["vary"] == "Accept-Encoding"
            assert "content-encoding" not in answer.headers or answer.status_code == 200
            assert (answer.status_code, body == b"") == ((304, True) if asked == had else (200, False))
