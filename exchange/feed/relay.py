"""Hop 6: from the outbox to whoever listens, in commit order.

One task reads the rows that commits have left, tells the tape and the hub, and deletes them. `notify` wakes
it; it also looks by itself every `IDLE_S`, so a lost wake-up costs a second and nothing else. What was
committed before the start is known from the tables (`_seed`) and not told: nobody listened yet.

Invariants: a sequence is told once a process, after its commit, and never before one with a smaller sequence
of its partition, nor after one that is missing: on a gap (another process took rows) the tables are read anew
and every reader is closed, to come back for a snapshot. Losing the database delays and loses nothing. Rows
are deleted in the background without waiting for the disk, because a row told again at the next start meets
no reader and a tape that knows it.

Known limit: one relay a database; it reads every event once more than the partition did.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from exchange.feed import rules, store
from exchange.feed.hub import Closing, Hub, orders_key
from exchange.feed.models import ORDERS_CHANNEL, TRADES_CHANNEL, Delta, TapeTrade
from exchange.feed.news import news_by_participant
from exchange.feed.tape import TRADES_KEPT, Tape
from exchange.kit.database import Connection, ConnectionLost, Database
from exchange.kit.outbox import delete_outbox, read_outbox
from matching.codec import decode_events
from matching.events import Event

ROWS_AT_ONCE: Final = 50
ROWS_UNDELETED_MAX: Final = 500
IDLE_S: Final = 1.0
HELD_BACK_S: Final = 0.005
RETRY_S: Final = 0.2

_Payload = list[tuple[int, str, int, bytes]]
_decoder: Final = msgspec.msgpack.Decoder(_Payload)
_log = logging.getLogger(__name__)


class Relay:
    """Feeds `tape` and `hub`. `start` before use; `notify` after every commit; `stop` at the end."""

    def __init__(self, database: Database) -> None:
        self.tape = Tape()
        self.hub = Hub()
        self._database = database
        self._wake = asyncio.Event()
        self._told_id = 0
        self._deleted_id = 0
        self._undeleted = 0
        self._stopping = False
        self._halted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Learn the past, pass over what an earlier process left, and begin."""
        await self._seed()
        async with self._database.connection() as connection:
            await self._drain(connection)
        self._task = asyncio.create_task(self._run(), name="relay")

    def notify(self) -> None:
        """Say that something was committed."""
        self._wake.set()

    def halt(self) -> None:
        """Tell nothing from now on, whoever commits, and close every reader; `stop` still ends the task."""
        self._stopping = True
        self._halted.set()
        self._wake.set()
        self.hub.shut_down()

    async def stop(self) -> None:
        """Tell what was committed until now, unless halted, close every reader, and end."""
        # By a flag: a cancellation that meets a wake-up can get lost on its way.
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
            self._task = None
        if not self._halted.is_set():
            with suppress(ConnectionLost):
                async with self._database.connection() as connection:
                    await self._drain(connection)
                await self._delete()
        self.hub.shut_down()

    async def _seed(self) -> None:
        async with self._database.transaction(isolation="repeatable_read") as connection:
            self.hub.sequences.update(await store.heads(connection))
            trades = await store.last_trades(connection, TRADES_KEPT)
            minutes = await store.minute_volumes(connection)
        for product_id, latest in trades.items():
            self.tape.seed(product_id, latest, minutes.get(product_id, ()))

    async def _run(self) -> None:
        while not self._stopping:
            try:
                # One connection for as long as it lasts: to borrow one costs more than to read a row.
                async with self._database.connection() as connection:
                    await self._follow(connection)
            except ConnectionLost as error:
                _log.warning("the relay waits for the database: %s", error)
                await asyncio.sleep(RETRY_S)
            except Exception:  # noqa: BLE001 - logged; a feed that has ended would go unnoticed
                _log.exception("the relay failed and tries again")
                await asyncio.sleep(IDLE_S)

    async def _follow(self, connection: Connection) -> None:
        is_idle = False
        while not self._stopping:
            self._wake.clear()
            has_more = await self._drain(connection)
            # Under load many rows go in one deletion; what is left over goes when a second was quiet.
            if self._undeleted >= ROWS_UNDELETED_MAX or (is_idle and not has_more):
                await self._delete()
            if not self._stopping:
                is_idle = True
                with suppress(TimeoutError):
                    async with asyncio.timeout(HELD_BACK_S if has_more else IDLE_S):
                        await self._wake.wait()
                        is_idle = False

    async def _drain(self, connection: Connection) -> bool:
        """Tell all that may be read; returns whether more waits for older transactions to end."""
        while not self._halted.is_set():
            rows, has_more = await read_outbox(connection, self._told_id, ROWS_AT_ONCE)
            for row in rows:
                steps = _decoder.decode(row.payload)
                if self._misses(row.partition_id, steps):
                    _log.error("events of partition %d were missed before %d", row.partition_id, row.sequence)
                    await self._seed()
                    self.hub.close_all(Closing.MISSED)
                if self._halted.is_set():
                    return False
                self._tell(row.partition_id, steps)
                self._told_id = row.id
                self._undeleted += 1
                await asyncio.sleep(0)  # readers take what they were given before the next commit is told
            if not has_more or not rows:
                return has_more
        return False

    async def _delete(self) -> None:
        """Delete what was told."""
        through_id = self._told_id
        if self._halted.is_set() or through_id == self._deleted_id:
            return
        async with self._database.transaction() as connection:
            await store.forget_lazily(connection)
            await delete_outbox(connection, through_id)
        self._deleted_id = through_id
        self._undeleted = 0

    def _misses(self, partition_id: int, steps: _Payload) -> bool:
        """Tell whether anything lies between what was told and these steps, or between two of them."""
        last = self.hub.sequences.get(partition_id, 0)
        for sequence, *_ in steps:
            if sequence > last + 1:
                return True
            last = max(last, sequence)
        return False

    def _tell(self, partition_id: int, steps: _Payload) -> None:
        for sequence, product_id, event_at_us, events_bytes in steps:
            if sequence <= self.hub.sequences.get(partition_id, 0):
                continue
            self.hub.sequences[partition_id] = sequence
            events = decode_events(events_bytes)
            trades = rules.tape_trades(partition_id, event_at_us, events)
            for trade in trades:
                self.tape.add(product_id, trade)
            if trades:
                self._tell_trades(partition_id, sequence, product_id, trades)
            self._tell_owners(partition_id, sequence, product_id, event_at_us, events)

    def _tell_trades(
        self, partition_id: int, sequence: int, product_id: str, trades: Sequence[TapeTrade]
    ) -> None:
        channel = f"{TRADES_CHANNEL}{product_id}"
        if self.hub.has_readers(channel):
            views = [rules.trade_view(trade) for trade in trades]
            self.hub.publish(
                channel,
                Delta(
                    channel=channel, partition=partition_id, prev_sequence=0, sequence=sequence, trades=views
                ),
            )

    def _tell_owners(
        self, partition_id: int, sequence: int, product_id: str, event_at_us: int, events: Sequence[Event]
    ) -> None:
        hub = self.hub
        told = news_by_participant(
            product_id, event_at_us, events, lambda owner_id: hub.has_readers(orders_key(owner_id))
        )
        for participant_id, news in told.items():
            hub.publish(
                orders_key(participant_id),
                Delta(
                    channel=ORDERS_CHANNEL,
                    partition=partition_id,
                    prev_sequence=0,
                    sequence=sequence,
                    orders=news,
                ),
            )
