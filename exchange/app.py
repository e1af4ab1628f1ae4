"""The composition root: from settings to a running process of the exchange (`exchange.api` is its door).

`Exchange.open` brings everything up in the order in which each part needs the one before it: the database,
its schema, the catalogue, the first key, then the notices of other processes, the relay, and the partitions
with their books, or the way to them (`exchange.fleet.roles`). `close` takes it down in the opposite order, so
that every request that was taken is answered first; `GIVE_UP_S` after it began a database that does not
answer is taken for lost, so that nobody waits for it for ever.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Final, Self

from exchange.alerts import service as surveillance
from exchange.alerts.watch import AlertWatch
from exchange.feed.books import BookFeed
from exchange.feed.relay import Relay
from exchange.fleet.leases import new_holder
from exchange.fleet.roles import LedByTurns, LedElsewhere, LedHere, Partitions, Surroundings, why_not
from exchange.kit.audit_months import AuditMonths
from exchange.kit.auth_guard import PERIOD_S, FailureRecord
from exchange.kit.chores import Chore
from exchange.kit.clock import (
    US_PER_HOUR,
    Clock,
    ScaledClock,
    SystemClock,
    format_rfc3339,
    wall_now_us,
)
from exchange.kit.database import Connection, Database, take_process_number
from exchange.kit.embedded_postgres import EmbeddedPostgres
from exchange.kit.http_limits import Limits, Rates
from exchange.kit.ids import use_number
from exchange.kit.migrate import migrate
from exchange.kit.notices import Notices
from exchange.kit.rates_redis import RedisLimiter
from exchange.kit.redis import Redis
from exchange.kit.rereading import Rereader
from exchange.kit.settings import Settings
from exchange.kit.tracing import traces_of
from exchange.ledger.service import AccountDirectory
from exchange.monitoring.collect import Watched, troubles
from exchange.monitoring.service import Operations
from exchange.orders.leader import SequencerSettings
from exchange.orders.models import Step
from exchange.orders.partition import latest_event_at_us
from exchange.orders.sequencer import Sequencer
from exchange.orders.service import OrderService
from exchange.orders.switches import Switches, SwitchWatch
from exchange.orders.traced import traced
from exchange.orders.withdrawals import Withdrawals
from exchange.oversight.marks import Marking
from exchange.oversight.summaries import Summaries
from exchange.participants.keyring import Keyring
from exchange.participants.service import first_operator_key
from exchange.products.list_prices import ListPrices
from exchange.products.models import ProductSpec
from exchange.products.rules import products_of_partition
from exchange.products.service import load_products, seed_catalogue
from exchange.programmes.registry import ProgrammeRegistry
from exchange.transparency import keys as checkpoint_keys
from exchange.transparency import starting
from exchange.transparency.folder import CheckpointFolder, FolderInUse
from exchange.transparency.notes import Signer
from exchange.transparency.sealer import Sealer

OPERATOR_KEY_FILE: Final = "operator.key"
PARTITIONS_MAX: Final = 10
"""Each keeps a connection of the pool's; what is left of it serves everything else."""

GIVE_UP_S: Final = 20.0
IDLE_TRANSACTION_S: Final = 3
"""How long an engine that has stopped may hold the locks that its successor needs."""

_log = logging.getLogger(__name__)


class StartError(Exception):
    """The exchange cannot start on this database with these settings; the message says why."""


