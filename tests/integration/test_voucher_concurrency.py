"""Goal: fifty at once spend, issue, claim and pay what there is, once, and not a fen more.

Method: fifty callers of the real services on the real PostgreSQL, over as many connections or through the
running exchange; how much must come of it is worked out by hand. What many do at random to the same vouchers
is in `test_voucher_turmoil`; caps on what is redeemed are in `test_cap_use`, applications alone in
`test_application_races`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from exchange.applications.models import Allocation, ApplicationStatus
from exchange.claims.models import Claim, ClaimStatus
from exchange.kit.auth import Principal
from exchange.kit.errors import Refusal
from exchange.kit.ids import decode_id
from exchange.ledger import service as ledger
from exchange.ledger.models import CNY, Purpose
from exchange.orders.models import OrderStatus, OrderView
from exchange.participants.models import ParticipantKind
from exchange.participants.service import create_trade_group
from exchange.programmes.models import RateTier, ReviewRule
from exchange.programmes.rules import asset_of
from exchange.vouchers.models import Voucher
from tests.application_world import ApplicationWorld
from tests.claim_world import ClaimWorld
from tests.databases import crowded
from tests.market_world import MarketWorld, open_market

CALLERS = 50
CASH_FEN = 10**9
C, A = ClaimStatus, ApplicationStatus


def codes(outcomes: Sequence[object]) -> Counter[str]:
    """Count outcomes by the code of what refused them, or by their type; no error but a refusal may come."""
    for each in outcomes:
        assert isinstance(each, Refusal) or not isinstance(each, BaseException), each
    return Counter(each.code if isinstance(each, Refusal) else type(each).__name__ for each in outcomes)


# Spending


@pytest.mark.parametrize("rates", [(3_000,), (3_000, 1_500)], ids=["one voucher", "two programmes"])
@pytest.mark.parametrize("instant", [True, False], ids=["instant", "reimburse"])
async def test_fifty_orders_at_once_spend_vouchers_to_the_last_fen_and_the_rest_is_cash(
    database_url: str, tmp_path: Path, rates: tuple[int, ...], *, instant: bool
) -> None:
    """The vouchers cover the shares of eight orders and a third of another's: nine orders get some."""
    async with open_market(database_url, tmp_path) as world:
        provider, buyer = await world.traders(CASH_FEN)
        vouchers = [await stacked_voucher(world, provider, buyer, rate, instant=instant) for rate in rates]
        bids = await asyncio.gather(
            *(
                world.bid(
                    buyer, world.product(), price=1_000, vouchers="auto", voucher_policy="only_eligible"
                )
                for _ in range(CALLERS)
            ),
            return_exceptions=True,
        )
        assert codes(bids) == {"OrderView": 9, "no_usable_voucher": 41}
        held = [each.held for each in bids if isinstance(each, OrderView) and each.held is not None]
        shares = [tuple(part.held_cny for part in each.vouchers) for each in held]
        full, rest = ("12.00", "6.00")[: len(rates)], ("4.00", "2.00")[: len(rates)]
        assert Counter(shares) == {full: 8, rest: 1}
        for voucher, rate in zip(vouchers, rates, strict=True):
            assert await part_of(world, voucher, buyer) == {"held": face_of(rate)}
        await world.ask(provider, world.product(), price=1_000, quantity_gpus=CALLERS)
        await world.pass_hours(8)
        paid_fen = sum(face_of(rate) for rate in rates)
        for voucher, rate in zip(vouchers, rates, strict=True):
            assert await part_of(world, voucher, buyer) == {"captured": face_of(rate)}
            owner = provider if instant else buyer
            asset = asset_of(voucher.programme_id)
            assert await world.free_fen(owner, asset, Purpose.RECEIVABLE) == face_of(rate)
        spent_fen = 9 * 4_000 - (paid_fen if instant else 0)
        assert await world.free_fen(buyer) == CASH_FEN - spent_fen
        assert await world.free_fen(buyer, CNY, Purpose.ESCROW) == 0


def face_of(rate_bps: int) -> int:
    """Return a face of eight shares of 40.00 at a rate, and a third of one."""
    share_fen = 4_000 * rate_bps // 10_000
    return 8 * share_fen + share_fen // 3


async def stacked_voucher(
    world: MarketWorld, provider: Principal, buyer: Principal, rate_bps: int, *, instant: bool
) -> Voucher:
    """Issue a voucher of a programme that stacks up to half of an order."""
    issuer = await world.join(ParticipantKind.ISSUER)
    programme = await world.programme(
        issuer,
        provider,
        rate_tiers=(RateTier(bps=rate_bps),),
        stacking="ceiling",
        stacking_ceiling_bps=5_000,
        mode="instant" if instant else "reimburse",
    )
    return await world.issue(issuer, programme, buyer, face_of(rate_bps))


