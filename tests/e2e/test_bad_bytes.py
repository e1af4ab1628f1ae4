"""Goal: what is not even a request is a problem answer too, takes no memory, and does not count as our fault.

Method: bytes written to the served exchange's socket by hand.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from exchange.kit.http_connection import HEAD_BYTES_MAX
from tests.e2e.served import Served, problem, served
from tests.faults import quiet

UNREADABLE = {
    "rubbish": b"\x00\x01\x02\r\n\r\n",
    "unknown method": b"BREW /v1/time HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown version": b"GET /v1/time HTTP/9.9\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "space in the path": b"GET /v1/ti me HTTP/1.1\r\nHost: x\r\n\r\n",
    "path not in ASCII": b"GET /v1/\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "header without a colon": b"GET /v1/time HTTP/1.1\r\nHost x\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n",
    "no host": b"GET /v1/time HTTP/1.1\r\nX: y\r\n\r\n",
    "two hosts": b"GET /v1/time HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    "two hosts of HTTP/1.0": b"GET /v1/time HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
    "no host, with a body": b"POST /v1/orders HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    "no host of a WebSocket": b"GET /v1/stream HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "negative length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}",
}


@pytest.fixture(scope="module")
async def house(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with served(module_database_url, tmp_path_factory.mktemp("bad_bytes")) as ready:
        yield ready


@asynccontextmanager
async def connection(house: Served) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    address = urlsplit(str(house.http.base_url))
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.close()


def answer_of(content: bytes) -> httpx.Response:
    """Read an answer as a client would."""
    head, _, body = content.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return httpx.Response(
        int(first.split()[1]),
        headers=[(name, value) for name, _, value in (line.partition(": ") for line in lines)],
        content=body,
        request=httpx.Request("GET", "http://x/"),
    )


@pytest.mark.parametrize("name", UNREADABLE)
async def test_bytes_that_are_no_request_are_a_problem(house: Served, name: str) -> None:
    async with connection(house) as (reader, writer):
        writer.write(UNREADABLE[name])
        answer = answer_of(await reader.read())
    problem(answer, 400, "bad_request")
    assert answer.headers["connection"] == "close"


async def test_an_answer_to_head_has_no_body(house: Served) -> None:
    asked = b"HEAD /%b HTTP/1.1\r\nHost: x\r\n\r\n"
    heads = (b"readyz", b"nowhere", b"v1/market", b"static/openapi-page.js", b"v1/orders")
    async with connection(house) as (reader, writer):
        writer.write(b"".join(asked % each for each in heads) + b"GET /healthz HTTP/1.0\r\n\r\n")
        content = await reader.read()
    statuses = [line.split()[1] for line in content.splitlines() if line.startswith(b"HTTP/1.1 ")]
    assert statuses == [b"200", b"404", b"200", b"200", b"401", b"200"]
    assert content.count(b"{") == 1


async def test_chunks_of_no_bytes_are_no_body(house: Served) -> None:
    head = b"GET /v1/time HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    for chunks, status in ((b"0\r\n\r\n", 200), (b"1\r\n{\r\n0\r\n\r\n", 422)):
        async with connection(house) as (reader, writer):
            writer.write(head + chunks)
            assert answer_of(await reader.read()).status_code == status


async def test_a_request_of_http_1_0_needs_no_host(house: Served) -> None:
    async with connection(house) as (reader, writer):
        writer.write(b"GET /v1/time HTTP/1.0\r\n\r\n")
        assert answer_of(await reader.read()).status_code == 200


async def test_what_names_no_host_is_not_the_answer_to_the_request_before(house: Served) -> None:
    async with connection(house) as (reader, writer):
        writer.write(b"GET /v1/time HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/time HTTP/1.1\r\n\r\n")
        content = await reader.read()
    assert content.startswith(b"HTTP/1.1 200 ")
    assert content.count(b"HTTP/1.1 ") == 1


async def test_a_head_that_does_not_end_is_cut_off(house: Served) -> None:
    beginning = b"GET /v1/time HTTP/1.1\r\nHost: x\r\nX-Long: "
    async with connection(house) as (reader, writer):
        writer.write(beginning.ljust(HEAD_BYTES_MAX + 1, b"x"))
        problem(answer_of(await reader.read()), 431, "head_too_large")
    async with connection(house) as (reader, writer):
        writer.write(beginning.ljust(HEAD_BYTES_MAX - 100, b"x") + b"\r\nConnection: close\r\n\r\n")
        assert answer_of(await reader.read()).status_code == 200


async def test_a_long_body_is_no_long_head(house: Served) -> None:
    body = b" " * (4 * HEAD_BYTES_MAX)
    head = f"POST /v1/participants HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.operator.key}\r\n"
    async with connection(house) as (reader, writer):
        for closing in ("", "Connection: close\r\n"):
            writer.write(f"{head}{closing}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        content = await reader.read()
    assert content.count(b'"code":"not_json"') == 2


async def test_requests_behind_one_another_are_no_long_head(house: Served) -> None:
    asked = b"GET /v1/time HTTP/1.1\r\nHost: x\r\n\r\n"
    count = 8 * HEAD_BYTES_MAX // len(asked)
    async with connection(house) as (reader, writer):
        writer.write(asked * count + asked.replace(b"Host: x", b"Host: x\r\nConnection: close"))
        content = await reader.read()
    assert content.count(b"HTTP/1.1 200 OK") == count + 1


@pytest.mark.parametrize("ending", [b"\0\r\n\r\n", b"GET / HTTP/1.1\r\nX: ".ljust(4 * HEAD_BYTES_MAX, b"x")])
async def test_what_cannot_be_read_is_not_the_answer_to_the_request_before(
    house: Served, ending: bytes
) -> None:
    body = b'{"kind": "issuer", "name": "%x"}' % len(ending)
    head = "\r\n".join(
        (
            "POST /v1/participants HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {house.operator.key}",
            f"Content-Length: {len(body)}",
            "Idempotency-Key: %x",
        )
    )
    async with connection(house) as (reader, writer):
        writer.write(head.encode() % len(ending) + b"\r\n\r\n" + body + ending)
        first = await reader.readline()
    assert b" 201 " in first, first


async def test_a_caller_who_leaves_in_the_middle_is_not_logged_as_our_fault(
    house: Served, caplog: pytest.LogCaptureFixture
) -> None:
    await quiet(house.exchange)  # it may have something to say of what it does beside
    with caplog.at_level(logging.WARNING, logger="exchange"):
        async with connection(house) as (reader, writer):
            key = house.operator.key.encode()
            head = b"POST /v1/participants HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n" % key
            writer.write(head + b"Content-Length: 9\r\n\r\n{")
            await writer.drain()
            writer.write_eof()
            await reader.read()
        assert (await house.operator.send("GET", "/readyz")).status_code == 200
    assert not caplog.records
