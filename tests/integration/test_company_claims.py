"""A company's claim on the real PostgreSQL: its bill was paid in full, and its vouchers reimburse it.

After each test the books balance, every part of the voucher is accounted for, and the buyer's cash is what
its claims were paid less what it paid back: never more than was captured for it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest

from exchange.claims import service, statements
from exchange.claims.batch import claim_batch
from exchange.claims.models import ActorRole, Claim, ClaimStatus
from exchange.kit.auth import Principal
from exchange.kit.clock import US_PER_DAY
from exchange.kit.database import CheckViolation, Database, ForeignKeyViolation, constraint_name
from exchange.kit.errors import Conflict, Forbidden, InvalidInput, NotEnoughMoney, NotFound, Refusal
from exchange.kit.ids import encode_id
from exchange.ledger import service as ledger
from exchange.ledger.models import CNY, Purpose
from exchange.participants.models import ParticipantKind
from tests.claim_world import ClaimWorld

S = ClaimStatus


@pytest.fixture
async def world(module_database: Database) -> AsyncIterator[ClaimWorld]:
    world = ClaimWorld(module_database)
    await world.settle(mode="reimburse")
    yield world
    await check(world)


async def check(world: ClaimWorld) -> None:
    async with world.database.connection() as connection:
        assert await ledger.check_programmes(connection) == []
        assert await ledger.check_balances(connection) == []
    balances = (await world.voucher(world.issued, world.buyer)).balances
    assert sum(getattr(balances, name) for name in balances.__struct_fields__) == world.issued.face_fen
    assert await cash_of(world, world.buyer) == balances.paid_fen
    for provider in (world.provider, world.other_provider):
        assert await cash_of(world, provider) == 0
        assert await world.has_fen(provider, world.plan.asset, Purpose.RECEIVABLE) == 0


async def cash_of(world: ClaimWorld, owner: Principal) -> int:
    return await world.has_fen(owner, CNY, Purpose.CASH)


async def refused(attempt: Awaitable[object], expected: type[Refusal]) -> Refusal:
    with pytest.raises(expected) as caught:
        await attempt
    return caught.value


async def test_a_company_claims_what_it_paid_in_full_whoever_delivered(world: ClaimWorld) -> None:
    await world.deposit(world.issuer, 6_000)
    assert await world.has_fen(world.buyer, world.plan.asset, Purpose.RECEIVABLE) == 6_000
    for provider in (world.provider, world.other_provider):
        await refused(world.submit(provider), Conflict)
    claim = await world.submit(world.buyer)
    assert (claim.amount_fen, claim.line_count, claim.claimant_kind) == (6_000, 3, "buyer")
    assert await world.read(claim, world.issuer) == claim == await world.read(claim, world.buyer)
    async with world.database.connection() as connection:
        lines = await service.list_claim_lines(connection, world.issuer, claim.id, after=(0, 0, 0), limit=9)
    delivered = [world.provider, world.provider, world.other_provider]
    assert [line.provider_id for line in lines] == [each.participant_id for each in delivered]
    paid = await world.pay(await world.approve(claim))
    assert paid.status is S.PAID
    assert (await cash_of(world, world.buyer), await cash_of(world, world.issuer)) == (6_000, 0)
    assert await world.has_fen(world.issuer, world.plan.asset, Purpose.REDEEMED) == 6_000
    async with world.database.connection() as connection:
        steps = await service.list_steps(connection, world.buyer, claim.id, limit=9)
    assert [step.actor_role for step in steps] == [ActorRole.CLAIMANT, ActorRole.ISSUER, ActorRole.ISSUER]


async def test_a_companys_claim_is_nobody_elses(world: ClaimWorld) -> None:
    claim = await world.submit(world.buyer)
    other_buyer, other_issuer = (
        await world.join(ParticipantKind.BUYER),
        await world.join(ParticipantKind.ISSUER),
    )
    for stranger in (world.provider, other_buyer, other_issuer):
        await refused(world.read(claim, stranger), NotFound)
        await refused(world.approve(claim, stranger), NotFound)
        await refused(world.attach(claim, "invoice", stranger), NotFound)
        async with world.database.connection() as connection:
            assert await service.list_claims(connection, stranger, limit=9) == []
            assert (
                await statements.receivable_statements(connection, stranger, world.now_us, world.plan.id)
                == []
            )
    for to in (S.APPROVED, S.PAID):
        await refused(world.step(claim, to, world.buyer), Forbidden)
    await refused(world.step(claim, S.REDUCED, world.buyer, reason="x", fen=1), Forbidden)


async def test_a_drawn_claim_is_audited_queried_answered_with_a_file_and_reduced(
    module_database: Database,
) -> None:
    world = ClaimWorld(module_database)
    await world.settle(mode="reimburse", audit_sample_bps=10_000, evidence=("发票",))
    await world.deposit(world.issuer, 4_500)
    claim = await world.open(world.buyer)
    await refused(world.step(claim, S.SUBMITTED, world.buyer), Conflict)
    await world.attach(claim, "发票", world.buyer)
    drawn = await world.step(claim, S.SUBMITTED, world.buyer)
    assert drawn.status is S.IN_AUDIT
    await world.step(claim, S.QUERIED, reason="who ran this?")
    await refused(world.step(claim, S.IN_AUDIT, world.provider, reason="we did"), NotFound)
    await world.attach(claim, "log", world.buyer)
    await world.step(claim, S.IN_AUDIT, world.buyer, reason="we did, see the log")
    await refused(world.step(claim, S.REDUCED, reason="x", fen=6_000), InvalidInput)
    await world.pay(await world.step(claim, S.REDUCED, reason="one hour was idle", fen=4_500))
    assert await cash_of(world, world.buyer) == 4_500
    assert (await world.voucher(world.issued, world.buyer)).balances.reduced_fen == 1_500
    await refused(world.submit(world.buyer), Conflict)  # what was cut cannot be claimed again
    await check(world)


async def test_a_rejected_claim_can_be_made_again_and_is_paid_once(world: ClaimWorld) -> None:
    await world.deposit(world.issuer, 12_000)
    first = await world.reject(await world.submit(world.buyer))
    assert first.line_count == 0
    second = await world.submit(world.buyer)
    assert second.amount_fen == 6_000
    await world.pay(await world.approve(second))
    for claim in (first, second):
        await refused(world.pay(claim), Conflict)
    await refused(world.submit(world.buyer), Conflict)
    assert await cash_of(world, world.buyer) == 6_000


async def test_a_clawback_is_paid_back_by_the_company_when_it_has_the_cash(world: ClaimWorld) -> None:
    await world.deposit(world.issuer, 6_000)
    claim = await world.pay(await world.approve(await world.submit(world.buyer)))
    await world.step(claim, S.CLAWBACK_OPEN, reason="resold", fen=2_000)
    operator = await world.join(ParticipantKind.OPERATOR)
    async with world.database.transaction() as connection:
        await ledger.withdraw(connection, operator, world.buyer.participant_id, 4_001, "", world.now_us)
    refusal = await refused(world.step(claim, S.RECOVERED, world.buyer), NotEnoughMoney)
    assert "claimant's cash" in refusal.detail
    assert (await world.read(claim, world.buyer)).status is S.CLAWBACK_OPEN
    await refused(world.step(claim, S.RECOVERED), Forbidden)  # the issuer takes nobody's cash
    await world.deposit(world.buyer, 4_001)
    assert (await world.step(claim, S.RECOVERED, world.buyer)).status is S.RECOVERED
    assert (await cash_of(world, world.buyer), await cash_of(world, world.issuer)) == (4_000, 2_000)
    balances = (await world.voucher(world.issued, world.buyer)).balances
    assert (balances.paid_fen, balances.recovered_fen, balances.available_fen) == (4_000, 2_000, 4_000)


async def test_a_companys_statements_tell_what_stood_at_a_moment_for_ever(world: ClaimWorld) -> None:
    await world.deposit(world.issuer, 6_000)
    told: dict[int, tuple[object, ...]] = {}

    async def tell(as_of_us: int) -> tuple[object, ...]:
        async with world.database.connection() as connection:
            assert (
                await statements.programme_statements(connection, world.buyer, as_of_us, world.plan.id) == []
            )
            (row,) = await statements.receivable_statements(connection, world.buyer, as_of_us, world.plan.id)
            assert (
                await statements.receivable_statements(connection, world.issuer, as_of_us, world.plan.id)
            ) == [row]
        assert row.claimant_id == encode_id("par", world.buyer.participant_id)
        pages = statements.all_claim_statements(world.database, world.buyer, as_of_us, world.plan.id)
        claims = [(each.status.value, each.step_cny) async for page in pages for each in page]
        return row.receivable_cny, row.claimed_cny, row.paid_cny, row.recovered_cny, claims

    async def next_day() -> None:
        told[world.now_us] = await tell(world.now_us)
        world.now_us += US_PER_DAY

    await next_day()
    claim = await world.submit(world.buyer)
    await next_day()
    await world.pay(await world.approve(claim))
    await next_day()
    await world.step(claim, S.CLAWBACK_OPEN, reason="resold", fen=500)
    await world.step(claim, S.RECOVERED, world.buyer)
    await next_day()
    assert {at_us: await tell(at_us) for at_us in told} == told
    assert list(told.values()) == [
        ("60.00", "0.00", "0.00", "0.00", []),
        ("0.00", "60.00", "0.00", "0.00", [("submitted", "60.00")]),
        ("0.00", "0.00", "60.00", "0.00", [("paid", "60.00")]),
        ("0.00", "0.00", "55.00", "5.00", [("recovered", "5.00")]),
    ]


async def test_a_company_claims_under_all_its_programmes_at_once(world: ClaimWorld) -> None:
    other = await world.programme(world.issuer, world.provider, mode="reimburse")
    voucher = await world.issue(world.issuer, other, world.buyer, 100)
    await world.captured(voucher, world.provider, 70, claimant=world.buyer)
    async with world.database.transaction() as connection:
        outcomes = await claim_batch(connection, world.buyer, (), world.now_us, submit=True)
    made = {each: claim.amount_fen for each, claim in outcomes if isinstance(claim, Claim)}
    assert made == {world.plan.id: 6_000, other.id: 70}


async def test_of_fifty_who_open_at_once_each_line_is_in_one_claim_and_of_many_payers_one_pays(
    module_database_url: str, world: ClaimWorld
) -> None:
    await world.deposit(world.issuer, 100_000)
    kept, world.database = world.database, await Database.connect(module_database_url, connections_max=50)
    try:
        opened = await asyncio.gather(*(world.submit(world.buyer) for _ in range(50)), return_exceptions=True)
        (claim,) = [each for each in opened if isinstance(each, Claim)]
        assert {type(each) for each in opened} == {Claim, Conflict}
        assert (claim.amount_fen, claim.line_count) == (6_000, 3)
        await world.approve(claim)
        payments = await asyncio.gather(*(world.pay(claim) for _ in range(50)), return_exceptions=True)
        assert sorted(type(each).__name__ for each in payments) == ["Claim"] + ["Conflict"] * 49
    finally:
        await world.database.close()
        world.database = kept
    assert await cash_of(world, world.buyer) == 6_000


@pytest.mark.parametrize("mode", ["instant", "reimburse"])
async def test_the_database_lets_nobody_claim_an_hour_but_whom_its_rules_say(
    module_database: Database, mode: str
) -> None:
    world = ClaimWorld(module_database)
    await world.settle(mode=mode)
    await world.hold(world.issued, 10)
    await world.commit(world.issued, 10)
    right = world.buyer if mode == "reimburse" else world.provider
    kinds = ParticipantKind.BUYER, ParticipantKind.PROVIDER, ParticipantKind.ISSUER
    strangers = [await world.join(kind) for kind in kinds]
    for wrong in (world.buyer, world.provider, world.other_provider, world.issuer, *strangers):
        if wrong is not right:
            with pytest.raises(CheckViolation) as caught:
                await world.deliver(world.issued, world.provider, 10, 9, claimant=wrong)
            assert constraint_name(caught.value) == "voucher_capture_for_its_claimant"
    await world.deliver(world.issued, world.provider, 10, 9, claimant=right)


async def test_the_database_binds_no_line_to_a_claim_of_another(world: ClaimWorld) -> None:
    instant = await world.programme(world.issuer, world.provider)
    voucher = await world.issue(world.issuer, instant, world.buyer, 100)
    await world.captured(voucher, world.provider, 70)
    claim = await world.open(world.buyer)
    bind = "UPDATE voucher_capture SET claim_id = $1 WHERE programme_id = $2"
    async with world.database.connection() as connection:
        with pytest.raises(ForeignKeyViolation) as caught:
            await connection.execute(bind, claim.id, instant.id)
    assert constraint_name(caught.value) == "voucher_capture_claimed_as_its_own"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE voucher_capture SET claimant_id = provider_id WHERE claim_id = $1",
        "UPDATE voucher_capture SET amount_fen = amount_fen + 1 WHERE claim_id = $1",
        "UPDATE voucher_capture SET claim_id = claim_id + 1 WHERE claim_id = $1",
        "UPDATE voucher_capture SET reduced_fen = reduced_fen - 1 WHERE claim_id = $1",
        "DELETE FROM voucher_capture WHERE claim_id = $1",
    ],
)
async def test_the_database_keeps_what_was_captured(world: ClaimWorld, statement: str) -> None:
    claim = await world.submit(world.buyer)
    async with world.database.connection() as connection:
        with pytest.raises(CheckViolation) as caught:
            await connection.execute(statement, claim.id)
    assert constraint_name(caught.value) == "voucher_capture_stays"
