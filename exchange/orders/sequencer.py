"""The single writer of a partition: queue, group commit, and what happens when a commit does not.

Requests queue; whatever has queued while the last batch committed is the next batch. A batch is numbered,
funded, matched and settled in memory inside one transaction, and every caller is answered only after its
commit.

Invariants:
- one task writes; the head row moves in every commit under this leader's epoch, else the leader stops
  (`Fenced`);
- hours advance before requests are taken: a book never trades an hour that has begun;
- a commit that failed leaves nothing: memory is dropped and rebuilt by the path that start-up uses. One whose
  outcome is unknown is looked up by the head's hash, so its callers are told the truth where the database
  answers soon (`Answers.told_in_time`);
- after a failed batch its requests run again one by one, so that a request the database refuses fails alone;
- a request that came from a stream has its effect, or its refusal, in the commit that moves the stream's
  offset past it: whoever leads next does not see it again. Without that commit it is not answered at all.

Known limit: partitions of one process are separate writers; a buyer trading in several at once queues on its
own account rows.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from typing import TYPE_CHECKING, Final

from exchange.kit.clock import hour_of, monotonic_s, us_of_hour
from exchange.kit.database import ConnectionLost, unhurried
from exchange.kit.errors import NOTHING_BY_THIS, Unavailable
from exchange.kit.session import Session
from exchange.orders import store
from exchange.orders.answers import Answers, Waiting, awaited, last_offset, refuse, refuse_queued
from exchange.orders.batch import Batch
from exchange.orders.chunks import carry_out
from exchange.orders.forms import resting_ask
from exchange.orders.funding import Means
from exchange.orders.hours import carry_out_hour
from exchange.orders.leader import Fenced, HourPassed, SequencerSettings, check_epoch
from exchange.orders.means import read_means
from exchange.orders.meters import SequencerMeters, SequencerState
from exchange.orders.models import Head, Request, Step
from exchange.orders.outcomes import Outcome, Refused, as_committed
from exchange.orders.partition import GENESIS_HASH, Partition, recover, store_snapshot
from matching.units import BookCorrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from exchange.kit.clock import Clock
    from exchange.kit.database import Database
    from exchange.ledger.service import AccountDirectory
    from exchange.orders.preview_models import RestingAsk
    from exchange.programmes.registry import ProgrammeRegistry
    from matching.book import OrderBook
    from matching.product import Product

BATCH_REQUESTS_MAX: Final = 512
QUEUE_REQUESTS_MAX: Final = 20_000
SNAPSHOT_AFTER_COMMANDS: Final = 20_000
RETRY_SECONDS: Final = 0.2
ADVANCE_FAILURES_MAX: Final = 300
UNANSWERED_S: Final = 10.0
"""Whose writer has been at it for so long is not ready: whoever comes now waits behind it."""
_NOT_COMMITTED: Final = f"the request could not be committed; {NOTHING_BY_THIS}"

_log = logging.getLogger(__name__)


class Sequencer:
    """The leader of one partition. `start` before the first request; `stop` answers all that was taken."""

    def __init__(
        self,
        settings: SequencerSettings,
        *,
        products: Mapping[str, Product],
        database: Database,
        clock: Clock,
        accounts: AccountDirectory,
        programmes: ProgrammeRegistry,
        on_commit: Callable[[int, Sequence[Step]], None],
        on_end: Callable[[], None],
    ) -> None:
        """Stand ready to lead.

        `on_commit` is given the partition and the steps of each commit, in order. `on_end` is called when
        the writer ends by itself: fenced, or on a fault.
        """
        self._on_end = on_end
        self._settings = settings
        self._products = products
        self._database = database
        self._clock = clock
        self._accounts = accounts
        self._programmes = programmes
        self._on_commit = on_commit
        self._queue: deque[Waiting] = deque()
        self._session = Session(database, is_next_near=lambda: bool(self._queue))
        self._answers = Answers()
        self.meters = SequencerMeters(settings.partition_id, self._answers.acknowledged_seconds)
        self.ended_by: BaseException | None = None
        """What ended the writer by itself."""
        self._trouble = "it is starting"
        self._wake = asyncio.Event()
        self._advanced = asyncio.Condition()
        self._hour = -1
        self._since_hour = 0
        self._failures = 0
        self._undecided: Sequence[Waiting] = ()
        self._at_it_since_s = math.inf
        self._partition: Partition | None = None
        self.epoch = 0  # until `start`
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_ready(self) -> bool:
        """Whether requests are taken: rebuilt, leading, no hour that has begun fails to be reached."""
        return self._partition is not None and not self._stopping and self._failures == 0

    @property
    def state(self) -> SequencerState:
        """Where this partition stands, for who watches."""
        why, sequence = self._trouble, 0
        if self._partition is not None:
            why = "it is stopping" if self._stopping else "an hour that has begun could not be reached yet"
            sequence = self._partition.head.last_sequence
        if self.is_ready:
            at_it_s = monotonic_s() - self._at_it_since_s
            why = f"the database has kept it waiting for {at_it_s:.0f} s" if at_it_s > UNANSWERED_S else ""
        return SequencerState(why, len(self._queue), self._hour, sequence)

    def book(self, product_id: str) -> OrderBook:
        """The live book of a product, to read between commits; raises `Unavailable` while there is none."""
        if self._partition is None:
            raise Unavailable("rebuilding", "the partition is being rebuilt")
        return self._partition.books[product_id]

    @property
    def fee_bps(self) -> int:
        """What the exchange takes of a delivered hour."""
        return self._settings.fee_bps

    async def asks(self, order_ids: Collection[int]) -> dict[int, RestingAsk]:
        """Some asks of the live books as memory has them; nothing runs between the call and its answer."""
        live = self._led().live
        return {order_id: resting_ask(live[order_id]) for order_id in order_ids}

    @property
    def head(self) -> Head:
        """Where the last commit left the partition; raises `Unavailable` as `book`."""
        return self._led().head

    async def submit(self, request: Request) -> Outcome:
        """Queue a request and wait for its committed outcome."""
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.take([Waiting(request=request, answer=answer, since_s=monotonic_s())])
        # A caller that goes away cancels its future, not its request: the answer is then simply not given.
        return await answer

    def enqueue(self, requests: Sequence[Request]) -> list[asyncio.Future[Outcome]]:
        """Queue requests behind each other and return their outcomes to come; all or none are taken."""
        waiting, answers = awaited(requests)
        self.take(waiting)
        return answers

    def take(self, waiting: Sequence[Waiting]) -> None:
        """Queue requests behind each other, whoever waits for them; all or none are taken."""
        if self._stopping or self._partition is None:
            raise Unavailable("rebuilding", "the partition takes no requests now")
        if len(self._queue) + len(waiting) > QUEUE_REQUESTS_MAX:
            raise Unavailable("overloaded", f"too many requests are waiting; {NOTHING_BY_THIS}")
        self._queue.extend(waiting)
        self._wake.set()

    async def reach_hour(self, hour: int) -> None:
        """Wait until the partition has settled and advanced to a venue hour that the clock has reached."""
        self._wake.set()
        async with self._advanced:
            await self._advanced.wait_for(lambda: self._hour >= hour or self._stopping)
        if self._hour < hour:
            raise Unavailable("rebuilding", "the partition is stopping")

    async def start(self) -> None:
        """Become the leader, rebuild, reach the present hour, and begin to take requests."""
        try:
            await self._lead()
            await self._advance_if_due()
        except BaseException:
            self._stopping, self._partition = True, None  # as at the writer's end
            refuse_queued(self._queue)
            raise
        self._tasks = [
            asyncio.create_task(self._write_for_ever(), name=f"sequencer-{self._settings.partition_id}"),
            asyncio.create_task(self._watch_clock(), name=f"hours-{self._settings.partition_id}"),
        ]

    async def stop(self) -> None:
        """Take no more, answer what was taken, store the books, end."""
        self._stopping = True
        self._wake.set()
        if self._tasks:
            writer, hours = self._tasks
            hours.cancel()
            await asyncio.gather(writer, hours, return_exceptions=True)
        partition = self._partition
        if partition is not None and partition.snapshot_sequence < partition.head.last_sequence:
            try:
                async with self._database.transaction() as connection:
                    await store_snapshot(connection, partition)
            except Exception:  # noqa: BLE001 - a stored book only saves time at the next start
                _log.exception("the books of partition %d were not stored", self._settings.partition_id)
        async with self._advanced:
            self._advanced.notify_all()

    async def _write_for_ever(self) -> None:
        try:
            while not (self._stopping and not self._queue):
                await self._wake.wait()
                self._wake.clear()
                self._at_it_since_s = monotonic_s()
                await self._advance_if_due()
                while queue := self._queue:
                    self._at_it_since_s = monotonic_s()
                    count = min(len(queue), BATCH_REQUESTS_MAX)
                    await self._commit([queue.popleft() for _ in range(count)])
                self._at_it_since_s = math.inf
        except BaseException as error:
            # What memory holds may never have been committed: nobody may read it, and no snapshot keep it.
            self._partition, self._trouble = None, f"it has stopped: {error}"
            if isinstance(error, asyncio.CancelledError):
                raise  # not by itself: whoever runs it has given it up
            self.ended_by = error
            _log.exception("partition %d stops", self._settings.partition_id)
            self.meters.failures.add("end")
            self._on_end()
        finally:
            self._stopping = True
            self._answers.give()
            refuse_queued(self._queue)
            await self._session.close()
            async with self._advanced:
                self._advanced.notify_all()

    async def _watch_clock(self) -> None:
        while True:
            hour = self._hour + 1
            await self._clock.wait_until_hour(hour)
            await self.reach_hour(hour)

    async def _commit(self, waiting: list[Waiting]) -> None:
        """Commit a batch and answer its callers; after a failure, rebuild and try its requests one by one."""
        self._undecided = waiting
        try:
            outcomes = await self._try_in_time(waiting)
            if outcomes is None and len(waiting) > 1:
                for place, each in enumerate(waiting):
                    self._undecided = waiting[place:]
                    await self._answer([each], await self._try_in_time([each]))
            else:
                await self._answer(waiting, outcomes)
        except Fenced as fenced:
            refuse(self._undecided, fenced.told, outcome=fenced.outcome)
            raise
        except BaseException:
            refuse(self._undecided, "the partition stopped before the outcome was known", outcome="unknown")
            raise
        finally:
            self._undecided = ()

    async def _answer(self, waiting: Sequence[Waiting], outcomes: Sequence[Outcome] | None) -> None:
        """Answer a batch that was committed, or one request that could not be."""
        if outcomes is None and waiting[0].offset:
            # Whoever leads next would find it in the stream: its refusal needs a commit as well.
            waiting[0].request = Refused(refusal=Unavailable("not_committed", _NOT_COMMITTED))
            outcomes = await self._try_in_time(waiting)
        if outcomes is None:
            refuse(waiting, _NOT_COMMITTED)
        else:
            self._answers.add(waiting, outcomes, is_urgent=not self._queue)

    async def _try_in_time(self, waiting: Sequence[Waiting]) -> list[Outcome] | None:
        """Try a batch, each hour that begins meanwhile first."""
        while True:
            await self._advance_if_due()
            try:
                return await self._try(waiting)
            except HourPassed:
                continue

    async def _try(self, waiting: Sequence[Waiting]) -> list[Outcome] | None:
        """The outcomes once they are committed; None when nothing was. Raises `Fenced`, `HourPassed`."""
        partition = self._led()
        previous = partition.head
        begun_s = monotonic_s()
        requests = [each.due(begun_s) for each in waiting]
        batch: Batch | None = None
        outcomes: list[Outcome] = []
        try:
            async with self._session.transaction() as connection:
                means = await read_means(
                    connection,
                    [request for request in requests if not isinstance(request, Refused)],
                    partition.live,
                    accounts=self._accounts,
                    programmes=self._programmes,
                    # A year begins on an hour, and the batch happens within this one.
                    at_us=us_of_hour(self._hour),
                    is_alone=self._settings.is_alone,
                )
                # Only now, with every lock held, is it known when the batch happens.
                at_us = self._time_within_hour()
                batch = Batch(partition, means, at_us=at_us, first_hour=self._hour + 1, fee_bps=self.fee_bps)
                batch.intake_offset = last_offset(waiting) or previous.intake_offset
                outcomes = await carry_out(
                    batch,
                    requests,
                    connection,
                    meanwhile=self._answers.give,
                    matching_seconds=self.meters.matching_seconds,
                )
        except (Fenced, BookCorrupt, HourPassed):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, memory is ahead of the truth now
            _log.exception("a batch of %d requests was not committed", len(requests))
            self.meters.failures.add("batch")
            unknown = isinstance(error, ConnectionLost) and error.outcome == "unknown"
            await self._rebuild(unknown=unknown)
            if batch is None:
                return None
            if unknown and batch.head.place == previous.place:
                # Without commands it left no trace in the head; to try it again is safe, as its orders, if
                # they were stored after all, are found by their client order ids.
                return await self._try_in_time(waiting)
            if not (unknown and self._led().head == batch.head):
                return None
        else:
            partition.head = batch.head
        self.meters.committed(batch.steps, len(requests), monotonic_s() - begun_s)
        self._on_commit(self._settings.partition_id, batch.steps)
        return [as_committed(outcome) for outcome in outcomes]

    def _now_us(self) -> int:
        return max(self._clock.now_us(), self._led().head.last_event_at_us)

    def _time_within_hour(self) -> int:
        at_us = self._now_us()
        if hour_of(at_us) > self._hour:
            raise HourPassed
        return at_us

    async def _advance_if_due(self) -> None:
        """Bring the partition to venue time's hour: books, then the money of hours that ended.

        That is the hour of the last commit where this clock is behind the last leader's.
        """
        while (hour := hour_of(self._now_us())) > self._hour:
            if await self._try_advance(hour):
                self._failures, self._hour = 0, hour
                break
            self._failures += 1
            if self._stopping or self._failures >= ADVANCE_FAILURES_MAX:
                raise Unavailable("rebuilding", f"hour {hour} could not be reached")
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return
        async with self._advanced:
            self._advanced.notify_all()

    async def _try_advance(self, hour: int) -> bool:
        partition = self._led()
        at_us = max(self._now_us(), us_of_hour(hour))
        batch = Batch(partition, Means(), at_us=at_us, first_hour=hour + 1, fee_bps=self.fee_bps)
        try:
            async with self._database.transaction() as connection:
                await unhurried(connection)
                await carry_out_hour(
                    batch,
                    connection,
                    self._accounts,
                    partition_id=self._settings.partition_id,
                    through_hour=self._settings.settle_through(hour, self._since_hour),
                    at_us=at_us,
                )
                partition.head = batch.head
                if partition.head.last_sequence - partition.snapshot_sequence >= SNAPSHOT_AFTER_COMMANDS:
                    await store_snapshot(connection, partition)
        except (Fenced, BookCorrupt):
            raise
        except Exception:  # noqa: BLE001 - as in _try
            _log.exception("hour %d was not committed", hour)
            self.meters.failures.add("hour")
            await self._rebuild()
            return False
        self._on_commit(self._settings.partition_id, batch.steps)
        return True

    def _led(self) -> Partition:
        if self._partition is None:
            raise Unavailable("rebuilding", "the partition is being rebuilt")
        return self._partition

    async def _lead(self) -> None:
        partition_id = self._settings.partition_id
        async with self._database.transaction() as connection:
            await unhurried(connection)
            head, since_us = await store.take_partition(
                connection, partition_id, GENESIS_HASH, self._clock.now_us()
            )
            self._partition = await recover(connection, partition_id, self._products, head)
        self.epoch = head.epoch
        self._since_hour = hour_of(since_us)

    async def _rebuild(self, *, unknown: bool = False) -> None:
        """Drop memory and build it again from the truth; as long as it takes. Raises `Fenced`.

        `unknown`: a commit was lost from sight, and may have been done before another leader came.
        """
        self._partition = None
        self._trouble = "its books are being rebuilt from the journal"
        with self._answers.told_in_time(self._undecided, self._queue):
            await self._rebuild_at_last(unknown=unknown)

    async def _rebuild_at_last(self, *, unknown: bool) -> None:
        partition_id = self._settings.partition_id
        while True:
            try:
                async with self._database.transaction() as connection:
                    await unhurried(connection)
                    head = await store.read_head(connection, partition_id)
                    check_epoch(head.epoch, self.epoch, unknown=unknown)
                    self._partition = await recover(connection, partition_id, self._products, head)
            except (Fenced, BookCorrupt):
                raise
            except Exception as error:
                if self._stopping:
                    raise
                _log.warning("partition %d waits for the database: %r", partition_id, error)
                self._trouble = "it waits for the database to rebuild its books"
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return
