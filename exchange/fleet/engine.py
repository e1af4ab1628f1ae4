"""A partition in an engine: a standby that takes the lead when nobody has it, and steps back when it is lost.

One term of leading: take the lease, begin the next epoch, rebuild the books from the journal, follow the
intake stream from where the last commit left off. A term ends, also while books are being rebuilt, when the
engine is told to stop, when its lease is another's, when another epoch has begun (`Fenced`), or when Redis
has not answered for as long as callers wait: then nothing of its books is kept. Where Redis does not answer
no term begins: while it is down for all, nobody leads, and hours that pass are settled by whoever leads
next.

Invariants: a sequencer leads one term and is never used again. A graceful stop answers what was taken before
the lease is given up. A fault (`on_fault`) ends the engine: whoever runs it starts it anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from exchange.fleet.answering import AnswerDesk
from exchange.fleet.leases import POLL_S, renewing
from exchange.fleet.taking import Taker
from exchange.kit.database import UNANSWERED
from exchange.kit.errors import NOTHING_BY_THIS, Unavailable
from exchange.kit.meters import SECONDS, Histogram
from exchange.kit.redis import RedisLost, RedisRefused
from exchange.kit.tasks import end
from exchange.orders.leader import Fenced
from exchange.orders.meters import SequencerMeters, SequencerState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from exchange.fleet.leases import PartitionLease
    from exchange.kit.clock import Clock
    from exchange.kit.redis import Redis
    from exchange.orders.models import Request
    from exchange.orders.outcomes import Outcome
    from exchange.orders.preview_models import RestingAsk
    from exchange.orders.sequencer import Sequencer
    from exchange.products.models import ProductSpec
    from matching.book import OrderBook

STOP_S: Final = 20.0
"""How long a sequencer may take to answer what it took, when its term ends."""

_log = logging.getLogger(__name__)


class Engine:
    """One partition of an engine process; an `exchange.orders.leader.Leader` while it leads."""

    def __init__(
        self,
        lease: PartitionLease,
        redis: Redis,
        *,
        new_sequencer: Callable[[Callable[[], None]], Sequencer],
        products: Mapping[str, ProductSpec],
        patience_s: float,
        fee_bps: int,
        clock: Clock,
        on_fault: Callable[[], None],
    ) -> None:
        """Stand by. `new_sequencer` makes one for a term and is given what to call when it ends by itself."""
        self.fee_bps = fee_bps
        self._partition_id = lease.partition_id
        self._lease = lease
        self._redis = redis
        self._new_sequencer = new_sequencer
        self._products = products
        self._patience_s = patience_s
        self._clock = clock
        self._on_fault = on_fault
        self._sequencer: Sequencer | None = None
        self._meters = SequencerMeters(self._partition_id, Histogram(SECONDS))
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to stand by."""
        self._task = asyncio.create_task(self._stand_by(), name=f"engine-{self._partition_id}")

    async def stop(self) -> None:
        """Answer what was taken, give the lease up, and end; what ended it by itself was told before."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    @property
    def is_leading(self) -> bool:
        """Whether this process leads the partition, or is about to."""
        return self._sequencer is not None

    @property
    def is_ready(self) -> bool:
        """Whether requests are taken: it leads, and its books are built."""
        return self._sequencer is not None and self._sequencer.is_ready

    @property
    def state(self) -> SequencerState:
        """Where the partition stands here, for who watches."""
        if self._sequencer is not None:
            return self._sequencer.state
        return SequencerState("", 0, self._clock.hour(), 0, is_leading=False)

    @property
    def meters(self) -> SequencerMeters:
        """What was measured in this term, or nothing."""
        return self._meters if self._sequencer is None else self._sequencer.meters

    def book(self, product_id: str) -> OrderBook:
        """The live book of a product, to read between commits; raises `Unavailable`."""
        return self._led().book(product_id)

    async def asks(self, order_ids: Collection[int]) -> Mapping[int, RestingAsk]:
        """Asks of the live books as memory has them; raises `Unavailable`."""
        return await self._led().asks(order_ids)

    async def submit(self, request: Request) -> Outcome:
        """Queue a request of this process and wait for its committed outcome."""
        return await self._led().submit(request)

    def enqueue(self, requests: Sequence[Request]) -> list[asyncio.Future[Outcome]]:
        """Queue requests of this process behind each other, all or none."""
        return self._led().enqueue(requests)

    def _led(self) -> Sequencer:
        if self._sequencer is None:
            raise Unavailable("no_leader", f"another engine leads this market; {NOTHING_BY_THIS}")
        return self._sequencer

    async def _stand_by(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._redis.ping()  # who cannot be reached must not keep the lease from others
                if await self._lease.take():
                    await self._lead()
            except _NO_FAULTS as error:
                _log.warning("partition %d is not led here: %s", self._partition_id, error)
            except (Exception, asyncio.CancelledError):
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise
                # A cancellation that is not this task's is a fault as well: nobody would stand by any more.
                _log.exception("partition %d ends", self._partition_id)
                self._on_fault()
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._stopping.wait()

    async def _lead(self) -> None:
        """Lead one term, to its end; raises what ended it where that is a fault."""
        self._ended.clear()
        self._sequencer = sequencer = self._new_sequencer(self._ended.set)
        desk = AnswerDesk(self._redis, patience_s=self._patience_s)
        _log.info("partition %d: this engine takes the lead", self._partition_id)
        async with contextlib.AsyncExitStack() as term:
            # From the last to the first: nothing more is taken in, what was taken is committed and answered,
            # and only then may another engine lead.
            term.push_async_callback(self._end_lease)
            keeping = renewing(self._partition_id, partial(self._keep_lease, sequencer))
            keeping.start()
            term.push_async_callback(keeping.stop)
            term.callback(self._step_back)
            desk.start()
            term.push_async_callback(desk.stop)
            term.push_async_callback(stop_in_time, sequencer)
            starting = asyncio.create_task(sequencer.start(), name=f"start-{self._partition_id}")
            term.push_async_callback(_cancelled, starting)
            if not await self._comes_first(starting):
                return
            await self._lease.renew(sequencer.epoch)
            taking = asyncio.create_task(
                Taker(
                    self._redis,
                    self._partition_id,
                    sequencer,
                    desk,
                    products=self._products,
                    patience_s=self._patience_s,
                ).run(),
                name=f"intake-{self._partition_id}",
            )
            term.push_async_callback(_cancelled, taking)
            _log.info("partition %d: this engine leads in epoch %d", self._partition_id, sequencer.epoch)
            try:
                await self._comes_first(taking)
            except RedisLost:
                desk.cut_off()
                raise
        if sequencer.ended_by is not None and not isinstance(sequencer.ended_by, _NO_FAULTS):
            raise sequencer.ended_by

    async def _comes_first(self, task: asyncio.Task[None]) -> bool:
        """Wait for a task or the term's end; whether the task has ended. Raises what ended it."""
        ends = [asyncio.create_task(each.wait()) for each in (self._stopping, self._ended)]
        try:
            await asyncio.wait([*ends, task], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                return False
            task.result()
            return True
        finally:
            for each in ends:
                each.cancel()

    async def _keep_lease(self, sequencer: Sequencer) -> None:
        if not self._ended.is_set() and not await self._lease.renew(sequencer.epoch):
            _log.warning("partition %d: another engine has the lease", self._partition_id)
            self._ended.set()

    async def _end_lease(self) -> None:
        try:
            await self._lease.end()
        except Exception as error:  # noqa: BLE001 - it ends by itself a little later
            _log.warning("the lease of partition %d was not given up: %s", self._partition_id, error)

    def _step_back(self) -> None:
        self._sequencer = None


_NO_FAULTS: Final = (
    Fenced,
    Unavailable,
    *UNANSWERED,
    *(RedisLost, RedisRefused),
)
"""What ends a term and not the engine: another leader, or a database or Redis that is lost or slow."""


async def stop_in_time(sequencer: Sequencer) -> None:
    """Stop a partition; where the database does not answer, without answers to what it took."""
    try:
        async with asyncio.timeout(STOP_S):
            await sequencer.stop()
    except TimeoutError:
        _log.error("a partition did not stop within %s s", STOP_S)


async def _cancelled(task: asyncio.Task[None]) -> None:
    await end([task])
