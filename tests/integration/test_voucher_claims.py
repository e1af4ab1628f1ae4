"""Claims on the real PostgreSQL: from captured vouchers to cash, every step by the right one and once.

After each test the books balance, and a claimant's receivable is what was captured for it and is not claimed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest

from exchange.claims import service as claims
from exchange.claims.models import Claim, ClaimStatus, WantedStep
from exchange.claims.rules import CLAIMANT_KINDS
from exchange.kit.database import Database
from exchange.kit.errors import Conflict, Forbidden, NotEnoughMoney, NotFound, Refusal
from exchange.kit.ids import new_id
from exchange.ledger import service as ledger
from exchange.ledger.models import CNY, Purpose
from exchange.participants.models import ParticipantKind
from tests.claim_world import ClaimWorld

BEFORE_ANY = (0, 0, 0)
NEVER_CLAIM = (ParticipantKind.OPERATOR, ParticipantKind.REGULATOR)


@pytest.fixture
async def world(module_database: Database) -> AsyncIterator[ClaimWorld]:
    world = ClaimWorld(module_database)
    await world.settle()
    yield world
    async with module_database.connection() as connection:
        # No lease stands behind the captures of these tests, so those are not compared.
        assert await ledger.check_balances(connection) == []
        assert await ledger.check_programmes(connection) == []
        unclaimed = await connection.fetch(
            "SELECT claimant_id, sum(amount_fen) AS fen FROM voucher_capture WHERE claim_id IS NULL"
            " GROUP BY claimant_id"
        )
        receivable = await connection.fetch(
            "SELECT participant_id, credits_posted_fen - debits_posted_fen AS fen FROM ledger_account"
            " WHERE purpose = 'receivable' AND credits_posted_fen > debits_posted_fen"
        )
    assert {(row["claimant_id"], row["fen"]) for row in unclaimed} == {
        (row["participant_id"], row["fen"]) for row in receivable
    }


async def refused(attempt: Awaitable[object], expected: type[Refusal], code: str) -> Refusal:
    """Await an attempt that must be refused; return the refusal."""
    with pytest.raises(expected) as caught:
        await attempt
    assert caught.value.code == code
    return caught.value


async def test_a_claim_takes_everything_that_is_not_claimed(world: ClaimWorld) -> None:
    claim = await world.submit()
    assert (claim.amount_fen, claim.line_count, claim.status) == (4_000, 2, ClaimStatus.SUBMITTED)
    assert await world.read(claim, world.provider) == claim == await world.read(claim, world.issuer)
    assert await world.parts() == (2_000, 4_000, 0)
    assert await world.has_fen(world.provider, world.plan.asset, Purpose.RECEIVABLE) == 0
    assert await world.has_fen(world.provider, world.plan.asset, Purpose.CLAIMED) == 4_000
    async with world.database.connection() as connection:
        lines = await claims.list_claim_lines(connection, world.issuer, claim.id, after=BEFORE_ANY, limit=9)
        last = lines[0].lease_id, lines[0].delivery_hour, lines[0].voucher_id
        rest = await claims.list_claim_lines(connection, world.provider, claim.id, after=last, limit=9)
    assert [(line.delivery_hour, line.amount_fen) for line in lines] == [(1, 1_000), (2, 3_000)]
    assert rest == lines[1:]
    await refused(world.submit(), Conflict, "nothing_to_claim")
    await world.captured(world.issued, world.provider, 5, hour=4)
    assert (await world.submit()).amount_fen == 5


async def test_submitting_is_for_claimants_and_for_programmes_that_exist(world: ClaimWorld) -> None:
    for principal in (world.issuer, *[await world.join(kind) for kind in NEVER_CLAIM]):
        await refused(world.submit(principal), Forbidden, "forbidden")
    for principal in (world.buyer, *[await world.join(kind) for kind in CLAIMANT_KINDS]):
        await refused(world.submit(principal), Conflict, "nothing_to_claim")
    async with world.database.connection() as connection:
        await refused(
            claims.submit_claim(connection, world.provider, new_id(), world.now_us), NotFound, "not_found"
        )


async def test_a_paid_claim_moves_cash_and_redeems_the_vouchers(world: ClaimWorld) -> None:
    await world.deposit(world.issuer, 4_001)
    claim = await world.submit()
    approved = await world.approve(claim)
    assert (approved.status, approved.decided_at_us) == (ClaimStatus.APPROVED, world.now_us)
    assert await world.parts() == (2_000, 4_000, 0)
    world.now_us += 1
    paid = await world.pay(claim)
    assert (paid.status, paid.paid_at_us, paid.line_count) == (ClaimStatus.PAID, world.now_us, 2)
    assert await world.read(claim, world.provider) == paid
    assert await world.parts() == (2_000, 0, 4_000)
    assert await world.has_fen(world.issuer, CNY, Purpose.CASH) == 1
    assert await world.has_fen(world.provider, CNY, Purpose.CASH) == 4_000
    assert await world.has_fen(world.issuer, world.plan.asset, Purpose.REDEEMED) == 4_000
    assert await world.has_fen(world.provider, world.plan.asset, Purpose.CLAIMED) == 0
    assert await world.has_fen(world.buyer, CNY, Purpose.CASH) == 0
    async with world.database.connection() as connection:
        groups = await connection.fetch(
            "SELECT reason FROM ledger_transfer WHERE group_id = $1 ORDER BY id", claim.id
        )
        codes = await connection.fetch(
            "SELECT code FROM audit_record WHERE subject_id = $1 ORDER BY id", claim.id
        )
    assert [row["reason"] for row in groups] == ["claim_submission", "claim_redemption", "claim_payment"]
    assert [row["code"] for row in codes] == ["CLMO", "CLMS", "CLMA", "CLMP"]


async def test_too_little_cash_pays_nothing_until_there_is_enough(world: ClaimWorld) -> None:
    claim = await world.submit()
    approved = await world.approve(claim)
    refusal = await refused(world.pay(claim), NotEnoughMoney, "insufficient_funds")
    assert "40.00" in refusal.detail
    await world.deposit(world.issuer, 3_999)
    await refused(world.pay(claim), NotEnoughMoney, "insufficient_funds")
    assert await world.read(claim, world.issuer) == approved
    assert await world.parts() == (2_000, 4_000, 0)
    assert await world.has_fen(world.issuer, CNY, Purpose.CASH) == 3_999
    assert await world.has_fen(world.provider, CNY, Purpose.CASH) == 0
    await world.deposit(world.issuer, 1)
    assert (await world.pay(claim)).status is ClaimStatus.PAID
    assert await world.has_fen(world.provider, CNY, Purpose.CASH) == 4_000


async def test_a_rejected_claim_can_be_claimed_again(world: ClaimWorld) -> None:
    claim = await world.submit()
    rejected = await world.reject(claim)
    assert (rejected.status, rejected.reason, rejected.line_count) == (ClaimStatus.REJECTED, "no invoice", 0)
    assert await world.read(claim, world.provider) == rejected
    assert await world.parts() == (6_000, 0, 0)
    assert await world.has_fen(world.provider, world.plan.asset, Purpose.RECEIVABLE) == 4_000
    again = await world.submit()
    assert (again.amount_fen, again.line_count) == (4_000, 2)
    assert again.id != claim.id


async def test_every_step_is_allowed_from_one_state_only(world: ClaimWorld) -> None:
    await world.deposit(world.issuer, 100_000)
    claim = await world.submit()
    await refused(world.pay(claim), Conflict, "state_conflict")
    await world.approve(claim)
    for step in (world.approve, world.reject):
        await refused(step(claim), Conflict, "state_conflict")
    await world.pay(claim)
    for step in (world.approve, world.reject, world.pay):
        await refused(step(claim), Conflict, "state_conflict")
    other = await world.reject(await world.submit(world.other_provider))
    for step in (world.approve, world.reject, world.pay):
        await refused(step(other), Conflict, "state_conflict")
    assert await world.has_fen(world.provider, CNY, Purpose.CASH) == 4_000


async def test_claims_are_decided_by_the_programmes_issuer_and_nobody_else(world: ClaimWorld) -> None:
    claim = await world.submit()
    strangers = [await world.join(kind) for kind in (ParticipantKind.ISSUER, ParticipantKind.OPERATOR)]
    for step in (world.approve, world.reject, world.pay):
        for stranger in (*strangers, world.other_provider, world.buyer):
            await refused(step(claim, stranger), NotFound, "not_found")
        await refused(step(claim, world.provider), Forbidden, "forbidden")
    async with world.database.connection() as connection:
        wanted = WantedStep(to_status=ClaimStatus.APPROVED)
        unknown = claims.take_step(connection, world.issuer, new_id(), wanted, world.now_us, world.accounts)
        await refused(unknown, NotFound, "not_found")


async def test_claims_are_seen_by_those_they_concern(world: ClaimWorld) -> None:
    own, other = await world.submit(), await world.submit(world.other_provider)
    approved = await world.approve(other)
    other_issuer = await world.join(ParticipantKind.ISSUER)
    overseers = [await world.join(kind) for kind in (ParticipantKind.OPERATOR, ParticipantKind.REGULATOR)]
    async with world.database.connection() as connection:
        for principal, expected in (
            (world.provider, [own]),
            (world.other_provider, [approved]),
            (world.issuer, [approved, own]),
            (other_issuer, []),
            (world.buyer, []),
        ):
            assert await claims.list_claims(connection, principal, limit=10) == expected
        for overseer in overseers:
            assert (await claims.list_claims(connection, overseer, limit=2)) == [approved, own]
        wanted = {"status": ClaimStatus.APPROVED, "programme_id": world.plan.id}
        assert await claims.list_claims(connection, world.issuer, limit=10, **wanted) == [approved]  # type: ignore[arg-type]  # each of its own type
        assert await claims.list_claims(connection, world.issuer, before_id=approved.id, limit=10) == [own]
        assert await claims.list_claims(connection, world.issuer, programme_id=new_id(), limit=10) == []
    for stranger in (world.other_provider, other_issuer, world.buyer):
        await refused(world.read(own, stranger), NotFound, "not_found")


async def test_of_many_steps_at_once_one_happens(world: ClaimWorld) -> None:
    await world.deposit(world.issuer, 100_000)
    submissions = await asyncio.gather(*(world.submit() for _ in range(10)), return_exceptions=True)
    (claim,) = [each for each in submissions if isinstance(each, Claim)]
    assert claim.amount_fen == 4_000
    decisions = await asyncio.gather(
        *(step(claim) for step in (world.approve, world.reject) for _ in range(5)), return_exceptions=True
    )
    (decided,) = [each for each in decisions if isinstance(each, Claim)]
    if decided.status is ClaimStatus.REJECTED:
        decided = await world.approve(await world.submit())
    payments = await asyncio.gather(*(world.pay(decided) for _ in range(10)), return_exceptions=True)
    assert [type(each) for each in payments].count(Claim) == 1
    failures = [each for each in (*submissions, *decisions, *payments) if not isinstance(each, Claim)]
    assert {type(each) for each in failures} == {Conflict}
    assert await world.has_fen(world.provider, CNY, Purpose.CASH) == 4_000
