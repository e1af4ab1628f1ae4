"""Hop 6: from the journal to whoever listens, in commit order.

The journal is the outbox: what a commit did stands there, in the order of the partition's sequences. A
partition of this process hands over what it has committed (`tell`), so that nothing need be read back; so
does whoever hears of it from another process, and what nobody tells is read from the journal, at the latest
`IDLE_S` later. What was committed before
the start is known from the tables (`_seed`) and not told: nobody listened yet.

Invariants: a sequence is told once a process, after its commit, and after every smaller one of its partition:
a gap is filled from the journal first. Where more than `STEPS_FILLED_MAX` are missing, or a fault of ours has
left one told in part, the tables are read anew and every reader is closed, to come back for a snapshot.
Losing the database delays and loses nothing. Batches may be told twice, late, or in any order.

Where nobody listens (`is_read` is false, as in an engine) it only follows how far the journal has come, and
whether the database is in reach.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

from exchange.feed import rules, store
from exchange.feed.bars import DAY_HOURS
from exchange.feed.history import DAYS_KEPT, History
from exchange.feed.hub import Closing, Hub, orders_key
from exchange.feed.journal import owners_among, with_names
from exchange.feed.models import ORDERS_CHANNEL, TRADES_CHANNEL, Delta, TapeTrade
from exchange.feed.news import news_by_participant
from exchange.feed.spot import SPOT_HOURS
from exchange.feed.tape import TRADES_KEPT, Tape
from exchange.kit.database import Connection, ConnectionLost, Database, unhurried
from exchange.kit.meters import Counts
from exchange.kit.tasks import end, in_time
from exchange.orders.models import Step

STEPS_READ_AT_ONCE: Final = 500
STEPS_FILLED_MAX: Final = 10_000
BATCHES_TOLD_MAX: Final = 10_000
"""Told and not handed on yet, because the database does not say what came before; the oldest give way."""
IDLE_S: Final = 1.0
RETRY_S: Final = 0.2
ANSWER_S: Final = 5.0
READ_S: Final = 30.0
"""How long the database may take over `STEPS_READ_AT_ONCE` steps."""
STOP_S: Final = 5.0
"""How long the last events may take to be told, where the database does not answer what came before them."""

_log = logging.getLogger(__name__)


class NotInJournal(LookupError):
    """A sequence that was told or is a head's, and that the journal does not have."""


class Follower(Protocol):
    """Who keeps a state of its own by what is committed."""

    def take(self, partition_id: int, step: Step) -> None:
        """Take in the next step of a partition; must not raise."""

    def miss(self) -> None:
        """Hear that steps were passed over: they stand in the journal."""


