"""The HTTP application of a running process: its routes, and what their handlers find in its state."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

from litestar import Litestar

from exchange.alerts.backtest_routes import BacktestController
from exchange.alerts.backtests import Backtests
from exchange.alerts.routes import AlertRulesController, AlertsController
from exchange.app import Exchange
from exchange.applications.routes import AdmissionController, AllocationController, ApplicationsController
from exchange.claims.evidence_routes import EvidenceController
from exchange.claims.routes import ClaimsController
from exchange.claims.statement_routes import StatementsController
from exchange.console.files import Pages
from exchange.console.routes import console_routes
from exchange.feed.calendars import Calendars
from exchange.feed.history_routes import HistoryController
from exchange.feed.history_service import HistoryService
from exchange.feed.routes import MarketController, stream
from exchange.feed.service import MarketService
from exchange.feed.time_routes import venue_time
from exchange.kit.auth import Authenticator, StoredKey
from exchange.kit.http_app import build_app
from exchange.kit.http_described import completed
from exchange.ledger.routes import AccountsController, CashController
from exchange.monitoring.operations_routes import OperationsController
from exchange.monitoring.routes import metrics_route
from exchange.monitoring.sealing import notes_of
from exchange.orders.capacity import CapacityImport
from exchange.orders.capacity_routes import CapacityImportController
from exchange.orders.many_routes import ManyOrdersController
from exchange.orders.models import NewOrder
from exchange.orders.routes import OrdersController, PhasesController
from exchange.oversight.book_routes import BookHistoryController
from exchange.oversight.books import BookHistory
from exchange.oversight.life_routes import LivesController
from exchange.oversight.lives import Lives
from exchange.oversight.questions import Questions
from exchange.oversight.report_routes import ReportsController
from exchange.oversight.reports import Reports
from exchange.oversight.routes import OversightController
from exchange.oversight.service import OversightService
from exchange.participants.buyer_routes import BuyersController
from exchange.participants.routes import KeysController, ParticipantsController, TradeGroupsController
from exchange.participants.session_routes import LoginsController, SessionController, SessionsController
from exchange.products.list_price_routes import ListPricesController
from exchange.products.routes import CatalogueController
from exchange.programmes.life_routes import ProgrammeStepsController
from exchange.programmes.routes import ProgrammesController
from exchange.settlement.capacity_routes import CapacityController
from exchange.settlement.routes import LeasesController
from exchange.settlement.trade_routes import TradesController
from exchange.transparency.proofs import Proofs
from exchange.transparency.routes import TransparencyController, consistency, latest_checkpoint
from exchange.vouchers.life_routes import VoucherNewsController, VoucherStepsController
from exchange.vouchers.routes import VouchersController

CONTROLLERS: Final = (
    AccountsController,
    AdmissionController,
    AlertRulesController,
    AlertsController,
    AllocationController,
    ApplicationsController,
    BacktestController,
    BookHistoryController,
    BuyersController,
    CapacityController,
    CapacityImportController,
    CashController,
    CatalogueController,
    ClaimsController,
    EvidenceController,
    HistoryController,
    KeysController,
    LeasesController,
    ListPricesController,
    LivesController,
    LoginsController,
    ManyOrdersController,
    MarketController,
    OperationsController,
    OrdersController,
    OversightController,
    ParticipantsController,
    PhasesController,
    ProgrammesController,
    ProgrammeStepsController,
    ReportsController,
    SessionController,
    SessionsController,
    StatementsController,
    TradesController,
    TradeGroupsController,
    TransparencyController,
    VoucherNewsController,
    VoucherStepsController,
    VouchersController,
    consistency,
    latest_checkpoint,
    stream,
    venue_time,
)
"""What callers are served."""
CONSOLE: Final = Path(__file__).parent / "console" / "pages"
"""What `make console` builds."""


def create_app(exchange: Exchange) -> Litestar:
    """Build the HTTP application of a running exchange."""
    watched = exchange.watched
    networks = tuple(ip_network(network) for network in exchange.settings.metrics_networks)
    metrics = metrics_route(watched, networks)
    market = MarketService(orders=exchange.orders, tape=exchange.relay.tape, clock=exchange.clock)
    return build_app(
        # Nobody trades with an engine: its callers are whoever watches it.
        [metrics]
        if exchange.settings.role == "engine"
        else [*CONTROLLERS, metrics, *console_routes(Pages(CONSOLE))],
        authenticator=exchange.keys.authenticator,
        sessions=exchange.keys.sessions,
        is_ready=exchange.is_ready,
        troubles=exchange.troubles,
        limits=watched.limits,
        answers=watched.answers,
        standing=lambda: exchange.partitions.standing,
        notes=lambda: notes_of(exchange.operations.sealing),
        traces=exchange.traces,
        state={
            "accounts": exchange.accounts,
            "authenticator": exchange.keys.authenticator,
            "backtests": Backtests(reads=exchange.oversight_reads),
            "book_history": BookHistory(
                reads=exchange.oversight_reads, clock=exchange.clock, products=exchange.products
            ),
            "calendars": Calendars(products=exchange.products, book_of=market.book, clock=exchange.clock),
            "capacity": CapacityImport(exchange.orders),
            "books": exchange.books,
            "clock": exchange.clock,
            "database": exchange.database,
            "history": HistoryService(
                products=exchange.products, history=exchange.relay.history, clock=exchange.clock
            ),
            "key_ends": exchange.keys.ends,
            "limits": watched.limits,
            "list_prices": exchange.list_prices,
            "lives": Lives(reads=exchange.oversight_reads),
            "market": market,
            "operations": exchange.operations,
            "orders": exchange.orders,
            "oversight": OversightService(reads=exchange.oversight_reads),
            "products": exchange.products,
            "programmes": exchange.programmes,
            "proofs": Proofs(reads=exchange.oversight_reads),
            "questions": Questions(database=exchange.database, clock=exchange.clock),
            "relay": exchange.relay,
            "reports": Reports(reads=exchange.oversight_reads, clock=exchange.clock),
            "sessions": exchange.keys.sessions,
            "settings": exchange.settings,
            "switches": exchange.switches,
            "withdrawals": exchange.withdrawals,
        },
        echo_type=NewOrder if exchange.settings.bench_echo else None,
    )


def description() -> dict[str, Any]:
    """Return the OpenAPI document of what callers are served, without a running exchange."""

    async def load(_key_id: int) -> StoredKey | None:
        return None

    async def is_ready() -> bool:
        return False

    app = build_app(CONTROLLERS, authenticator=Authenticator(load), is_ready=is_ready)
    return completed(app, app.openapi_schema.to_schema())