async def part_of(world: MarketWorld, voucher: Voucher, buyer: Principal) -> dict[str, int]:
    """Return where the face of a voucher is, without what is empty."""
    balances = (await world.voucher(voucher, buyer)).balances
    found = {name[:-4]: getattr(balances, name) for name in balances.__struct_fields__}
    return {name: fen for name, fen in found.items() if fen}


async def test_fifty_orders_and_their_cancels_at_once_leave_a_voucher_whole(
    database_url: str, tmp_path: Path
) -> None:
    async with open_market(database_url, tmp_path) as world:
        provider, buyer = await world.traders(CASH_FEN)
        voucher = await stacked_voucher(world, provider, buyer, 3_000, instant=True)

        async def place_and_cancel() -> OrderStatus:
            bid = await world.bid(buyer, world.product(), price=1_000, vouchers="auto")
            number = decode_id("ord", bid.id)
            assert number is not None
            return (await world.exchange.orders.cancel(buyer, number)).status

        statuses = await asyncio.gather(*(place_and_cancel() for _ in range(CALLERS)))
        assert set(statuses) == {OrderStatus.CANCELLED}
        assert await part_of(world, voucher, buyer) == {"available": face_of(3_000)}
        assert await world.free_fen(buyer) == CASH_FEN


# Issuing


@pytest.fixture
async def applicants(database_url: str) -> AsyncIterator[ApplicationWorld]:
    async with crowded(database_url, CALLERS) as database:
        world = ApplicationWorld(database)
        await world.settle()
        yield world
        async with database.connection() as connection:
            wrong = [*await ledger.check_balances(connection), *await ledger.check_programmes(connection)]
        assert wrong == []


async def group_of(world: ApplicationWorld, companies: int) -> list[Principal]:
    """Let companies of one trade group join."""
    async with world.database.transaction() as connection:
        group = await create_trade_group(connection, None, "集团", world.now_us)
    return [await world.join(ParticipantKind.BUYER, trade_group_id=group.id) for _ in range(companies)]


async def issued_fen(world: ApplicationWorld, programme_id: int) -> tuple[int, int]:
    """Return what a programme counts as issued, and the faces of its vouchers."""
    async with world.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT issued_fen, (SELECT coalesce(sum(face_fen), 0)::bigint FROM voucher"
            " WHERE programme_id = programme.id) AS face_fen FROM programme WHERE id = $1",
            programme_id,
        )
    assert row is not None
    return row["issued_fen"], row["face_fen"]


@pytest.mark.parametrize(
    "basis, budget_fen, granted, code",
    [
        ("entity", 100_000, 20, "yearly_cap_exceeded"),
        ("group", 100_000, 10, "yearly_cap_exceeded"),
        ("group", 7_500, 7, "budget_exhausted"),
    ],
)
async def test_issues_applications_and_approvals_at_once_share_one_budget_and_one_cap(
    applicants: ApplicationWorld, basis: str, budget_fen: int, granted: int, code: str
) -> None:
    world = applicants
    pair = await group_of(world, 2)
    plan = await world.plan(
        cap_basis=basis,
        budget_fen=budget_fen,
        cap_per_year_fen=10_500,
    )
    waiting = [await world.apply(plan, 1_001, pair[number % 2]) for number in range(10)]
    await world.change_rules(world.issuer, plan, review=ReviewRule(auto_below_fen=25_000))
    outcomes = await asyncio.gather(
        *(world.issue(world.issuer, plan, pair[number % 2], 1_000) for number in range(20)),
        *(world.apply(plan, 1_000, pair[number % 2]) for number in range(20)),
        *(world.step(each, A.APPROVED, fen=1_000) for each in waiting),
        return_exceptions=True,
    )
    found = codes(outcomes)
    assert found["Voucher"] + found["Application"] == granted
    assert set(found) - {"Voucher", "Application"} <= {code, "budget_exhausted"}
    assert await issued_fen(world, plan.id) == (granted * 1_000, granted * 1_000)


