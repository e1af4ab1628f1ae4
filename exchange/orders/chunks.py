"""A batch in chunks: while PostgreSQL stores one, the next one is matched.

A batch of many requests is cut between requests, and its chunks are of one transaction: all of the batch is
committed, or nothing. Nearly every batch is one chunk.

Invariants: chunks are stored one after another, in the order of their requests, so the database's guards meet
them as if each were a commit. What a chunk stores is encoded before the next one is matched, which goes on
changing the same orders and holds. Nothing of a transaction is under way when it is committed or undone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, Self

import msgspec

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.bundle import Bundle
from exchange.kit.clock import monotonic_s
from exchange.kit.idempotency import store_all
from exchange.kit.tasks import end
from exchange.orders import store
from exchange.orders.leader import Fenced
from exchange.orders.models import Head, JournalRow, LiveOrder
from exchange.orders.outcomes import Outcome, Refused
from exchange.orders.spans import Spans
from exchange.settlement.service import Settlement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from exchange.kit.database import Connection
    from exchange.kit.meters import Histogram
    from exchange.orders.models import Request

CHUNK_REQUESTS: Final = 128
"""To store a chunk costs PostgreSQL about 1 ms however small it is: as much as a dozen orders."""


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """What some of a batch's requests have done, to be stored as it stands.

    `once` are answers under Idempotency-Keys. The head is moved from `previous_sequence` to `head`.
    """

    partition_id: int
    at_us: int
    orders: dict[int, LiveOrder]
    settlement: Settlement
    spans: Spans
    records: list[AuditRecord]
    once: list[tuple[int, str, bytes, bytes]]
    journal: list[JournalRow]
    previous_sequence: int
    head: Head

    async def bundles(self) -> list[Bundle]:
        """Encode all of it, without waiting for anything: what to send, one bundle after another.

        One, however many requests. Where an ask sold before it shrank, its sales are stored beside what it
        was then: two more for each span. The last one's value is 0 where the head is not as it was left.
        """
        first = Bundle()
        # What is stored in one bundle the database's guards see only as it is in the end.
        bundles = [first]
        if self.orders:
            await store.write_orders(
                first,
                self.partition_id,
                self.orders.values(),
                self.at_us,
                quantities=self.spans.gpus_at_first,
            )
        await self.settlement.write(first, self.at_us)
        for span in self.spans.later:
            smaller, sold = Bundle(), Bundle()
            await store.reduce_asks(smaller, span.reduced_to_gpus)
            await self.settlement.write_part(sold, span.part, self.at_us)
            bundles += [smaller, sold]
        await insert_audit_records(bundles[-1], self.records)
        if self.once:
            await store_all(bundles[-1], 200, self.once)
        await store.append(
            bundles[-1],
            self.partition_id,
            self.journal,
            epoch=self.head.epoch,
            previous_sequence=self.previous_sequence,
            head=self.head,
        )
        return bundles


class Storing:
    """Stores chunks in a transaction that is open: all but the last beside what its caller does meanwhile.

    As a context it leaves nothing under way.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin with nothing."""
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End what is under way after an exception."""
        if self._task is not None:
            await end([self._task])
            if not self._task.cancelled():
                self._task.exception()  # seen; what is raised already came first

    async def begin(self, chunk: Chunk) -> None:
        """Send a chunk on its way once the one before is stored; raises what became of that."""
        bundles = await chunk.bundles()
        await self._stored()
        self._task = asyncio.create_task(self._send(bundles, chunk.head.epoch), name="chunk")
        for _ in range(2):  # a task begins in the loop's next turn, and uvloop sends at the end of that
            await asyncio.sleep(0)

    async def finish(self, chunk: Chunk) -> None:
        """Store the last chunk, or the only one, after those before; raises `Fenced`."""
        bundles = await chunk.bundles()
        await self._stored()
        await self._send(bundles, chunk.head.epoch)

    async def _stored(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            await task

    async def _send(self, bundles: Sequence[Bundle], epoch: int) -> None:
        moved = 0
        for bundle in bundles:
            moved = await bundle.send(self._connection)
        if not moved:
            raise Fenced(f"the partition has another leader than epoch {epoch}")


class Cut(Protocol):
    """A batch as chunks are cut from it."""

    def run(self, request: Request, /) -> Outcome:
        """Carry out one request."""

    def cut(self) -> Chunk:
        """Return what was done since this was last asked for."""


async def carry_out(
    batch: Cut,
    requests: Sequence[Request | Refused],
    connection: Connection,
    *,
    meanwhile: Callable[[], None],
    matching_seconds: Histogram,
) -> list[Outcome]:
    """Run a batch's requests and store what they do; return their outcomes, which are not committed yet.

    `meanwhile` is called once a chunk, as the database is given work. Raises `Fenced`.
    """
    outcomes: list[Outcome] = []
    matched_s = 0.0
    async with Storing(connection) as storing:
        for place in range(0, len(requests), CHUNK_REQUESTS):
            begun_s = monotonic_s()
            outcomes += [
                request if isinstance(request, Refused) else batch.run(request)
                for request in requests[place : place + CHUNK_REQUESTS]
            ]
            matched_s += monotonic_s() - begun_s
            if place + CHUNK_REQUESTS < len(requests):
                await storing.begin(batch.cut())
                meanwhile()
            else:
                meanwhile()
                await storing.finish(batch.cut())
    matching_seconds.observe(matched_s)
    return outcomes
