"""The composition root: from settings to a running exchange, and to its HTTP application.

`Exchange.open` brings everything up in the order in which each part needs the one before it: the database,
its schema, the catalogue, the first key, then the relay, then the partitions with their books. `close` takes
it down in the opposite order, so that every request that was taken is answered first.
"""

import asyncio
import contextlib
import logging
from ipaddress import ip_network
from typing import Final, Self

import msgspec
from litestar import Litestar, get

from exchange.applications.routes import AllocationController, ApplicationsController
from exchange.claims.evidence_routes import EvidenceController
from exchange.claims.routes import ClaimsController
from exchange.claims.statement_routes import StatementsController
from exchange.feed.relay import Relay
from exchange.feed.routes import MarketController, stream
from exchange.feed.service import MarketService
from exchange.kit.auth import StoredKey
from exchange.kit.auth_guard import PERIOD_S, FailureRecord, GuardedAuthenticator
from exchange.kit.clock import (
    US_PER_HOUR,
    Clock,
    ManualClock,
    ScaledClock,
    SystemClock,
    format_rfc3339,
    wall_now_us,
)
from exchange.kit.database import Database
from exchange.kit.embedded_postgres import EmbeddedPostgres
from exchange.kit.fields import format_hour
from exchange.kit.http_app import build_app
from exchange.kit.http_auth import public
from exchange.kit.http_limits import Limits, Rates
from exchange.kit.http_request import ApiRequest
from exchange.kit.migrate import migrate
from exchange.kit.settings import Settings
from exchange.ledger.routes import AccountsController, CashController
from exchange.ledger.service import AccountDirectory
from exchange.monitoring.collect import Watched, troubles
from exchange.monitoring.routes import metrics_route
from exchange.orders.many_routes import ManyOrdersController
from exchange.orders.models import NewOrder
from exchange.orders.routes import OrdersController, PhasesController
from exchange.orders.sequencer import Sequencer, SequencerSettings
from exchange.orders.service import OrderService, latest_event_at_us
from exchange.orders.switches import CAUSE, Switches
from exchange.oversight.routes import OversightController
from exchange.oversight.service import OversightService
from exchange.participants.routes import KeysController, ParticipantsController, TradeGroupsController
from exchange.participants.service import first_operator_key, load_stored_key
from exchange.products.list_price_routes import ListPricesController
from exchange.products.list_prices import ListPrices
from exchange.products.models import ProductSpec
from exchange.products.routes import CatalogueController
from exchange.products.service import load_products, seed_catalogue
from exchange.programmes.life_routes import ProgrammeStepsController
from exchange.programmes.registry import ProgrammeRegistry
from exchange.programmes.routes import ProgrammesController
from exchange.settlement.routes import LeasesController
from exchange.settlement.trade_routes import TradesController
from exchange.vouchers.life_routes import VoucherNewsController, VoucherStepsController
from exchange.vouchers.routes import VouchersController

OPERATOR_KEY_FILE: Final = "operator.key"
PARTITIONS_MAX: Final = 10
"""Each keeps a connection of the pool's; what is left of it serves everything else."""

CLOSE_PARTITION_S: Final = 20.0
"""How long a partition may take to answer what it took, when the exchange closes."""

_log = logging.getLogger(__name__)


class StartError(Exception):
    """The exchange cannot start on this database with these settings; the message says why."""


