"""A market in which everything that leaves a record happens, for a search to drive.

Every method is something that somebody can do; whoever may be refused is, and nothing comes of that. What is
right is not asked here: the search compares what is stored with what is on record.
"""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from exchange.applications import allocation
from exchange.applications import service as applications
from exchange.applications.models import Application, ApplicationStatus, WantedStep
from exchange.kit.auth import Principal
from exchange.kit.database import Connection
from exchange.kit.errors import Faults, Refusal
from exchange.kit.fields import format_hour
from exchange.ledger import service as ledger
from exchange.orders.many_models import Cause
from exchange.orders.models import OrderView, PlacedOrder
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import Programme, ProgrammeStatus, ProviderRule, ReviewRule
from matching.order import Side
from matching.product import Phase
from tests.application_world import another_key
from tests.market_world import MarketWorld, sequencers
from tests.plain_vouchers import BPS, PlainRules
from tests.voucher_market import VoucherMarket

CASH_FEN: Final = 60_000
BUDGET_FEN: Final = 6_000


class RecordMarket(VoucherMarket):
    """Two programmes that pay for orders, one that reimburses, and two that companies apply to."""

    operator: Principal
    applied: list[Programme]

    def __init__(self, world: MarketWorld) -> None:
        """Start with nobody."""
        super().__init__(world)
        self.orders: list[tuple[Principal, OrderView]] = []
        self.applications: list[Application] = []

    async def begin(self, draw: random.Random) -> None:
        """Let everybody join, start the programmes by drawn rules, and issue the first vouchers."""
        await self.open(CASH_FEN, (self.reference(self.products[0]), None))
        self.operator = await self.world.join(ParticipantKind.OPERATOR)
        # One of the first buyers' own group, with whom they do not trade.
        own = self.buyers[0].trade_group_id
        self.providers.append(await self.world.join(ParticipantKind.PROVIDER, trade_group_id=own))
        for number in range(3):
            await self.start_programme(self.rules(draw, number), BUDGET_FEN)
            for buyer in self.buyers:
                await self.issue(number, buyer, draw.randint(100, 1_200))
        everybody = ProviderRule()
        review = ReviewRule(auto_below_fen=300, committee_above_fen=700)
        self.applied = [
            await self.world.programme(self.issuer, everybody, budget_fen=BUDGET_FEN, review=review),
            await self.world.programme(self.issuer, everybody, budget_fen=BUDGET_FEN, allocation="scored"),
        ]

    def rules(self, draw: random.Random, number: int) -> PlainRules:
        """Draw rules of a programme: the second reimburses, the third's cap counts what is used."""
        return PlainRules(
            rate_bps=draw.choice([1_500, 3_333, 6_667, draw.randint(1, BPS)]),
            admitted=self.admitted(draw.random() < 0.7),
            stacking="ceiling",
            ceiling_bps=draw.choice([5_000, 8_000, BPS]),
            reimburses=number == 1,
            price_cap=draw.choice(["none", "none", "reference", "list"]),
            cap_fen=2_500 if number == 2 else None,
            caps_group=draw.random() < 0.5,
            caps_use=number == 2,
            validity_days=draw.choice([1, 2, 4]),
        )

    @asynccontextmanager
    async def _may_be_refused(self) -> AsyncIterator[Connection]:
        """Lend a transaction, whose end a refusal is."""
        with suppress(Refusal):
            async with self.world.database.transaction() as connection:
                yield connection

    async def place(self, side: Side, wanted: list[tuple[int, dict[str, Any]]]) -> None:
        """Place orders of one side in one batch; each says whose."""
        owners = self.providers if side is Side.SELL else self.buyers
        by_owner: dict[int, list[dict[str, Any]]] = {}
        for who, fields in wanted:
            by_owner.setdefault(who % len(owners), []).append(dict(fields))
        for who, orders in by_owner.items():
            made = [(self._order(side, fields), Faults()) for fields in orders]
            for outcome in await self.world.exchange.orders.place_all(owners[who], made):
                if isinstance(outcome, PlacedOrder):
                    self.orders.append((owners[who], outcome.view))

    def _order(self, side: Side, fields: dict[str, Any]) -> Any:
        """Return an order by fields as a search draws them: products and prices by number."""
        product = self.products[fields.pop("product", 0)]
        ticks = self.reference(product) * (80 + fields.pop("percent")) // 100
        if fields.get("time_in_force") == "gtd":
            fields["expires_at"] = format_hour(self.world.first_hour + 2)
        return self.world.order(side, product, price=ticks, **fields)

    async def amend(self, pick: int, fields: dict[str, Any]) -> None:
        """Amend an order."""
        if not self.orders:
            return
        owner, order = self.orders[-1 - pick % len(self.orders)]
        fields = dict(fields)
        if "percent" in fields:
            fields["price"] = self.reference(order.product) * (80 + fields.pop("percent")) // 100
        with suppress(Refusal):
            amended = await self.world.amend(owner, order, **fields)
            if amended.priority == "lost":
                self.orders.append((owner, amended))

    async def withdraw_orders(self, who: int, side: Side | None) -> None:
        """Withdraw all of somebody's orders, as its switch would, or those of a side."""
        owners = (*self.providers, *self.buyers)
        cause = Cause.CANCEL_ALL_AFTER if side is None else ""
        await self.world.exchange.orders.cancel_all(owners[who % len(owners)], side=side, cause=cause)

    async def set_phase(self, number: int, phase: Phase) -> None:
        """Open, restrict or halt a product."""
        await self.world.exchange.orders.set_phase(self.operator, self.products[number], phase)

    async def lose_memory(self) -> None:
        """Let every partition build its memory anew, as after a commit that was lost from sight."""
        for sequencer in sequencers(self.world.exchange).values():
            await sequencer._rebuild()

    async def move_cash(self, who: int, fen: int, *, out: bool) -> None:
        """Pay cash in or out."""
        owner = (*self.buyers, *self.providers)[who % 5].participant_id
        move = ledger.withdraw if out else ledger.deposit
        async with self._may_be_refused() as connection:
            await move(connection, self.operator, owner, fen, "", self.world.now_us)

    async def change_budget(self, number: int, budget_fen: int) -> None:
        """Raise or lower a programme's budget, or (0) to what is issued, which exhausts it."""
        [row] = await self._rows("SELECT issued_fen FROM programme WHERE id = $1", self.programmes[number].id)
        budget_fen = budget_fen or row["issued_fen"] or 1
        with suppress(Refusal):
            await self.world.change(self.issuer, self.programmes[number], budget_fen=budget_fen)

    async def restart_programme(self, number: int, rules: PlainRules) -> None:
        """Close a programme, and start another one in its place, as a draft at first."""
        with suppress(Refusal):
            await self.world.step_programme(self.issuer, self.programmes[number], ProgrammeStatus.CLOSED)
        await self.start_programme(rules, BUDGET_FEN)
        self.programmes[number] = self.programmes.pop()
        draft = await self.world.programme(self.issuer, ProviderRule(), draft=True)
        await self.world.step_programme(self.issuer, draft, ProgrammeStatus.OPEN)

    async def apply(self, number: int, who: int, fen: int) -> None:
        """Apply for a voucher."""
        buyer = self.buyers[who % len(self.buyers)]
        async with self._may_be_refused() as connection:
            programme_id, now_us = self.applied[number].id, self.world.now_us
            made = await applications.apply(connection, buyer, programme_id, fen, "training", now_us)
            self.applications.append(made)

    async def decide(self, pick: int, to: ApplicationStatus, score: int) -> None:
        """Take a step of an application, by whom it is for; with the venue's leave score and allocate."""
        if not self.applications:
            return
        application = self.applications[-1 - pick % len(self.applications)]
        buyer = next(each for each in self.buyers if each.participant_id == application.buyer_id)
        by = buyer if to is ApplicationStatus.WITHDRAWN else another_key(self.issuer)
        now_us = self.world.now_us
        async with self._may_be_refused() as connection:
            if to is ApplicationStatus.SUBMITTED:
                await applications.score_application(
                    connection, by, application.id, score, "read by two", now_us
                )
            else:
                wanted = WantedStep(to_status=to, reason="because")
                await applications.take_step(connection, by, application.id, wanted, now_us)

    async def allocate(self) -> None:
        """Grant what was scored."""
        by = another_key(self.issuer)
        async with self._may_be_refused() as connection:
            await allocation.allocate_by_score(connection, by, self.applied[1].id, self.world.now_us)

    async def lease_ids(self) -> list[tuple[int, int, int, int]]:
        """Return every lease of the market's providers: id, provider, first hour, the one after the last."""
        rows = await self._rows(
            "SELECT id, provider_id, starts_hour, ends_hour FROM lease WHERE provider_id = ANY ($1::bigint[])"
            " ORDER BY id",
            [each.participant_id for each in self.providers],
        )
        return [tuple(row.values()) for row in rows]

    async def fail_hour(self, pick: int, hour: int) -> None:
        """Report that an hour of a lease fails."""
        leases = await self.lease_ids()
        if leases:
            lease_id, provider_id, starts_hour, ends_hour = leases[-1 - pick % len(leases)]
            provider = next(each for each in self.providers if each.participant_id == provider_id)
            await self.fail(provider, lease_id, starts_hour + hour % (ends_hour - starts_hour))