class Exchange:
    """A running process: all of the exchange, or its part by its role. Made by `open`, ended by `close`."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        clock: Clock,
        *,
        accounts: AccountDirectory,
        programmes: ProgrammeRegistry,
        list_prices: ListPrices,
        products: dict[str, ProductSpec],
        server: EmbeddedPostgres | None,
        replica: Database | None,
    ) -> None:
        self.settings = settings
        self.database = database
        self.oversight_reads = replica or database
        """What regulators' questions are read from."""
        self._replica = replica
        self.clock = clock
        self.accounts = accounts
        self.programmes = programmes
        self.list_prices = list_prices
        self.products = products
        self.notices = Notices(database)
        """What other processes change; whoever keeps rows in memory subscribes before `_start`."""
        self.redis = _redis(settings)
        self.process = new_holder()
        """The name of this process among those of the exchange."""
        self._shared_limits = (
            RedisLimiter(self.redis) if self.redis is not None and settings.role == "gateway" else None
        )
        self.relay = Relay(database, is_read=settings.role != "engine")
        self._on_commit: list[Callable[[int, Sequence[Step]], None]] = [self.relay.tell]
        self.ended = asyncio.Event()
        """Set when a partition stopped by itself: it was fenced, or met a fault. Nothing is served then."""
        self.traces = traces_of(settings)
        self._server = server
        self.partitions = self._partitions()
        self.books = BookFeed(self.relay.hub, products, self.partitions.leaders)
        self._on_commit.append(self.books.committed)
        self.relay.followers.append(self.books)
        self.orders = OrderService(
            database=database,
            clock=clock,
            products=products,
            sequencers=traced(self.partitions.leaders, self.traces),
            programmes=programmes,
            list_prices=list_prices,
        )
        self.watched = Watched(
            orders=self.orders,
            relay=self.relay,
            database=database,
            clock=clock,
            limits=Limits(_rates(settings), self._shared_limits),
            failures=FailureRecord(database, clock.now_us),
            notices=self.notices,
            alerts=AlertWatch(database, clock),
            sealer=Sealer(database, CheckpointFolder.of(settings), period_s=settings.checkpoint_period_s),
            redis=self.redis,
            losses=self.partitions.losses,
        )
        self.operations = Operations(
            self.watched, name=self.process, role=settings.role, troubles=self.troubles
        )
        self.keys = Keyring(
            database,
            self.notices,
            limits=self.watched.limits,
            failures=self.watched.failures,
            session_idle_s=settings.session_idle_s,
        )
        self._rereading = [
            Rereader(database, self.notices, "programme", self._reread_programmes).chore,
            Rereader(database, self.notices, "list_price", list_prices.refresh).chore,
        ]
        self._is_stopping = False
        self._failures_chore = Chore(
            "failed-authentications",
            self.watched.failures.write,
            undone="failed authentications are not written",
            period_s=PERIOD_S,
            first_s=PERIOD_S,
            retry_s=PERIOD_S,
        )
        self.switches = Switches(database, {product.partition_id for product in products.values()})
        self._switch_watch = SwitchWatch(database, self.partitions.leaders)
        self._audit_months = AuditMonths(database, clock)
        self.withdrawals = Withdrawals(database, self.partitions.leaders)
        self._summaries = Summaries(database)
        self._marking = Marking(
            database,
            {
                partition_id: products_of_partition(products, partition_id)
                for partition_id in sorted({product.partition_id for product in products.values()})
            },
        )
        self.keys.ends.on_ended.append(self.relay.hub.close_key)

    @classmethod
    async def open(cls, settings: Settings, clock: Clock | None = None) -> Self:
        """Bring an exchange up; raises `StartError`, or what its database raises.

        Without `settings.database_url` an embedded PostgreSQL is started in `settings.data_dir` and stopped
        by `close`. Without `clock` venue time is wall time, or scaled time that goes on where the database
        left it.
        """
        if refused := why_not(settings):
            raise StartError(refused)
        server = None if settings.database_url else EmbeddedPostgres(settings.data_dir.expanduser())
        url = settings.database_url or (server.start() if server else "")
        async with contextlib.AsyncExitStack() as failed:
            if server is not None:
                failed.callback(server.stop)
            await migrate(url)
            database = await Database.connect(
                url,
                statement_timeout_s=settings.statement_timeout_s,
                idle_transaction_s=IDLE_TRANSACTION_S if settings.role == "engine" else 0,
            )
            failed.push_async_callback(database.close)
            replica = None
            if settings.oversight_database_url is not None:
                replica = await Database.connect(
                    settings.oversight_database_url,
                    statement_timeout_s=settings.statement_timeout_s,
                    application_name="compute-exchange-oversight",
                    connections_min=0,  # the market goes on without it
                )
                failed.push_async_callback(replica.close)
            exchange = await cls._open_on(settings, database, clock, server, replica)
            failed.pop_all()
        return exchange

    @classmethod
    async def _open_on(
        cls,
        settings: Settings,
        database: Database,
        clock: Clock | None,
        server: EmbeddedPostgres | None,
        replica: Database | None,
    ) -> Self:
        await _check_record(settings, database)
        programmes, list_prices = ProgrammeRegistry(), ListPrices()
        key_file = settings.data_dir.expanduser() / OPERATOR_KEY_FILE
        async with database.connection() as connection:
            clock = clock or _clock(settings, await latest_event_at_us(connection))
        await AuditMonths(database, clock).make()
        async with database.transaction() as connection:
            use_number(await take_process_number(connection))
            await seed_catalogue(connection)
            await surveillance.begin(connection, clock.now_us())
            if await first_operator_key(connection, key_file) is not None:
                _log.warning("the first operator's key is in %s", key_file)
        async with database.connection() as connection:
            products = {product.id: product for product in await load_products(connection)}
            await programmes.refresh(connection)
            await list_prices.refresh(connection)
        partitions = len({product.partition_id for product in products.values()})
        if partitions > PARTITIONS_MAX:
            raise StartError(f"one process leads at most {PARTITIONS_MAX} partitions, not {partitions}")
        exchange = cls(
            settings,
            database,
            clock,
            accounts=AccountDirectory(),
            programmes=programmes,
            list_prices=list_prices,
            products=products,
            server=server,
            replica=replica,
        )
        exchange.watched.sealer.signer = await _checkpoint_key(settings, database)
        await exchange._start()
        return exchange

    async def _start(self) -> None:
        try:
            await self.notices.start()
            await self.keys.start()
            for chore in self._rereading:
                chore.start()
            await self.relay.start()
            await self.partitions.start()
        except BaseException:
            async with contextlib.AsyncExitStack() as rest:
                self._end_parts(rest)
            raise
        if self.settings.role != "gateway":
            self._audit_months.start()
            self._switch_watch.start()
        if self.settings.role != "engine":  # what leads a market does nothing beside it
            self._marking.start()
            self._summaries.start()
            self.watched.alerts.start()
            self.watched.sealer.start()
        self._failures_chore.start()
        self.operations.start()

    def announce_stop(self) -> None:
        """Tell whoever reads the stream that the exchange stops, and be ready no more."""
        self._is_stopping = True
        self.relay.hub.shut_down()

    async def stop_chores(self) -> None:
        """End what works beside requests of itself; the market goes on, each chore at the next start."""
        async with contextlib.AsyncExitStack() as rest:
            for chore in (
                *(self.watched.sealer, self.watched.alerts, self._summaries, self._marking),
                *(self._audit_months, self._switch_watch, self.operations, self._failures_chore),
            ):
                rest.push_async_callback(chore.stop)

    def _end_parts(self, rest: contextlib.AsyncExitStack) -> None:
        """Let a way down end the partitions, and then all but the databases that they and callers need."""
        if self.traces is not None:
            rest.push_async_callback(self.traces.close)
        if self.redis is not None:
            rest.push_async_callback(self.redis.close)
        if self._shared_limits is not None:
            rest.push_async_callback(self._shared_limits.close)
        rest.push_async_callback(self.notices.stop)
        for chore in self._rereading:
            rest.push_async_callback(chore.stop)
        rest.push_async_callback(self.keys.stop)
        rest.push_async_callback(self.relay.stop)
        rest.push_async_callback(self.partitions.stop)

    def _give_up(self) -> None:
        _log.error("the exchange has not stopped in %g s: it takes its database for lost", GIVE_UP_S)
        self.database.give_up()
        if self._replica is not None:
            self._replica.give_up()

    async def close(self) -> None:
        """Answer what was taken, store the books, stop. Safe to call once only."""
        async with contextlib.AsyncExitStack() as rest:
            # Whatever fails on the way down, what stands below it is still taken down.
            rest.callback(asyncio.get_running_loop().call_later(GIVE_UP_S, self._give_up).cancel)
            if self._server is not None:
                rest.callback(self._server.stop)
            rest.push_async_callback(self.database.close)
            if self._replica is not None:
                rest.push_async_callback(self._replica.close)
            self._end_parts(rest)
            rest.push_async_callback(self.watched.failures.write_last)
            rest.push_async_callback(self.stop_chores)
            rest.push_async_callback(self.withdrawals.close)

    def _end(self) -> None:
        """A partition leads no more: what others commit is not ours to tell."""
        self.ended.set()
        self.relay.halt()

    async def _reread_programmes(self, connection: Connection, programme_id: str | None) -> None:
        await self.programmes.refresh(connection, None if programme_id is None else int(programme_id))

    def _tell(self, partition_id: int, steps: Sequence[Step]) -> None:
        """Tell whoever listens of what has just been committed here."""
        for tell in self._on_commit:
            tell(partition_id, steps)

    async def is_ready(self) -> bool:
        """Whether requests are taken: by every partition, and with the database in reach."""
        return not self.troubles()

    def troubles(self) -> list[str]:
        """Say why the exchange is not ready; empty while it is."""
        is_stopping = self._is_stopping or self.watched.is_draining
        stopping = ["the exchange is stopping"] if is_stopping else []
        return [*stopping, *self.partitions.troubles(), *troubles(self.watched)]

    def _partitions(self) -> Partitions:
        """Return what this process does about the partitions, by its role."""
        within = Surroundings(
            self.process,
            self.database,
            self.clock,
            self.products,
            self.settings.fee_bps,
            self.settings.patience_s,
            self._sequencer,
            self._end,
            self._on_commit,
        )
        if self.redis is None or self.settings.role == "all":
            return LedHere(within)
        if self.settings.role == "engine":
            return LedByTurns(within, self.redis)
        return LedElsewhere(within, self.redis, self.relay)

    def _sequencer(self, partition_id: int, on_end: Callable[[], None]) -> Sequencer:
        return Sequencer(
            SequencerSettings(
                partition_id=partition_id,
                is_alone=all(each.partition_id == partition_id for each in self.products.values()),
                fee_bps=self.settings.fee_bps,
                settlement_delay_hours=self.settings.settlement_delay_hours,
            ),
            products=products_of_partition(self.products, partition_id),
            database=self.database,
            clock=self.clock,
            accounts=self.accounts,
            programmes=self.programmes,
            on_commit=self._tell,
            on_end=on_end,
        )