class Exchange:
    """A running exchange: one process with all partitions. Made by `open`, ended by `close`."""

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
    ) -> None:
        self.settings = settings
        self.database = database
        self.clock = clock
        self.accounts = accounts
        self.programmes = programmes
        self.list_prices = list_prices
        self.products = products
        self.relay = Relay(database)
        self.ended = asyncio.Event()
        """Set when a partition stopped by itself: it was fenced, or met a fault. Nothing is served then."""
        self._server = server
        self._sequencers = {
            partition_id: self._sequencer(partition_id)
            for partition_id in sorted({product.partition_id for product in products.values()})
        }
        self.orders = OrderService(
            database=database,
            clock=clock,
            products=products,
            sequencers=self._sequencers,
            programmes=programmes,
            list_prices=list_prices,
        )
        self.watched = Watched(
            orders=self.orders,
            relay=self.relay,
            database=database,
            clock=clock,
            limits=Limits(_rates(settings)),
            failures=FailureRecord(database, clock.now_us),
        )
        self._is_stopping = False
        self._chores: asyncio.Task[None] | None = None
        self.switches = Switches(lambda owner: self.orders.cancel_all(owner, cause=CAUSE))

    @classmethod
    async def open(cls, settings: Settings, clock: Clock | None = None) -> Self:
        """Bring an exchange up; raises `StartError`, or what its database raises.

        Without `settings.database_url` an embedded PostgreSQL is started in `settings.data_dir` and stopped
        by `close`. Without `clock` venue time is wall time, or scaled time that goes on where the database
        left it.
        """
        server = None if settings.database_url else EmbeddedPostgres(settings.data_dir.expanduser())
        url = settings.database_url or (server.start() if server else "")
        try:
            await migrate(url)
            database = await Database.connect(url, statement_timeout_s=settings.statement_timeout_s)
        except BaseException:
            if server is not None:
                server.stop()
            raise
        try:
            return await cls._open_on(settings, database, clock, server)
        except BaseException:
            await database.close()
            if server is not None:
                server.stop()
            raise

    @classmethod
    async def _open_on(
        cls, settings: Settings, database: Database, clock: Clock | None, server: EmbeddedPostgres | None
    ) -> Self:
        programmes, list_prices = ProgrammeRegistry(), ListPrices()
        key_file = settings.data_dir.expanduser() / OPERATOR_KEY_FILE
        async with database.transaction() as connection:
            await seed_catalogue(connection)
            if await first_operator_key(connection, key_file) is not None:
                _log.warning("the first operator's key is in %s", key_file)
        async with database.connection() as connection:
            products = {product.id: product for product in await load_products(connection)}
            await programmes.refresh(connection)
            await list_prices.refresh(connection)
            latest_us = await latest_event_at_us(connection)
        partitions = len({product.partition_id for product in products.values()})
        if partitions > PARTITIONS_MAX:
            raise StartError(f"one process leads at most {PARTITIONS_MAX} partitions, not {partitions}")
        exchange = cls(
            settings,
            database,
            clock or _clock(settings, latest_us),
            accounts=AccountDirectory(),
            programmes=programmes,
            list_prices=list_prices,
            products=products,
            server=server,
        )
        await exchange._start()
        return exchange

    async def _start(self) -> None:
        await self.relay.start()
        try:
            for sequencer in self._sequencers.values():
                await sequencer.start()
        except BaseException:
            await self.relay.stop()
            raise
        self._chores = asyncio.create_task(self._write_failures(), name="failed-authentications")

    async def _write_failures(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_S)
            try:
                await self.watched.failures.write()
            except Exception:  # noqa: BLE001 - logged; the next period's must still be written
                _log.exception("failed authentications were not written")

    def announce_stop(self) -> None:
        """Tell whoever reads the stream that the exchange stops, and be ready no more."""
        self._is_stopping = True
        self.relay.hub.shut_down()

    async def close(self) -> None:
        """Answer what was taken, store the books, stop. Safe to call once only."""
        async with contextlib.AsyncExitStack() as rest:
            # Whatever fails on the way down, what stands below it is still taken down.
            if self._server is not None:
                rest.callback(self._server.stop)
            rest.push_async_callback(self.database.close)
            rest.push_async_callback(self.relay.stop)
            for sequencer in self._sequencers.values():
                rest.push_async_callback(_in_time, sequencer)
            rest.push_async_callback(self.watched.failures.write)
            if self._chores is not None:
                self._chores.cancel()
                await asyncio.wait([self._chores])
            rest.push_async_callback(self.switches.close)

    def _end(self) -> None:
        """A partition leads no more: what others commit is not ours to tell."""
        self.ended.set()
        self.relay.halt()

    async def is_ready(self) -> bool:
        """Whether requests are taken: by every partition, and with the database in reach."""
        return not self.troubles()

    def troubles(self) -> list[str]:
        """Say why the exchange is not ready; empty while it is."""
        return [*(["the exchange is stopping"] if self._is_stopping else []), *troubles(self.watched)]

    def _sequencer(self, partition_id: int) -> Sequencer:
        return Sequencer(
            SequencerSettings(
                partition_id=partition_id,
                fee_bps=self.settings.fee_bps,
                settlement_delay_hours=self.settings.settlement_delay_hours,
            ),
            products={
                product.id: product.book_product()
                for product in self.products.values()
                if product.partition_id == partition_id
            },
            database=self.database,
            clock=self.clock,
            accounts=self.accounts,
            programmes=self.programmes,
            on_commit=self.relay.tell,
            on_end=self._end,
        )


