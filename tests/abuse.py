"""What can be sent to a server that means it ill, for as long as a block lasts; used by tests and benchmarks.

Every abuser comes from an address of its own (127.0.0.x), as it would, so that it shares no budget with who
trades. Floods are closed loops: each of some connections sends its next request as soon as the last one was
answered, and connects again at once where it was cut. Nothing here ever waits to be polite.
"""

import asyncio
import base64
import os
import resource
import socket
import sys
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final, cast

import msgspec

FLOODERS: Final = 16
SLOW_EACH: Final = 1_000
"""Connections that send slowly, from each of two addresses."""
UNREADING: Final = 200
FILLING_BYTES: Final = 60_000
DRIP_S: Final = 1.0
BOMB_BYTES: Final = 100_000_000
BATCH: Final = 1_000
"""Orders of one batch, as many as there may be; each is nothing but faults."""
_BIND_ADDRESS_NO_PORT: Final = 24
"""Of linux/in.h; Python names it from 3.12 on or not at all."""
_SMALL_BUFFER: Final = 4_096
_ENDS: Final = (OSError, EOFError, asyncio.LimitOverrunError)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A server, and what an abuser of it has: a key that may trade, and an order that is well formed."""

    port: int
    key: str
    order: dict[str, Any]
    product: str


class Abuse:
    """One kind of abuse. `seen` counts what it was answered by status, 0 for an end without an answer."""

    def __init__(self, target: Target, address: str) -> None:
        self.target, self.address = target, address
        self.seen: Counter[int] = Counter()

    async def open(self, *, buffer_bytes: int = 0) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect from the abuser's address."""
        ours = socket.socket()
        try:
            ours.settimeout(0)
            if buffer_bytes:
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            # The port is chosen at the connect: there are enough of them for each address.
            ours.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            ours.bind((self.address, 0))
            await asyncio.get_running_loop().sock_connect(ours, ("127.0.0.1", self.target.port))
            return await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()
            raise

    async def flood(self, requests: Callable[[], bytes]) -> None:
        """Send requests one after another, for ever."""
        while True:
            try:
                reader, writer = await self.open()
            except OSError:
                self.seen[0] += 1
                await asyncio.sleep(0)
                continue
            try:
                while True:
                    writer.write(requests())
                    head = await reader.readuntil(b"\r\n\r\n")
                    self.seen[int(head[9:12])] += 1
                    lower = head.lower()
                    length = int(lower.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                    await reader.readexactly(length)
                    if b"connection: close" in lower:
                        break
            except _ENDS:
                self.seen[0] += 1
            finally:
                writer.transport.abort()

    async def drip(self, beginning: bytes, drop: bytes) -> None:
        """Send a beginning and then drop after drop, and the same again once it is cut, for ever."""
        while True:
            try:
                reader, writer = await self.open()
            except OSError:
                self.seen[0] += 1
                await asyncio.sleep(DRIP_S)
                continue
            answering = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
            try:
                writer.write(beginning)
                while not (await asyncio.wait([answering], timeout=DRIP_S))[0]:
                    writer.write(drop)
                self.seen[int((await answering)[9:12])] += 1
            except _ENDS:
                self.seen[0] += 1
            finally:
                writer.transport.abort()
                answering.cancel()

    async def read_never(self) -> None:
        """Subscribe to everything over a WebSocket, and read nothing of it; again once it is cut."""
        while True:
            try:
                reader, writer = await self.open(buffer_bytes=_SMALL_BUFFER)
            except OSError:
                self.seen[0] += 1
                await asyncio.sleep(DRIP_S)
                continue
            try:
                writer.write(self._upgrade())
                self.seen[int((await reader.readuntil(b"\r\n\r\n"))[9:12])] += 1
                cast("asyncio.Transport", writer.transport).pause_reading()
                while not writer.transport.is_closing():
                    writer.write(frame(b'{"op":"subscribe","channels":["trades:%s"]}' % self._product()))
                    await writer.drain()
                    await asyncio.sleep(DRIP_S)
            except _ENDS:
                self.seen[0] += 1
            finally:
                writer.transport.abort()

    def _upgrade(self) -> bytes:
        nonce = base64.b64encode(os.urandom(16)).decode()
        return (
            "GET /v1/stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n"
            f"Authorization: Bearer {self.target.key}\r\n\r\n"
        ).encode()

    def _product(self) -> bytes:
        return self.target.product.encode()


def frame(text: bytes) -> bytes:
    """Write a short text as a client's frame of a WebSocket."""
    mask = b"\0\0\0\0"  # which leaves the text as it is
    if len(text) < 126:
        return bytes([0x81, 0x80 | len(text)]) + mask + text
    return bytes([0x81, 0xFE]) + len(text).to_bytes(2, "big") + mask + text


def post(path: str, key: str, body: bytes, *headers: str) -> bytes:
    """Write a request with a body of its length."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _declared(target: Target) -> bytes:
    return post("/v1/orders", target.key, b"").replace(b"Content-Length: 0", b"Content-Length: 99999999999")


def _chunked(target: Target) -> bytes:
    head = post("/v1/orders", target.key, b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    return head + (b"10000\r\n" + b" " * 0x10000 + b"\r\n") * 17


def _orders(target: Target) -> Callable[[], bytes]:
    numbers = count()

    def write() -> bytes:
        order = {**target.order, "client_order_id": f"flood-{next(numbers)}"}
        return post("/v1/orders", target.key, msgspec.json.encode(order))

    return write


def _always(content: bytes) -> Callable[[], bytes]:
    return lambda: content


def _flood(kind: str, target: Target) -> Callable[[], bytes]:
    """Return what writes the requests of a flood."""
    numbers = count()
    key = target.key
    if kind == "bad keys":
        return lambda: post("/v1/orders", f"cx_0scbxp7jxg400_{next(numbers):043d}", b"{}")
    if kind == "unknown paths":
        return lambda: b"GET /v1/%x HTTP/1.1\r\nHost: x\r\n\r\n" % next(numbers)
    if kind == "orders over the limit":
        return _orders(target)
    if kind == "compressed bombs":
        bomb = zlib.compress(bytes(BOMB_BYTES), 9)
        return _always(post("/v1/orders", key, bomb, "Content-Encoding: deflate"))
    bodies = {
        "deep lists": ("/v1/orders", b"[" * 500_000),
        "deep objects": ("/v1/orders", b'{"a":' * 150_000),
        "batches of empty orders": ("/v1/orders/batch", b'{"orders":[%s]}' % b",".join([b"{}"] * BATCH)),
    }
    if kind in bodies:
        path, body = bodies[kind]
        return _always(post(path, key, body))
    return _always(_declared(target) if kind == "oversize declared" else _chunked(target))


def _slow(target: Target) -> tuple[bytes, bytes]:
    filling = b"x" * FILLING_BYTES
    head = b"GET /v1/time HTTP/1.1\r\nX: " + filling
    body = post("/v1/orders", target.key, b"").replace(b"Content-Length: 0", b"Content-Length: 1000000")
    return head, body + b" " * FILLING_BYTES


FLOODS: Final = (
    *("oversize declared", "oversize chunked", "deep lists", "deep objects", "compressed bombs"),
    *("bad keys", "unknown paths", "orders over the limit", "batches of empty orders"),
)
SLOW: Final = "slow connections"
NEVER_READ: Final = "readers that never read"
KINDS: Final = (*FLOODS, SLOW, NEVER_READ)


@asynccontextmanager
async def abusing(kind: str, target: Target, number: int = 2) -> AsyncIterator[Counter[int]]:
    """Do one kind of abuse meanwhile, from 127.0.0.`number` on; give what it has been answered so far."""
    abuse = Abuse(target, f"127.0.0.{number}")
    works: list[Awaitable[None]] = []
    if kind == SLOW:
        head, body = _slow(target)
        other = Abuse(target, f"127.0.0.{number + 1}")
        other.seen = abuse.seen
        works = [abuse.drip(head, b"x") for _ in range(SLOW_EACH)]
        works += [other.drip(body, b" ") for _ in range(SLOW_EACH)]
    elif kind == NEVER_READ:
        works = [abuse.read_never() for _ in range(UNREADING)]
    else:
        requests = _flood(kind, target)
        works = [abuse.flood(requests) for _ in range(FLOODERS)]
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        yield abuse.seen
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def abuse_until_told(kind: str, number: int, target: Target) -> None:
    """Abuse until the standard input ends."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    async with abusing(kind, target, number) as seen:
        wanted = {SLOW: SLOW_EACH, NEVER_READ: UNREADING}.get(kind, 1)
        while sum(seen.values()) < wanted and kind != SLOW:  # noqa: ASYNC110 - many abusers, one count
            await asyncio.sleep(0.01)
        sys.stdout.write("abusing\n")
        sys.stdout.flush()
        await ended.wait()
    sys.stderr.write(f"{kind}: {dict(seen)}\n")


def main() -> None:
    """Do what the arguments say: a kind, where its addresses begin, a core; the target on standard input."""
    kind, number, core = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 8_192), hard), hard))
    asyncio.run(abuse_until_told(kind, int(number), msgspec.json.decode(sys.stdin.readline(), type=Target)))


if __name__ == "__main__":
    main()
