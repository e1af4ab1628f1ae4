"""Every step of a claim on the real PostgreSQL: whose it is, what it moves, what is kept of it.

After each test the books balance and every part of the voucher is accounted for.
"""

from collections.abc import AsyncIterator, Awaitable
from itertools import product

import pytest

from exchange.claims import service
from exchange.claims.models import ActorRole, Claim, ClaimStatus
from exchange.claims.rules import STEPS, drawn_number, spread
from exchange.kit.database import CheckViolation, Database, constraint_name
from exchange.kit.errors import Conflict, Forbidden, InvalidInput, NotEnoughMoney, NotFound, Refusal
from exchange.ledger import service as ledger
from exchange.ledger.models import CNY, Purpose
from exchange.participants.models import ParticipantKind
from tests.claim_world import ClaimWorld

S = ClaimStatus


@pytest.fixture
async def world(module_database: Database) -> AsyncIterator[ClaimWorld]:
    world = ClaimWorld(module_database)
    await world.settle()
    yield world
    async with module_database.connection() as connection:
        assert await ledger.check_programmes(connection) == []
        assert await ledger.check_balances(connection) == []
    balances = (await world.voucher(world.issued, world.buyer)).balances
    assert sum(getattr(balances, name) for name in balances.__struct_fields__) == world.issued.face_fen
    assert await world.has_fen(world.buyer, CNY, Purpose.CASH) == 0


async def refused(attempt: Awaitable[object], expected: type[Refusal], *pointers: str) -> Refusal:
    """Await an attempt that must be refused; return the refusal."""
    with pytest.raises(expected) as caught:
        await attempt
    assert tuple(fault.pointer for fault in caught.value.errors) == pointers
    return caught.value


async def ways_of(world: ClaimWorld, claim: Claim) -> list[tuple[str, str, str]]:
    """Return the history of a claim as (from, to, role)."""
    async with world.database.connection() as connection:
        steps = await service.list_steps(connection, world.provider, claim.id, limit=100)
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    return [(step.from_status.value, step.to_status.value, step.actor_role.value) for step in steps]


async def paid(world: ClaimWorld) -> Claim:
    """Return a paid claim of 40.00."""
    await world.deposit(world.issuer, 4_000)
    return await world.pay(await world.approve(await world.submit()))


async def test_the_database_allows_the_steps_of_the_rules_and_no_others(module_database: Database) -> None:
    async with module_database.connection() as connection:
        for before, after, role in product(S, S, ActorRole):
            allowed = await connection.fetchval(
                "SELECT claim_step_allowed($1, $2, $3)", before.value, after.value, role.value
            )
            assert allowed == (role in STEPS.get((before, after), ())), (before, after, role)


async def test_an_open_claim_is_its_providers_own_until_it_is_submitted(world: ClaimWorld) -> None:
    claim = await world.open()
    assert (claim.status, claim.submitted_at_us) == (S.OPEN, None)
    assert await world.parts() == (6_000, 0, 0)
    await refused(world.submit(), Conflict)  # its lines are bound
    await refused(world.read(claim, world.issuer), NotFound)
    await refused(world.approve(claim), NotFound)
    assert await world.read(claim, world.provider) == claim
    submitted = await world.step(claim, S.SUBMITTED, world.provider)
    assert (submitted.status, submitted.submitted_at_us) == (S.SUBMITTED, world.now_us)
    assert await world.parts() == (2_000, 4_000, 0)
    assert await world.read(claim, world.issuer) == submitted