class Relay:
    """Feeds `tape`, `history` and `hub`. `start` before use; `tell` after every commit; `stop` at the end."""

    def __init__(self, database: Database, *, is_read: bool = True) -> None:
        self.tape = Tape()
        self.history = History()
        self.hub = Hub()
        self.events: Counts[str] = Counts()
        """Committed events told, by their kind."""
        self.followers: list[Follower] = []
        """Told of every step before readers are."""
        self.is_cut_off = False
        """Whether the database could not be reached, or has not answered, when it was last asked."""
        self._database = database
        self._is_read_here = is_read
        self._told: deque[tuple[int, Sequence[Step]]] = deque()
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._is_halted = False
        self._is_torn = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Learn the past, and begin."""
        await self._seed()
        self._task = asyncio.create_task(self._run(), name="relay")

    def tell(self, partition_id: int, steps: Sequence[Step]) -> None:
        """Take in what a partition has committed: steps that follow each other without a gap."""
        if steps and not self._is_read_here:
            self.hub.sequences[partition_id] = steps[-1].sequence
        elif steps:
            self._told.append((partition_id, steps))
            if len(self._told) > BATCHES_TOLD_MAX:
                self._told.popleft()
            self._wake.set()

    def halt(self) -> None:
        """Tell nothing from now on, whoever commits, and close every reader; `stop` still ends the task."""
        self._is_stopping = self._is_halted = True
        self._wake.set()
        self.hub.shut_down()

    async def stop(self) -> None:
        """Tell what was committed until now, unless halted, close every reader, and end."""
        # By a flag: a cancellation that meets a wake-up can get lost on its way.
        self._is_stopping = True
        self._wake.set()
        try:
            if self._task is not None:
                await in_time(self._end(self._task), STOP_S)
                self._task = None
        except Exception:  # noqa: BLE001 - logged; whoever reads must be closed all the same
            _log.exception("the last events were not told")
        finally:
            self.hub.shut_down()

    async def _end(self, task: asyncio.Task[None]) -> None:
        try:
            await task
            await self._publish_told()
        finally:
            await end([task])

    async def _seed(self) -> None:
        async with self._database.transaction(isolation="repeatable_read") as connection:
            await unhurried(connection)
            sequences = await store.heads(connection)
            if not self._is_read_here:
                self.hub.sequences.update(sequences)
                return
            trades = await store.last_trades(connection, TRADES_KEPT)
            minutes = await store.minute_volumes(connection)
            by_trade = await store.bars_by_trade(connection, DAYS_KEPT)
            by_delivery = await store.bars_by_delivery(connection, DAYS_KEPT)
            spot = await store.spot_trades(connection, DAYS_KEPT + SPOT_HOURS // DAY_HOURS, SPOT_HOURS)
        for product_id, latest in trades.items():
            self.tape.seed(product_id, latest, minutes.get(product_id, ()))
        await self.history.seed(by_trade=by_trade, by_delivery=by_delivery, spot=spot)
        # At last, and nothing waits after it: whoever sees this place sees what belongs to it.
        self.hub.sequences.update(sequences)

    async def _begin_anew(self) -> None:
        await self._seed()
        for follower in self.followers:
            follower.miss()
        self.hub.close_all(Closing.MISSED)
        self._is_torn = False

    async def _run(self) -> None:
        while not self._is_stopping:
            try:
                await self._follow()
            except ConnectionLost as error:
                self.is_cut_off = True
                _log.warning("the relay waits for the database: %s", error)
                await asyncio.sleep(RETRY_S)
            except Exception:  # noqa: BLE001 - logged; a feed that has ended would go unnoticed
                _log.exception("the relay failed and tries again")
                await asyncio.sleep(IDLE_S)

    async def _follow(self) -> None:
        clock = asyncio.get_running_loop().time
        looked_s = clock()
        if self._is_torn:
            await self._begin_anew()
        while not self._is_stopping:
            self._wake.clear()
            await self._publish_told()
            if clock() - looked_s >= IDLE_S:
                await self._publish_heads()
                looked_s = clock()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(looked_s + IDLE_S):
                    await self._wake.wait()

    async def _publish_told(self) -> None:
        while self._told:
            partition_id, steps = self._told[0]
            try:
                await self._reach(partition_id, steps[0].sequence - 1)
                self._publish(partition_id, steps)
            except NotInJournal as error:
                # Whoever told of it knows another journal than ours.
                _log.error("steps that were told are passed over: %s", error)
            self._told.popleft()
            await asyncio.sleep(0)  # readers take what they were given before the next commit is told

    async def _publish_heads(self) -> None:
        """Tell what stands in the journal and was not told: another process committed it."""
        heads = await self._database.ask(store.heads, within_s=ANSWER_S)
        self.is_cut_off = False
        for partition_id, sequence in heads.items():
            if self._is_read_here:
                await self._reach(partition_id, sequence)
            else:
                self.hub.sequences[partition_id] = max(sequence, self.hub.sequences.get(partition_id, 0))

    async def _reach(self, partition_id: int, through_sequence: int) -> None:
        """Tell everything through a committed sequence, from the journal."""
        while (last := self.hub.sequences.get(partition_id, 0)) < through_sequence and not self._is_halted:
            if through_sequence - last > STEPS_FILLED_MAX:
                _log.error("events of partition %d were missed after %d", partition_id, last)
                await self._begin_anew()
                return
            steps, named = await self._database.ask(
                partial(self._read, partition_id=partition_id, after=last, through_sequence=through_sequence),
                within_s=READ_S,
            )
            if self._readers_among(steps) <= named:  # else somebody has begun to read since
                self._publish(partition_id, steps)
            await asyncio.sleep(0)

    async def _read(
        self, connection: Connection, *, partition_id: int, after: int, through_sequence: int
    ) -> tuple[list[Step], set[int]]:
        """Return steps of the journal with names put to what readers will be told, and who those are."""
        steps = await store.steps(connection, partition_id, after, through_sequence, STEPS_READ_AT_ONCE)
        if not steps:
            raise NotInJournal(
                f"the journal of partition {partition_id} ends at {after}, before {through_sequence}"
            )
        named: set[int] = set()
        while not (wanted := self._readers_among(steps)) <= named:  # some may begin to read meanwhile
            steps = await with_names(connection, partition_id, steps, wanted)
            named = wanted
        return steps, named

    def _readers_among(self, steps: Sequence[Step]) -> set[int]:
        return {each for each in owners_among(steps) if self._is_read(each)}

    def _is_read(self, owner_id: int) -> bool:
        return self.hub.has_readers(orders_key(owner_id))

    def _publish(self, partition_id: int, steps: Sequence[Step]) -> None:
        for step in steps:
            if self._is_halted or step.sequence <= self.hub.sequences.get(partition_id, 0):
                continue
            self._is_torn = True
            for event in step.events:
                self.events.add(type(event).__name__)
            self.hub.sequences[partition_id] = step.sequence
            for follower in self.followers:
                follower.take(partition_id, step)
            trades = rules.tape_trades(partition_id, step.event_at_us, step.events)
            for trade in trades:
                self.tape.add(step.product_id, trade)
            if trades:
                self.history.take(step)
                self._publish_trades(partition_id, step, trades)
            self._publish_news(partition_id, step)
            self._is_torn = False

    def _publish_trades(self, partition_id: int, step: Step, trades: Sequence[TapeTrade]) -> None:
        channel = f"{TRADES_CHANNEL}{step.product_id}"
        if self.hub.has_readers(channel):
            views = [rules.trade_view(trade) for trade in trades]
            self.hub.publish(
                channel,
                Delta(
                    channel=channel,
                    partition=partition_id,
                    prev_sequence=0,
                    sequence=step.sequence,
                    trades=views,
                ),
            )

    def _publish_news(self, partition_id: int, step: Step) -> None:
        told = news_by_participant(
            step.product_id,
            step.event_at_us,
            step.events,
            self._is_read,
            step.client_order_id,
            step.trade_ids,
            step.cause,
        )
        for participant_id, news in told.items():
            self.hub.publish(
                orders_key(participant_id),
                Delta(
                    channel=ORDERS_CHANNEL,
                    partition=partition_id,
                    prev_sequence=0,
                    sequence=step.sequence,
                    orders=news,
                ),
            )