async def _check_record(settings: Settings, database: Database) -> None:
    """Refuse to start on a database that lacks what is on record, before anything is written."""
    try:
        async with database.connection() as connection:
            await starting.check_transactions(connection)
            if settings.role != "engine":
                await starting.check_folder(connection, settings)
    except (FolderInUse, starting.DatabaseBehind) as error:
        raise StartError(str(error)) from error


async def _checkpoint_key(settings: Settings, database: Database) -> Signer | None:
    """Return the key that this process seals the record with, None where another one's seals."""
    if settings.role == "engine":
        return None
    try:
        async with database.transaction() as connection:
            signer = await checkpoint_keys.begin(connection, settings)
    except (checkpoint_keys.BadKeyFile, FolderInUse) as error:
        raise StartError(str(error)) from error
    if signer is None:
        _log.warning("this process does not seal the record: it has not the key of the latest checkpoints")
    return signer


def _redis(settings: Settings) -> Redis | None:
    try:
        return Redis.at(settings.redis_url) if settings.redis_url else None
    except ValueError as error:
        raise StartError(f"EXCHANGE_REDIS_URL is no address of a Redis: {error}") from error


def _rates(settings: Settings) -> Rates:
    return Rates(
        key=settings.rate_key,
        participant=settings.rate_participant,
        cancels=settings.rate_cancels,
        address=settings.rate_address,
        failures=settings.rate_failures,
    )


def _clock(settings: Settings, latest_us: int | None) -> Clock:
    """Venue time for these settings on a database whose last commit was at `latest_us`."""
    if settings.seconds_per_hour is not None:
        return ScaledClock(max(latest_us or 0, wall_now_us()), settings.seconds_per_hour)
    if latest_us is not None and latest_us > wall_now_us() + US_PER_HOUR:
        raise StartError(
            f"this database has lived in venue time {format_rfc3339(latest_us)}, ahead of the clock: it "
            "belongs to a scaled exchange (EXCHANGE_SECONDS_PER_HOUR) or to a replay"
        )
    return SystemClock()