async def test_audit_query_answer_and_approval_are_kept_with_their_reasons(world: ClaimWorld) -> None:
    claim = await world.submit()
    await world.step(claim, S.IN_AUDIT, reason="spot check")
    await world.step(claim, S.QUERIED, reason="where are the logs?")
    await refused(world.approve(claim), Conflict)
    answered = await world.step(claim, S.IN_AUDIT, world.provider, reason="attached")
    assert answered.reason == "attached"
    await world.approve(claim)
    assert await ways_of(world, claim) == [
        ("open", "submitted", "claimant"),
        ("submitted", "in_audit", "issuer"),
        ("in_audit", "queried", "issuer"),
        ("queried", "in_audit", "claimant"),
        ("in_audit", "approved", "issuer"),
    ]
    async with world.database.connection() as connection:
        steps = await service.list_steps(connection, world.issuer, claim.id, after=1, limit=2)
        rows = await connection.fetch(
            "SELECT code, actor_participant_id, detail::jsonb ->> 'reason' AS reason FROM audit_record"
            " WHERE subject_id = $1 ORDER BY id",
            claim.id,
        )
    assert [(step.number, step.reason) for step in steps] == [(2, "spot check"), (3, "where are the logs?")]
    assert [row["code"] for row in rows] == ["CLMO", "CLMS", "CLMU", "CLMQ", "CLMU", "CLMA"]
    assert rows[4]["reason"] == "attached"
    assert rows[4]["actor_participant_id"] == world.provider.participant_id


async def test_a_reduction_pays_less_and_the_rest_is_the_budgets_for_good(world: ClaimWorld) -> None:
    await world.deposit(world.issuer, 2_501)
    claim = await world.submit()
    budget_fen = await world.has_fen(world.issuer, world.plan.asset, Purpose.BUDGET)
    reduced = await world.step(claim, S.REDUCED, reason="an hour short", fen=2_501)
    assert (reduced.status, reduced.approved_fen, reduced.amount_fen) == (S.REDUCED, 2_501, 4_000)
    assert await world.has_fen(world.issuer, world.plan.asset, Purpose.BUDGET) == budget_fen + 1_499
    async with world.database.connection() as connection:
        lines = await service.list_claim_lines(connection, world.provider, claim.id, after=(0, 0, 0), limit=9)
    # 1,499 over 1,000 and 3,000: 374.75 and 1,124.25, the larger remainder first.
    assert [line.reduced_fen for line in lines] == [375, 1_124]
    assert await world.parts() == (2_000, 2_501, 0)
    await world.pay(claim)
    assert await world.parts() == (2_000, 0, 2_501)
    assert (await world.voucher(world.issued, world.buyer)).balances.reduced_fen == 1_499
    assert await world.has_fen(world.provider, CNY, Purpose.CASH) == 2_501
    assert await world.has_fen(world.issuer, CNY, Purpose.CASH) == 0
    await refused(world.submit(), Conflict)  # what was cut cannot be claimed again


async def test_a_reduction_is_to_something_less(world: ClaimWorld) -> None:
    claim = await world.submit()
    for fen in (4_000, 4_001, 10**14):
        await refused(world.step(claim, S.REDUCED, reason="x", fen=fen), InvalidInput, "/amount_cny")
    await refused(world.step(claim, S.REDUCED, reason="x"), InvalidInput, "/amount_cny")
    await refused(world.step(claim, S.REDUCED), InvalidInput, "/reason", "/amount_cny")
    await refused(world.step(claim, S.APPROVED, fen=5), InvalidInput, "/amount_cny")


