"""What operators are told of all processes: each tells the others of itself, and any of them answers for all.

A process writes what it says of itself (`Told`) into the database every `PERIOD_S`, in one statement
beside everything else, and takes its row away when it stops. One that was killed is shown, with the time
since it was last heard of, for `FORGOTTEN_S`. Nothing here is on the way of an order.

Known limit: what measures say of another process is up to `PERIOD_S` old.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from exchange.kit.chores import Chore
from exchange.kit.clock import US_PER_SECOND, format_rfc3339, monotonic_s, us_of_hour
from exchange.kit.database import Connection, ConnectionLost
from exchange.kit.errors import Unavailable
from exchange.kit.settings import Role
from exchange.monitoring import store
from exchange.monitoring.collect import Watched
from exchange.monitoring.models import (
    DatabaseConnections,
    DatabaseView,
    FollowerView,
    LeaderView,
    OperationsView,
    PartitionStanding,
    PartitionView,
    PhaseView,
    ProcessReport,
    ProcessView,
    SealingView,
    Told,
)
from exchange.monitoring.recent import PERIOD_S, Recent
from exchange.monitoring.sealing import sealing_view
from exchange.orders.meters import SequencerMeters, SequencerState

FORGOTTEN_S: Final = 3_600.0
HEARD_S: Final = 3 * PERIOD_S
"""Who was not heard of for longer has stopped, or cannot reach the database."""
LAST_WORD_S: Final = 2.0
BEHIND_MAX: Final = 10_000
PHASE_CHANGES_SHOWN: Final = 50


class Operations:
    """What this process says of itself, and what all have said. `start`, then `stop` at the end."""

    def __init__(
        self, watched: Watched, *, name: str, role: Role, troubles: Callable[[], Sequence[str]]
    ) -> None:
        """Speak under a name: that under which this process holds leases."""
        self._watched = watched
        self._name = name
        self._role = role
        self._troubles = troubles
        self._recent: dict[int, Recent] = {each: Recent() for each in watched.orders.states()}
        self.sealing: SealingView | None = None
        """How sealing stood when it was last looked at; None before."""
        self._chore = Chore(
            "process-report",
            self.tell,
            undone="other processes are not told of this one",
            period_s=PERIOD_S,
            retry_s=PERIOD_S,
        )
        self._has_begun = False

    def start(self) -> None:
        """Begin to tell."""
        self._chore.start()
        self._has_begun = True

    async def stop(self) -> None:
        """Tell that this process stops, and no more."""
        await self._chore.stop()
        if self._has_begun:
            # A database that does not answer keeps nobody from stopping: the row is old soon.
            with suppress(ConnectionLost, TimeoutError):
                async with asyncio.timeout(LAST_WORD_S), self._watched.database.transaction() as connection:
                    await store.forget_process(connection, self._name)

    async def tell(self) -> None:
        """Sample the instruments, tell what they say, and forget who has said nothing for long."""
        states, meters = self._watched.orders.states(), self._watched.orders.meters()
        for partition_id, state in states.items():
            if not state.trouble:
                self._recent[partition_id].take(meters[partition_id], state.sequence, monotonic_s())
        told = msgspec.json.encode(self.told())
        async with self._watched.database.transaction() as connection:
            await store.tell_process(connection, self._name, self._role, told)
            await store.forget_processes(connection, FORGOTTEN_S)
            rows = await store.processes(connection)
            await self._look_at_sealing(connection, self._alive(rows, self._all_told(rows)))

    def told(self) -> Told:
        """Return what this process says of itself now."""
        watched = self._watched
        states, meters = watched.orders.states(), watched.orders.meters()
        usage, now_s = watched.database.usage, monotonic_s()
        return Told(
            report=ProcessReport(
                troubles=list(self._troubles()),
                database_connections=DatabaseConnections(
                    lent=usage.lent, idle=usage.open - usage.lent, most=usage.most
                ),
                redis=None if watched.redis is None else not watched.redis.is_cut_off,
                notices_heard=watched.notices.is_listening,
                alerts_reading=watched.alerts.is_leading,
                can_sign=watched.sealer.can_sign,
                seal_doubt=watched.sealer.doubt,
                stream_readers=watched.relay.hub.readers,
                connections=None if watched.connections is None else watched.connections.count,
                partitions=[
                    self._standing(each, state, meters[each], now_s) for each, state in states.items()
                ],
            ),
            alerts_read_record=watched.alerts.read_id,
            commits={
                each: self._recent[each].commits(meters[each], state.sequence, now_s)
                for each, state in states.items()
                if self._leads(state)
            },
        )

    def _leads(self, state: SequencerState) -> bool:
        return self._role != "gateway" and state.is_leading

    def _standing(
        self, partition_id: int, state: SequencerState, meters: SequencerMeters, now_s: float
    ) -> PartitionStanding:
        told_sequence = self._watched.relay.hub.sequences.get(partition_id, 0)
        late_us = self._watched.clock.now_us() - us_of_hour(state.hour + 1)
        return PartitionStanding(
            partition=partition_id,
            is_leading=self._leads(state),
            trouble=state.trouble,
            sequence=state.sequence,
            waiting_requests=state.queued,
            feed_lag_sequences=max(0, state.sequence - told_sequence),
            hour_lag_s=max(0, late_us) / US_PER_SECOND,
            acknowledged_seconds=self._recent[partition_id].acknowledged(meters, state.sequence, now_s),
        )

    async def view(self) -> OperationsView:
        """Return how the exchange stands; raises `ConnectionLost`."""
        async with self._watched.database.connection() as connection:
            asked_s = monotonic_s()
            rows = await store.processes(connection)
            round_trip_s = monotonic_s() - asked_s
            size_bytes, oldest_s = await store.database_state(connection)
            partitions = await store.partitions(connection)
            told = self._all_told(rows)
            alive = self._alive(rows, told)
            followers = await self._followers(connection, alive)
            sealing = await self._look_at_sealing(connection, alive)
            changes = await store.phase_changes(connection, PHASE_CHANGES_SHOWN)
        return OperationsView(
            venue_at=format_rfc3339(self._watched.clock.now_us()),
            process=self._name,
            troubles=list(self._troubles()),
            database=DatabaseView(
                round_trip_ms=round(round_trip_s * 1_000, 3),
                oldest_transaction_s=round(oldest_s, 3),
                size_bytes=size_bytes,
            ),
            partitions=[self._partition(each, told) for each in partitions],
            followers=followers,
            sealing=sealing,
            processes=[self._process(each, told[each.name]) for each in rows],
            phase_changes=changes,
        )

    def _all_told(self, rows: Sequence[store.ProcessRow]) -> dict[str, Told | None]:
        return {each.name: _read(each.report) for each in rows} | {self._name: self.told()}

    def _alive(self, rows: Sequence[store.ProcessRow], told: Mapping[str, Told | None]) -> dict[str, Told]:
        """Return what those said that were heard of lately: the row of one that was killed stays."""
        heard = {each.name for each in rows if each.seen_s_ago <= HEARD_S} | {self._name}
        return {name: each for name, each in told.items() if each is not None and name in heard}

    async def _look_at_sealing(self, connection: Connection, told: Mapping[str, Told]) -> SealingView:
        watch = self._watched.sealing
        standing = await watch.look(connection)
        self.sealing = sealing_view(
            standing,
            told,
            waiting_s=watch.waiting_s,
            period_s=self._watched.sealer.period_s,
        )
        return self.sealing

    async def _followers(self, connection: Connection, told: Mapping[str, Told]) -> list[FollowerView]:
        reading = {name: each for name, each in told.items() if each.report.alerts_reading}
        read_id = max((each.alerts_read_record for each in reading.values()), default=0)
        alerts = await store.alerts_position(connection, read_id)
        summaries = await store.summaries_position(connection, BEHIND_MAX)
        found = []
        if alerts is not None:
            found.append(
                FollowerView(
                    name="alerts",
                    process=max(reading, key=lambda name: reading[name].alerts_read_record, default=None),
                    read_until_at=alerts.read_until_at,
                    behind_records=min(alerts.behind_records, BEHIND_MAX),
                )
            )
        if summaries is not None:
            found.append(
                FollowerView(
                    name="summaries",
                    process=None,
                    read_until_at=summaries.read_until_at,
                    behind_records=summaries.behind_records,
                )
            )
        return found

    def _partition(self, row: store.PartitionRow, told: Mapping[str, Told | None]) -> PartitionView:
        leader = None
        if row.holder is not None:
            said = told.get(row.holder)
            leader = LeaderView(
                process=row.holder,
                epoch=row.epoch,
                holds_for_s=round(row.holds_for_s, 3),
                commits=None if said is None else said.commits.get(row.partition_id),
            )
        products = self._watched.orders.products
        return PartitionView(
            partition=row.partition_id,
            leader=leader,
            committed_sequence=row.last_sequence,
            committed_at=row.last_event_at,
            marked_sequence=row.marked_sequence,
            products=[
                PhaseView(product=each.id, phase=self._phase(each.id))
                for each in sorted(products.values(), key=lambda product: product.id)
                if each.partition_id == row.partition_id
            ],
        )

    def _phase(self, product_id: str) -> str | None:
        try:
            return self._watched.orders.book(product_id).phase
        except Unavailable:
            return None

    def _process(self, row: store.ProcessRow, told: Told | None) -> ProcessView:
        is_here = row.name == self._name
        return ProcessView(
            process=row.name,
            role=row.role,
            is_here=is_here,
            up_s=round(row.up_s, 3),
            seen_s_ago=0.0 if is_here else round(max(row.seen_s_ago, 0.0), 3),
            report=None if told is None else told.report,
        )


def _read(report: bytes) -> Told | None:
    """Read what another process has said; None where it is of another version."""
    try:
        return msgspec.json.decode(report, type=Told)
    except msgspec.DecodeError:
        return None
