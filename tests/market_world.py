"""A whole exchange to try the market in: the real one, on a test's database, its clock driven by hand."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from exchange.app import Exchange
from exchange.fleet.roles import LedHere
from exchange.kit.auth import Principal
from exchange.kit.clock import ManualClock, us_of_hour
from exchange.kit.database import from_us
from exchange.kit.fields import format_cny, format_hour
from exchange.kit.ids import decode_id
from exchange.kit.settings import Settings
from exchange.ledger import service as ledger
from exchange.ledger.checking import differences
from exchange.ledger.models import CNY, Difference, Purpose
from exchange.ledger.rules import available_fen
from exchange.orders.hold_check import EVERY_QUESTION
from exchange.orders.models import AmendOrder, NewOrder, OrderView
from exchange.orders.sequencer import Sequencer
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import Programme, ProviderRule
from matching.order import Side
from tests.voucher_world import NOW_US, VoucherWorld

FOREIGN_PRODUCT: Final = "nvidia-t4.zhangjiakou.pcie3"
DEADLINE_S: Final = 60.0
SEED_CASH_FEN: Final = 10**12

_numbers = itertools.count(1)


def with_means(bid: dict[str, Any]) -> dict[str, Any]:
    """Return a drawn bid that asks for vouchers only where it names some to pay with: others are refused."""
    return {**bid, "voucher_policy": "prefer"} if bid["vouchers"] == "none" else bid


class MarketWorld(VoucherWorld):
    """Participants and orders on a running exchange. Windows are told from the first hour for sale."""

    def __init__(self, exchange: Exchange, clock: ManualClock) -> None:
        """Begin where the clock stands."""
        super().__init__(exchange.database)
        self.exchange = exchange
        self.clock = clock
        self.now_us = clock.now_us()

    @property
    def first_hour(self) -> int:
        """The first hour still for sale."""
        return self.clock.hour() + 1

    def product(self, *, domestic: bool = False, lot_gpus: int = 1) -> str:
        """Return a product of an origin with a lot."""
        wanted = "domestic" if domestic else "foreign"
        return next(
            product.id
            for product in sorted(self.exchange.products.values(), key=lambda each: each.id)
            if product.origin == wanted and product.lot_gpus == lot_gpus
        )

    def order(self, side: Side, product: str, **fields: Any) -> NewOrder:
        """Return an order: one GPU for the next four hours at the reference price unless told otherwise.

        `window` is (start, end) in hours from the first hour for sale, `price` in fen.
        """
        start, end = fields.pop("window", (0, 4))
        price = fields.pop("price", self.exchange.products[product].reference_price_ticks)
        return NewOrder(
            **{
                "client_order_id": f"order-{next(_numbers)}",
                "product": product,
                "side": side,
                "quantity_gpus": self.exchange.products[product].lot_gpus,
                "starts_at": format_hour(self.first_hour + start),
                "ends_at": format_hour(self.first_hour + end),
                "price_cny_per_gpu_hour": format_cny(price),
                **fields,
            }
        )

    async def traders(self, money_fen: int) -> tuple[Principal, Principal]:
        """Let a provider and a buyer with some money join."""
        provider = await self.join(ParticipantKind.PROVIDER)
        buyer = await self.join(ParticipantKind.BUYER)
        await self.deposit(buyer, money_fen)
        return provider, buyer

    async def ask(self, provider: Principal, product: str, **fields: Any) -> OrderView:
        """Place an ask."""
        return (await self.exchange.orders.place(provider, self.order(Side.SELL, product, **fields))).view

    async def bid(self, buyer: Principal, product: str, **fields: Any) -> OrderView:
        """Place a bid."""
        return (await self.exchange.orders.place(buyer, self.order(Side.BUY, product, **fields))).view

    async def amend(
        self, owner: Principal, order: OrderView, *, once_key: str | None = None, **fields: Any
    ) -> OrderView:
        """Amend an order by fields as `order` takes them; return what goes on for it."""
        number = decode_id("ord", order.id)
        assert number is not None
        if "window" in fields:
            start, end = fields.pop("window")
            fields["starts_at"] = format_hour(self.first_hour + start)
            fields["ends_at"] = format_hour(self.first_hour + end)
        if "price" in fields:
            fields["price_cny_per_gpu_hour"] = format_cny(fields.pop("price"))
        amended = await self.exchange.orders.amend(
            owner,
            number,
            AmendOrder(**fields),
            once_key=once_key or f"amend-{next(_numbers)}",
            payload=sha256(repr((number, sorted(fields.items()))).encode()).digest(),
        )
        return amended.view

    async def programme(
        self, issuer: Principal, provider: Principal | ProviderRule, *, draft: bool = False, **rules: object
    ) -> Programme:
        """Start a programme, and let the order path know of it as the route does."""
        programme = await super().programme(issuer, provider, draft=draft, **rules)
        async with self.database.connection() as connection:
            await self.exchange.programmes.refresh(connection)
        return programme

    async def pass_hours(self, hours: int, *, at_once: bool = False) -> None:
        """Let venue time pass, hour by hour or in one leap, and all that comes with it."""
        for step in [hours] if at_once else [1] * hours:
            hour = self.clock.hour() + step
            self.clock.advance_to_us(us_of_hour(hour))
            await reach_hour(self.exchange, hour)
        self.now_us = self.clock.now_us()

    async def free_fen(self, owner: Principal, asset: str = CNY, purpose: Purpose = Purpose.CASH) -> int:
        """Return what an owner can use of its accounts of an asset and purpose."""
        async with self.database.connection() as connection:
            found = await ledger.balances(connection, owner.participant_id, limit=1000)
        return sum(available_fen(each) for each in found if (each.asset, each.purpose) == (asset, purpose))

    async def somebody_waits_for_a_lock(self) -> None:
        """Return once a statement waits for another transaction."""
        # From outside: a transaction sees the activity of its first look again and again.
        async with asyncio.timeout(DEADLINE_S), self.database.connection() as watcher:
            while not await watcher.fetchval(  # noqa: ASYNC110 - only the database knows who waits
                "SELECT EXISTS (SELECT FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database())"
            ):
                await asyncio.sleep(0.01)

    async def differences(self) -> list[Difference]:
        """Return everything in which the books of the ledger do not agree with themselves."""
        async with self.database.connection() as connection:
            return [each async for each in differences(connection, EVERY_QUESTION)]


def sequencers(exchange: Exchange) -> dict[int, Sequencer]:
    """Return the sequencers of an exchange that is one process."""
    assert isinstance(exchange.partitions, LedHere)
    return exchange.partitions.leaders


async def reach_hour(exchange: Exchange, hour: int) -> None:
    """Return when every partition has settled and advanced to an hour, whichever process leads it."""
    if isinstance(exchange.partitions, LedHere):
        await exchange.partitions.reach_hour(hour)
        return
    async with asyncio.timeout(DEADLINE_S), exchange.database.connection() as connection:
        while not await connection.fetchval(  # noqa: ASYNC110 - another process leads
            "SELECT bool_and(last_event_at >= $1) FROM partition_head", from_us(us_of_hour(hour))
        ):
            await asyncio.sleep(0.01)


@asynccontextmanager
async def open_market(
    database_url: str, data_dir: Path, now_us: int = NOW_US, **settings: Any
) -> AsyncIterator[MarketWorld]:
    """Open an exchange on a database and close it; what it left behind must be sound."""
    clock = ManualClock(now_us)
    exchange = await Exchange.open(Settings(database_url=database_url, data_dir=data_dir, **settings), clock)
    world = MarketWorld(exchange, clock)
    try:
        yield world
        assert await world.differences() == []
        await exchange.orders.verify()
    finally:
        await exchange.close()