async def test_a_clawback_brings_cash_back_to_the_issuer_and_vouchers_to_the_budget(
    world: ClaimWorld,
) -> None:
    claim = await paid(world)
    budget_fen = await world.has_fen(world.issuer, world.plan.asset, Purpose.BUDGET)
    await refused(world.step(claim, S.CLAWBACK_OPEN, reason="x", fen=4_001), InvalidInput, "/amount_cny")
    opened = await world.step(claim, S.CLAWBACK_OPEN, reason="never ran", fen=1_001)
    assert (opened.status, opened.clawback_fen) == (S.CLAWBACK_OPEN, 1_001)
    assert await world.parts() == (2_000, 0, 4_000)
    await refused(world.step(claim, S.RECOVERED), Forbidden)  # the issuer takes nobody's cash
    recovered = await world.step(claim, S.RECOVERED, world.provider)
    assert recovered.status is S.RECOVERED
    assert await world.has_fen(world.provider, CNY, Purpose.CASH) == 2_999
    assert await world.has_fen(world.issuer, CNY, Purpose.CASH) == 1_001
    assert await world.has_fen(world.issuer, world.plan.asset, Purpose.REDEEMED) == 2_999
    assert await world.has_fen(world.issuer, world.plan.asset, Purpose.BUDGET) == budget_fen + 1_001
    balances = (await world.voucher(world.issued, world.buyer)).balances
    assert (balances.paid_fen, balances.recovered_fen, balances.available_fen) == (2_999, 1_001, 4_000)
    for to in (S.CLAWBACK_OPEN, S.WRITTEN_OFF, S.PAID):
        fen = 5 if to is S.CLAWBACK_OPEN else None
        await refused(world.step(claim, to, reason="again", fen=fen), Conflict)


async def test_a_clawback_beyond_the_providers_cash_waits(world: ClaimWorld) -> None:
    claim = await paid(world)
    await world.step(claim, S.CLOSED)
    await world.step(claim, S.CLAWBACK_OPEN, reason="never ran", fen=4_000)
    operator = await world.join(ParticipantKind.OPERATOR)
    async with world.database.transaction() as connection:
        await ledger.withdraw(connection, operator, world.provider.participant_id, 1, "", world.now_us)
    refusal = await refused(world.step(claim, S.RECOVERED, world.provider), NotEnoughMoney)
    assert "claimant's cash" in refusal.detail
    assert "40.00" in refusal.detail
    assert (await world.read(claim, world.issuer)).status is S.CLAWBACK_OPEN
    assert await world.parts() == (2_000, 0, 4_000)


async def test_a_write_off_moves_nothing(world: ClaimWorld) -> None:
    claim = await paid(world)
    await world.step(claim, S.CLAWBACK_OPEN, reason="never ran", fen=4_000)
    await refused(world.step(claim, S.WRITTEN_OFF, world.provider, reason="please"), Forbidden)
    for blank in ("", " ", "\u200b\u2060"):
        await refused(world.step(claim, S.WRITTEN_OFF, reason=blank), InvalidInput, "/reason")
    await world.step(claim, S.WRITTEN_OFF, reason="the company is gone")
    assert await world.parts() == (2_000, 0, 4_000)
    assert await world.has_fen(world.provider, CNY, Purpose.CASH) == 4_000
    await refused(world.step(claim, S.RECOVERED, world.provider), Conflict)


async def test_a_drawn_claim_is_audited_and_its_draw_can_be_done_again(module_database: Database) -> None:
    world = ClaimWorld(module_database)
    await world.settle(audit_sample_bps=10_000)
    claim = await world.submit()
    assert claim.status is S.IN_AUDIT
    assert claim.draw is not None
    assert claim.draw.number == drawn_number(claim.draw.seed, claim.id)
    assert await world.read(claim, world.provider) == claim
    assert (await ways_of(world, claim))[1] == ("submitted", "in_audit", "exchange")
    await world.approve(claim)
    one_in_ten_thousand = ClaimWorld(module_database)
    await one_in_ten_thousand.settle(audit_sample_bps=1)
    seen = await one_in_ten_thousand.submit()
    assert seen.draw is not None
    assert (seen.status is S.IN_AUDIT) == (seen.draw.number < 1)


def test_the_numbers_of_a_draw_are_fair_and_come_of_seed_and_claim() -> None:
    numbers = [drawn_number(bytes(32), claim_id) for claim_id in range(1, 20_001)]
    assert set(map(type, numbers)) == {int}
    assert min(numbers) >= 0
    assert max(numbers) < 10_000
    assert 900 < sum(number < 500 for number in numbers) < 1_100
    assert drawn_number(bytes(32), 1) == numbers[0] != drawn_number(b"\1" * 32, 1)


