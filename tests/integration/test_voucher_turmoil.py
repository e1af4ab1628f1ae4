"""Goal: whatever is done at once to the same vouchers, nothing is lost, doubled or left waiting for ever.

Method: fifty tasks do what comes to their minds, from a seed, with a few vouchers of three stacked programmes
on the running exchange: bids, asks, cancels, hours, outages, suspensions, revocations, issues, claims and all
their steps. Only refusals may come of it; no batch and no hour may fail to commit, the database must have met
no deadlock, and at the end every book agrees and every part of every voucher is accounted for.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from exchange.claims import service as claims
from exchange.claims.batch import claim_batch
from exchange.claims.models import Claim, ClaimStatus, WantedStep
from exchange.kit.auth import Principal
from exchange.kit.database import Database
from exchange.kit.errors import Conflict, Refusal, Unavailable
from exchange.kit.ids import decode_id
from exchange.orders.models import OrderView
from exchange.participants.models import ParticipantKind
from exchange.participants.service import create_trade_group
from exchange.programmes.models import Programme, ProviderRule, RateTier
from exchange.settlement.leases import page_of_leases, report_outage
from exchange.settlement.models import NewOutage
from exchange.vouchers import life, service
from exchange.vouchers.models import VoucherStatus
from tests.databases import crowded
from tests.hypothesis_profiles import sampled
from tests.market_world import MarketWorld, open_market
from tests.stored_state import assert_sound

TASKS: Final = 50
OPERATIONS: Final = 24
HOURS_AFTER: Final = 60
"""Longer than any lease or voucher of this test lasts."""
ID_MAX: Final = 2**63 - 1
C = ClaimStatus
_STACKED: Final[Mapping[str, Any]] = {
    "stacking": "ceiling",
    "stacking_ceiling_bps": 6_000,
    "budget_fen": 1_000_000,
}


class Turmoil:
    """A few of each kind of participant, and everything that they may do next."""

    def __init__(self, world: MarketWorld, pool: Database, rng: Random) -> None:
        self.world, self.pool, self.rng = world, pool, rng
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.orders: list[tuple[Principal, OrderView]] = []
        self.claims: list[Claim] = []
        self.vouchers: list[tuple[Principal, int]] = []
        self._hours = asyncio.Lock()

    async def settle(self) -> None:
        """Bring it to its beginning."""
        world = self.world
        async with world.database.transaction() as connection:
            group = await create_trade_group(connection, None, "集团", world.now_us)
        self.issuers = [await world.join(ParticipantKind.ISSUER) for _ in range(2)]
        self.providers = [await world.join(ParticipantKind.PROVIDER) for _ in range(2)]
        self.buyers = [await world.join(ParticipantKind.BUYER, trade_group_id=group.id) for _ in range(2)]
        self.buyers.append(await world.join(ParticipantKind.BUYER))
        for owner in (*self.buyers, *self.issuers):
            await world.deposit(owner, 10_000_000)
        kinds: list[dict[str, Any]] = [
            {"rate_tiers": (RateTier(bps=3_000),), "validity_days": 1},
            {"rate_tiers": (RateTier(bps=1_500),), "mode": "reimburse"},
            {"rate_tiers": (RateTier(bps=2_000),), "cap_counts": "redeemed", "cap_basis": "group"},
        ]
        self.programmes: list[tuple[Principal, Programme]] = []
        for number, rules in enumerate(kinds):
            issuer = self.issuers[number % 2]
            programme = await world.programme(issuer, ProviderRule(), **_STACKED, **rules)
            self.programmes.append((issuer, programme))
            for buyer in self.buyers:
                voucher = await world.issue(issuer, programme, buyer, 8_000)
                self.vouchers.append((issuer, voucher.id))
        for provider in self.providers:
            await world.ask(provider, world.product(), price=950, quantity_gpus=4, window=(0, 12))

    async def live(self) -> None:
        """Do some things, one after the other."""
        for _ in range(OPERATIONS):
            name = self.rng.choices(list(self._ways), [weight for weight, _ in self._ways.values()])[0]
            try:
                await self._ways[name][1](self)
            except Unavailable as error:
                raise AssertionError(f"{name} was not carried out") from error
            except Refusal as refusal:
                self.refused[f"{name}: {refusal.code}"] += 1
            else:
                self.done[name] += 1

    async def bid(self) -> None:
        """Buy some GPUs for some hours, with the vouchers that can pay."""
        rng, buyer = self.rng, self.rng.choice(self.buyers)
        start = rng.randrange(1, 4)
        policy = rng.choice(["only_eligible", "prefer"])
        bid = await self.world.bid(
            buyer,
            self.world.product(),
            price=rng.randrange(900, 1_100),
            quantity_gpus=rng.randrange(1, 4),
            window=(start, start + rng.randrange(1, 5)),
            vouchers="auto",
            voucher_policy=policy,
        )
        self.orders.append((buyer, bid))

    async def ask(self) -> None:
        """Offer some GPUs for some hours."""
        rng, provider = self.rng, self.rng.choice(self.providers)
        ask = await self.world.ask(
            provider,
            self.world.product(),
            price=rng.randrange(900, 1_050),
            quantity_gpus=rng.randrange(2, 6),
            window=(1, rng.randrange(6, 12)),
        )
        self.orders.append((provider, ask))

    async def cancel(self) -> None:
        """Cancel an order, live or not."""
        if self.orders:
            owner, order = self.rng.choice(self.orders)
            await self.world.exchange.orders.cancel(owner, decode_id("ord", order.id) or 0)

    async def hour(self) -> None:
        """Let an hour pass."""
        async with self._hours:
            await self.world.pass_hours(1)

    async def outage(self) -> None:
        """Let a provider say that it does not deliver the last hour of a lease."""
        provider = self.rng.choice(self.providers)
        async with self.pool.transaction() as connection:
            leases = await page_of_leases(
                connection, provider, before_id=ID_MAX, limit=20, now_us=self.world.clock.now_us()
            )
            if leases:
                lease = self.rng.choice(leases)
                hour = lease.starts_at
                await report_outage(
                    connection,
                    provider,
                    decode_id("lse", lease.id) or 0,
                    NewOutage(hours=[hour], reason="fire"),
                    self.world.clock.now_us(),
                )

    async def step_voucher(self) -> None:
        """Suspend, resume or, rarely, revoke a voucher."""
        issuer, voucher_id = self.rng.choice(self.vouchers)
        to = self.rng.choices(
            [VoucherStatus.SUSPENDED, VoucherStatus.ACTIVE, VoucherStatus.REVOKED], [4, 6, 1]
        )[0]
        async with self.pool.transaction() as connection:
            await life.step_voucher(connection, issuer, voucher_id, to, "why not", self.world.clock.now_us())

    async def issue(self) -> None:
        """Issue another voucher."""
        issuer, programme = self.rng.choice(self.programmes)
        buyer = self.rng.choice(self.buyers)
        async with self.pool.transaction() as connection:
            made = await service.issue_voucher(
                connection, issuer, programme.id, buyer.participant_id, 3_000, self.world.clock.now_us()
            )
        self.vouchers.append((issuer, made.id))

    async def claim(self) -> None:
        """Claim under all programmes at once, in any order."""
        claimant = self.rng.choice([*self.providers, *self.buyers])
        wanted = [programme.id for _, programme in self.rng.sample(self.programmes, 3)]
        async with self.pool.transaction() as connection:
            outcomes = await claim_batch(
                connection, claimant, wanted, self.world.clock.now_us(), submit=self.rng.random() < 0.9
            )
        made = [claim for _, claim in outcomes if isinstance(claim, Claim)]
        self.claims += made
        if not made:
            raise next(refusal for _, refusal in outcomes if isinstance(refusal, Refusal))

    async def step_claim(self) -> None:
        """Take any step of a recent claim, as whoever may take it."""
        if not self.claims:
            raise Conflict(detail="nobody has claimed anything yet")
        claim = self.rng.choice(self.claims)
        async with self.pool.connection() as connection:
            (claim,) = await claims.list_claims(connection, self._claimant(claim), claim_id=claim.id, limit=1)
        to = self.rng.choice(_NEXT.get(claim.status, [C.PAID]))
        is_claimants = to in {C.SUBMITTED, C.RECOVERED}
        fen = max(1, (claim.approved_fen or claim.amount_fen) - self.rng.randrange(1, 100))
        wanted = WantedStep(
            to_status=to, reason="because", amount_fen=fen if to in {C.REDUCED, C.CLAWBACK_OPEN} else None
        )
        by = self._claimant(claim) if is_claimants else self._issuer(claim)
        async with self.pool.transaction() as connection:
            await claims.take_step(
                connection, by, claim.id, wanted, self.world.clock.now_us(), self.world.accounts
            )
        self.done[f"a claim {to.value}"] += 1

    def _claimant(self, claim: Claim) -> Principal:
        owners = (*self.providers, *self.buyers)
        return next(each for each in owners if each.participant_id == claim.claimant_id)

    def _issuer(self, claim: Claim) -> Principal:
        return next(each for each in self.issuers if each.participant_id == claim.issuer_id)

    _ways: Final[Mapping[str, tuple[int, Callable[["Turmoil"], Awaitable[None]]]]] = {
        "bid": (25, bid),
        "ask": (10, ask),
        "cancel": (10, cancel),
        "hour": (2, hour),
        "outage": (4, outage),
        "step_voucher": (15, step_voucher),
        "issue": (6, issue),
        "claim": (10, claim),
        "step_claim": (25, step_claim),
    }


_NEXT: Final[Mapping[ClaimStatus, list[ClaimStatus]]] = {
    C.OPEN: [C.SUBMITTED],
    C.SUBMITTED: [C.APPROVED, C.APPROVED, C.REDUCED, C.REJECTED],
    C.APPROVED: [C.PAID],
    C.REDUCED: [C.PAID],
    C.PAID: [C.CLAWBACK_OPEN],
    C.CLAWBACK_OPEN: [C.RECOVERED, C.RECOVERED, C.WRITTEN_OFF],
}


async def deadlocks(database: Database) -> int:
    """Return how many deadlocks the database has met; whoever met one has told by the end of its session."""
    async with database.connection() as connection:
        count: int = await connection.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
    return count


@pytest.mark.parametrize("seed", sampled(range(3), first=1))
async def test_fifty_who_do_anything_at_once_lose_and_double_nothing(
    database_url: str, database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    before = await deadlocks(database)
    async with crowded(database_url, TASKS) as pool, open_market(database_url, tmp_path) as world:
        turmoil = Turmoil(world, pool, Random(seed))
        await turmoil.settle()
        await asyncio.gather(*(turmoil.live() for _ in range(TASKS)))
        assert {*Turmoil._ways, "a claim paid"} <= set(turmoil.done), (turmoil.done, turmoil.refused)
        await assert_sound(database, with_orders=True)
        await world.pass_hours(HOURS_AFTER, at_once=True)
        await assert_sound(database, with_orders=True)
    assert await deadlocks(database) == before
    wrong = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert [each.getMessage() for each in wrong if each.name.startswith("exchange.orders")] == []