async def _in_time(sequencer: Sequencer) -> None:
    """Stop a partition; where the database does not answer, without answers to what it took."""
    try:
        async with asyncio.timeout(CLOSE_PARTITION_S):
            await sequencer.stop()
    except TimeoutError:
        _log.error("a partition did not stop within %s s", CLOSE_PARTITION_S)


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


class VenueTime(msgspec.Struct, frozen=True, kw_only=True):
    """Where venue time stands. `seconds_per_hour` is 3600 unless scaled, null where driven by hand."""

    now_at: str
    first_hour_for_sale_at: str
    seconds_per_hour: float | None


@get("/v1/time", opt=public(), tags=["Market data"], summary="Venue time")
async def venue_time(request: ApiRequest) -> VenueTime:
    """Return the time by which hours are sold, delivered and settled here."""
    clock: Clock = request.app.state.clock
    settings: Settings = request.app.state.settings
    driven = isinstance(clock, ManualClock)
    return VenueTime(
        now_at=format_rfc3339(clock.now_us()),
        first_hour_for_sale_at=format_hour(clock.hour() + 1),
        seconds_per_hour=None if driven else settings.seconds_per_hour or 3600.0,
    )


def create_app(exchange: Exchange) -> Litestar:
    """Build the HTTP application of a running exchange."""

    async def load(key_id: int) -> StoredKey | None:
        async with exchange.database.connection() as connection:
            return await load_stored_key(connection, key_id)

    watched = exchange.watched
    authenticator = GuardedAuthenticator(load, watched.limits, watched.failures)
    networks = tuple(ip_network(network) for network in exchange.settings.metrics_networks)
    return build_app(
        [
            AccountsController,
            AllocationController,
            ApplicationsController,
            CashController,
            CatalogueController,
            ClaimsController,
            EvidenceController,
            KeysController,
            LeasesController,
            ListPricesController,
            ManyOrdersController,
            MarketController,
            OrdersController,
            OversightController,
            ParticipantsController,
            PhasesController,
            ProgrammesController,
            ProgrammeStepsController,
            StatementsController,
            TradesController,
            TradeGroupsController,
            VoucherNewsController,
            VoucherStepsController,
            VouchersController,
            metrics_route(watched, networks),
            stream,
            venue_time,
        ],
        authenticator=authenticator,
        is_ready=exchange.is_ready,
        troubles=exchange.troubles,
        limits=watched.limits,
        answers=watched.answers,
        state={
            "accounts": exchange.accounts,
            "authenticator": authenticator,
            "clock": exchange.clock,
            "database": exchange.database,
            "limits": watched.limits,
            "list_prices": exchange.list_prices,
            "market": MarketService(orders=exchange.orders, tape=exchange.relay.tape, clock=exchange.clock),
            "orders": exchange.orders,
            "oversight": OversightService(database=exchange.database, clock=exchange.clock),
            "programmes": exchange.programmes,
            "relay": exchange.relay,
            "settings": exchange.settings,
            "switches": exchange.switches,
        },
        echo_type=NewOrder if exchange.settings.bench_echo else None,
    )