def test_an_amount_is_spread_by_largest_remainder() -> None:
    assert spread(10, [1, 1, 1]) == [4, 3, 3]
    assert spread(0, [5, 5]) == [0, 0]
    assert spread(7, [7]) == [7]
    assert spread(5, [2, 0, 3]) == [2, 0, 3]
    assert spread(1, [1, 2]) == [0, 1]


STEP = "INSERT INTO claim_step SELECT claim.id, 2, {}, now() FROM claim JOIN programme"
STEP += " ON programme.id = claim.programme_id WHERE claim.id = $1"
BORN_APPROVED = (
    "INSERT INTO claim SELECT id + 1, programme_id, programme_version, claimant_id, amount_fen, NULL,"
)
BORN_APPROVED += " NULL, 'approved', 0, '', opened_at FROM claim WHERE id = $1"


@pytest.mark.parametrize(
    "statement, constraint",
    [
        ("UPDATE claim SET status = 'paid' WHERE id = $1", "claim_follows_its_steps"),
        ("UPDATE claim SET step_count = 2 WHERE id = $1", "claim_follows_its_steps"),
        (BORN_APPROVED, "claim_follows_its_steps"),
        (STEP.format("'submitted', 'paid', 'issuer', issuer_id, 1, 'x'"), "claim_step_is_allowed"),
        (STEP.format("'submitted', 'approved', 'claimant', claimant_id, 1, 'x'"), "claim_step_is_allowed"),
        (STEP.format("'in_audit', 'approved', 'issuer', issuer_id, 1, 'x'"), "claim_step_follows"),
        (STEP.format("'submitted', 'approved', 'issuer', claimant_id, 1, 'x'"), "claim_step_follows"),
        (STEP.format("'submitted', 'rejected', 'issuer', issuer_id, 1, ''"), "claim_step_has_a_reason"),
    ],
)
async def test_the_database_refuses_a_state_without_its_step(
    world: ClaimWorld, statement: str, constraint: str
) -> None:
    claim = await world.submit()
    async with world.database.connection() as connection:
        with pytest.raises(CheckViolation) as caught:
            await connection.execute(statement, claim.id)
    assert constraint == constraint_name(caught.value)


async def test_a_claim_needs_the_evidence_that_its_rules_name(module_database: Database) -> None:
    world = ClaimWorld(module_database)
    await world.settle(evidence=("发票", "delivery log"))
    refusal = await refused(world.submit(), Conflict, "/rules/evidence/0", "/rules/evidence/1")
    assert refusal.code == "evidence_missing"
    claim = await world.open()
    await world.attach(claim, "发票")
    await refused(world.step(claim, S.SUBMITTED, world.provider), Conflict, "/rules/evidence/1")
    await world.attach(claim, "delivery log")
    assert (await world.step(claim, S.SUBMITTED, world.provider)).status is S.SUBMITTED
    await world.reject(claim)
    with pytest.raises(Conflict):
        await world.attach(claim, "too late")


async def test_the_database_compares_evidence_with_its_size_and_hash(world: ClaimWorld) -> None:
    claim = await world.open()
    insert = "INSERT INTO claim_evidence VALUES ($1, $1, 'x', 'text/plain', $2, sha256($3), 'abc', 1, now())"
    for size_bytes, hashed in ((4, b"abc"), (3, b"abd")):
        async with world.database.connection() as connection:
            with pytest.raises(CheckViolation) as caught:
                await connection.execute(insert, claim.id, size_bytes, hashed)
        assert constraint_name(caught.value) == "claim_evidence_is_what_it_says"


async def test_a_claim_has_so_much_evidence_and_no_more(
    world: ClaimWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.claims.evidence.EVIDENCE_COUNT_MAX", 2)
    claim = await world.open()
    for name in ("one", "two"):
        await world.attach(claim, name)
    with pytest.raises(Conflict):
        await world.attach(claim, "three")
