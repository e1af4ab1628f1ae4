"""The task that reads the committed record for alerts: one process at a time, behind the order path.

Invariants: how far the record was read moves in the transaction that stores what was found there, so after
any end it goes on where it stopped; facts raise one alert, because a second one has the same fingerprint.
What detectors remember is kept now and then, and made again from the record in between.

It never holds up an order: it takes no lock that one needs, reads what is committed, does at most
`RECORDS_AT_ONCE` steps a turn, and rests after each (`exchange.kit.courtesy`). So it falls behind in a rush,
and catches up after it.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final

import msgspec

from exchange.alerts import chain, store
from exchange.alerts.detection import FORM, Detection
from exchange.alerts.models import Finding
from exchange.alerts.reading import Horizon, look, read_steps, versions_of
from exchange.alerts.thresholds import AlertRulesVersion, in_force
from exchange.kit.clock import Clock, monotonic_s
from exchange.kit.courtesy import REST_S_MIN, Courtesy
from exchange.kit.database import Connection, ConnectionLost, Database, LoneConnection
from exchange.kit.ids import new_id
from exchange.kit.tasks import end
from exchange.orders.partition import GENESIS_HASH
from exchange.transparency.following import Looked, look_on

RECORDS_AT_ONCE: Final = 200
JOURNAL_AT_ONCE: Final = 200
KEPT_EVERY: Final = 20_000
"""Steps between two times that memory is kept; so many at most are read again after an end."""
UNMOVED_MAX: Final = 5_000
"""Records that no detector reads are passed over in memory only, up to so many."""
IDLE_S: Final = 0.5
SOON_S: Final = 0.1
RETRY_S: Final = 1.0
STOP_S: Final = 5.0
"""A turn may be cut off anywhere: what came of it is not committed, and read anew."""

_log = logging.getLogger(__name__)


class AlertWatch:
    """Reads the record in turns. `start` once, `stop` at the end; a test may call `turn` itself."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.found = 0
        """Findings stored since the start."""
        self.read_id = 0
        """The last record read, as far as it is committed that it was."""
        self.is_leading = False
        """Whether this process is the one that reads."""
        self._database = database
        self._clock = clock
        self._horizon = Horizon()
        self._detection = Detection()
        self._read_id: int | None = None
        """How far the detectors have read; None where they remember nothing that can be relied on."""
        self._unkept = 0
        self._stopping = asyncio.Event()
        self._courtesy = Courtesy(self._rest)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.create_task(self._run(), name="alerts")

    async def stop(self) -> None:
        """End after the turn that is under way, and keep what is remembered, where that is done in time."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=STOP_S)
            await end([self._task])
            self._task = None

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                async with self._database.alone() as line:
                    self.is_leading = await store.try_to_lead(line)
                    if self.is_leading:
                        await self._lead(line)
            except ConnectionLost as error:
                if not self._stopping.is_set():
                    _log.warning("the record is not read for alerts: %s", error)
            except Exception:  # noqa: BLE001 - logged; surveillance that has ended would go unnoticed
                _log.exception("reading the record for alerts failed, and is tried again")
            self._read_id = None
            self.is_leading = False
            await self._rest(RETRY_S)

    async def _lead(self, line: LoneConnection) -> None:
        """Take turns while this session is the one that leads."""
        while not self._stopping.is_set():
            began_s = monotonic_s()
            has_more = await self.turn()
            await line.execute("SELECT")
            least_s = REST_S_MIN if has_more else SOON_S if self._horizon.is_waiting else IDLE_S
            await self._courtesy.rest(monotonic_s() - began_s, least_s)
        with suppress(ConnectionLost):
            await self.keep()

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def turn(self) -> bool:
        """Read on, once and not far; return whether there is more to read at once."""
        read_id = self._read_id if self._read_id is not None else await self._recall()
        self._read_id = None  # until what comes of this turn is committed
        async with self._database.transaction() as connection:
            stored_id = await store.lock_position(connection)
            if stored_id is None or stored_id > read_id:
                return False  # another process has read on, or what was read before is not all remembered
            await store.walk_indexes(connection)
            versions = await versions_of(connection)
            through_id = max(read_id, await self._horizon.through(connection))
            steps, next_id = await read_steps(connection, read_id, through_id, RECORDS_AT_ONCE)
            findings = await look(self._detection, steps, versions)
            broken, has_more_journal = await self._follow_chains(connection, versions)
            findings += broken
            if findings:
                await store.insert_findings(connection, [(new_id(), each) for each in findings])
            is_kept = await self._move(connection, stored_id, next_id, is_due=bool(steps))
        self.found += len(findings)
        self._unkept = 0 if is_kept else self._unkept + len(steps)
        self._read_id = self.read_id = next_id
        return next_id < through_id or has_more_journal

    async def _move(self, connection: Connection, stored_id: int, next_id: int, *, is_due: bool) -> bool:
        """Move the position where that is due; return whether memory was kept with it."""
        if self._unkept >= KEPT_EVERY:
            await store.keep_state(connection, next_id, self._detection.packed(), FORM)
            return True
        if is_due or next_id - stored_id > UNMOVED_MAX:
            await store.set_position(connection, next_id)
        return False

    async def keep(self) -> None:
        """Keep what is remembered, so that the next start need not make it again."""
        if self._read_id is None:
            return
        async with self._database.transaction() as connection:
            if await store.lock_position(connection) is not None:
                await store.keep_state(connection, self._read_id, self._detection.packed(), FORM)
                self._unkept = 0

    async def _recall(self) -> int:
        """Remember what was kept, and read again what came after, up to where the record was read."""
        self._detection = Detection()
        async with self._database.transaction() as connection:
            kept = await store.kept_state(connection)
        if kept is None:
            raise AssertionError("the position is made when an exchange opens")
        read_id = 0
        if kept["state"] is not None and kept["state_form"] == FORM:
            try:
                self._detection.unpack(kept["state"])
                read_id = kept["state_record_id"]
            except msgspec.DecodeError:
                self._detection = Detection()
                _log.warning("what was remembered for alerts cannot be read; it is made from the record")
        while read_id < kept["record_id"] and not self._stopping.is_set():
            async with self._database.transaction() as connection:
                await store.walk_indexes(connection)
                versions = await versions_of(connection)
                steps, read_id = await read_steps(connection, read_id, kept["record_id"], RECORDS_AT_ONCE)
            await look(self._detection, steps, versions)  # what it finds was stored when it was first read
        return read_id

    async def _follow_chains(
        self, connection: Connection, versions: tuple[AlertRulesVersion, ...]
    ) -> tuple[list[Finding], bool]:
        """Go on over the journals and what was sealed; return what is broken, and whether there is more."""
        now_us = self._clock.now_us()
        rules = in_force(versions, now_us)
        if not rules.rules.record_break.enabled:
            return [], False
        links = await store.chains(connection)
        findings: list[Finding] = []
        moved: dict[int, tuple[int, bytes]] = {}
        has_more = False
        for head in await store.heads(connection):
            partition_id = head["partition_id"]
            before = chain.Link(*links.get(partition_id, (0, GENESIS_HASH)))
            rows = await store.journal_after(
                connection, partition_id, before.sequence, head["last_sequence"], JOURNAL_AT_ONCE
            )
            link, breaks = chain.follow(before, rows)
            is_read_out = len(rows) < JOURNAL_AT_ONCE
            link, more_breaks = chain.compare(link, head, is_read_out=is_read_out)
            findings += [
                chain.finding_of(partition_id, each, rules, now_us) for each in (*breaks, *more_breaks)
            ]
            if link != before:
                moved[partition_id] = (link.sequence, link.hash)
            has_more = has_more or link.sequence < head["last_sequence"]
        looked = Looked(*links[chain.SEALED]) if chain.SEALED in links else Looked()
        seen, seal_break = await look_on(connection, looked)
        if seal_break is not None:
            findings.append(chain.finding_of_seal(seal_break, rules, now_us))
        if seen != looked:
            moved[chain.SEALED] = (seen.size, seen.digest)
            has_more = True
        if moved:
            await store.set_chains(connection, {**links, **moved})
        return findings, has_more