@pytest.mark.parametrize("basis, granted", [("entity", 20), ("group", 10)])
async def test_allocations_scores_and_applications_at_once_keep_the_cap_of_a_group(
    applicants: ApplicationWorld, basis: str, granted: int
) -> None:
    world = applicants
    pair = await group_of(world, 2)
    plan = await world.plan(allocation="scored", cap_basis=basis, cap_per_year_fen=10_500)
    made = [await world.apply(plan, 1_000, pair[number % 2]) for number in range(40)]
    for number, application in enumerate(made[:20]):
        await world.score(application, number)
    outcomes = await asyncio.gather(
        *(world.allocate(plan) for _ in range(10)),
        *(world.score(application, 500) for application in made[20:]),
        *(world.apply(plan, 1_000, pair[number % 2]) for number in range(20)),
        return_exceptions=True,
    )
    codes(outcomes)
    last = await world.allocate(plan)
    decided = [each for each in outcomes if isinstance(each, Allocation)] + [last]
    assert len(decided) == 11
    approved = [each for one in decided for each in one.applications if each.status is A.APPROVED]
    assert len({each.id for each in approved}) == len(approved) == granted
    assert await issued_fen(world, plan.id) == (granted * 1_000, granted * 1_000)


# Claiming


@pytest.fixture
async def claims(database_url: str) -> AsyncIterator[ClaimWorld]:
    async with crowded(database_url, CALLERS) as database:
        world = ClaimWorld(database)
        await world.settle()
        yield world
        balances = (await world.voucher(world.issued, world.buyer)).balances
        assert sum(getattr(balances, name) for name in balances.__struct_fields__) == world.issued.face_fen
        async with database.connection() as connection:
            wrong = [*await ledger.check_balances(connection), *await ledger.check_programmes(connection)]
        assert wrong == []


async def test_of_fifty_payers_of_two_claims_each_is_paid_once_or_waits_for_cash(claims: ClaimWorld) -> None:
    world = claims
    made = await asyncio.gather(
        *(world.submit(world.provider) for _ in range(25)),
        *(world.submit(world.other_provider) for _ in range(25)),
        return_exceptions=True,
    )
    assert codes(made) == {"Claim": 2, "nothing_to_claim": 48}
    both = [each for each in made if isinstance(each, Claim)]
    await asyncio.gather(*(world.approve(each) for each in both))
    await world.deposit(world.issuer, 5_999)  # one fen less than both are
    paid = await asyncio.gather(
        *(world.pay(both[number % 2]) for number in range(CALLERS)), return_exceptions=True
    )
    found = codes(paid)
    assert found["Claim"] == 1
    assert found["insufficient_funds"] == 25
    assert found["state_conflict"] == 24
    owners = world.issuer, world.provider, world.other_provider
    assert sum([await world.has_fen(each, CNY, Purpose.CASH) for each in owners]) == 5_999


async def test_of_fifty_who_recover_or_write_off_a_clawback_one_does(claims: ClaimWorld) -> None:
    world = claims
    await world.deposit(world.issuer, 4_000)
    claim = await world.pay(await world.approve(await world.submit()))
    await world.step(claim, C.CLAWBACK_OPEN, reason="resold", fen=1_500)
    outcomes = await asyncio.gather(
        *(world.step(claim, C.RECOVERED, world.provider) for _ in range(30)),
        *(world.step(claim, C.WRITTEN_OFF, reason="bankrupt") for _ in range(20)),
        return_exceptions=True,
    )
    assert codes(outcomes) == {"Claim": 1, "state_conflict": 49}
    recovered = (await world.read(claim, world.issuer)).status is C.RECOVERED
    assert await world.has_fen(world.issuer, CNY, Purpose.CASH) == (1_500 if recovered else 0)
    assert await world.has_fen(world.provider, CNY, Purpose.CASH) == (2_500 if recovered else 4_000)


async def test_two_recoveries_that_one_cash_covers_once_recover_once(claims: ClaimWorld) -> None:
    world = claims
    await world.deposit(world.issuer, 10_000)
    first = await world.pay(await world.approve(await world.submit()))
    await world.captured(world.issued, world.provider, 4_000, hour=9)
    second = await world.pay(await world.approve(await world.submit()))
    for each in (first, second):
        await world.step(each, C.CLAWBACK_OPEN, reason="resold", fen=4_000)
    operator = await world.join(ParticipantKind.OPERATOR)
    async with world.database.transaction() as connection:
        await ledger.withdraw(connection, operator, world.provider.participant_id, 4_000, "", world.now_us)
    outcomes = await asyncio.gather(
        *(world.step((first, second)[number % 2], C.RECOVERED, world.provider) for number in range(CALLERS)),
        return_exceptions=True,
    )
    found = codes(outcomes)
    assert (found["Claim"], found["insufficient_funds"], found["state_conflict"]) == (1, 25, 24)
    assert await world.has_fen(world.provider, CNY, Purpose.CASH) == 0
    statuses = [(await world.read(each, world.issuer)).status for each in (first, second)]
    assert Counter(statuses) == {C.RECOVERED: 1, C.CLAWBACK_OPEN: 1}
