"""Statements: what stood at a moment stays so, and adds up. Batches of claims, each for itself."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from exchange.claims import burn, service, statements
from exchange.claims.batch import claim_batch
from exchange.claims.models import Claim, ClaimStatus
from exchange.claims.statement_models import ClaimStatement, ProgrammeStatement, ReceivableStatement
from exchange.kit.auth import Principal
from exchange.kit.clock import US_PER_DAY
from exchange.kit.database import Database
from exchange.kit.errors import Forbidden, Refusal
from exchange.kit.ids import encode_id, new_id
from exchange.ledger import service as ledger
from exchange.participants.models import ParticipantKind
from tests.claim_world import ClaimWorld

S = ClaimStatus
ISSUED = ("with_buyers", "receivable", "claimed", "paid", "reduced", "recovered", "expired", "revoked")
CAPTURED = ("receivable", "claimed", "paid", "reduced", "recovered")
Told = tuple[list[ProgrammeStatement], list[ReceivableStatement], list[ClaimStatement]]


@pytest.fixture
async def world(module_database: Database) -> AsyncIterator[ClaimWorld]:
    world = ClaimWorld(module_database)
    await world.settle()
    yield world
    async with module_database.connection() as connection:
        assert await ledger.check_programmes(connection) == []


async def told(world: ClaimWorld, as_of_us: int, principal: Principal | None = None) -> Told:
    """Return all statements of a moment, as the issuer unless told otherwise."""
    caller = principal or world.issuer
    async with world.database.connection() as connection:
        programmes = await statements.programme_statements(connection, caller, as_of_us, world.plan.id)
        receivables = await statements.receivable_statements(connection, caller, as_of_us, world.plan.id)
    pages = statements.all_claim_statements(world.database, caller, as_of_us, world.plan.id)
    return programmes, receivables, [claim async for page in pages for claim in page]


async def burnt(
    world: ClaimWorld, moments_us: list[int], principal: Principal | None = None
) -> list[tuple[str, ...]]:
    """Return the points of the programme's burn at some moments, as the issuer unless told otherwise."""
    async with world.database.connection() as connection:
        points = await burn.burn_of(connection, principal or world.issuer, moments_us, world.plan.id)
    for each in points:
        falling = [each.budget_cny, each.issued_cny, each.committed_cny, each.captured_cny, each.paid_cny]
        assert sorted(falling, key=Decimal, reverse=True) == falling
    return [(each.at, each.budget_cny, each.issued_cny, each.captured_cny, each.paid_cny) for each in points]


def burnt_by(row: ProgrammeStatement) -> tuple[str, ...]:
    """Return the point of a burn that a statement of the same moment gives."""
    issued = Decimal(row.issued_cny) - Decimal(row.expired_cny) - Decimal(row.revoked_cny)
    captured = sum(Decimal(cny) for cny in parts(row, *CAPTURED).values())
    return row.as_of, row.budget_cny, f"{issued:.2f}", f"{captured:.2f}", row.paid_cny


def parts(row: ProgrammeStatement | ReceivableStatement, *names: str) -> dict[str, str]:
    """Return the parts of a statement that are not zero."""
    found = {name: str(getattr(row, f"{name}_cny")) for name in names}
    return {name: cny for name, cny in found.items() if cny != "0.00"}


def add_up(told_then: Told) -> None:
    programmes, receivables, _ = told_then
    for row in programmes:
        assert sum(Decimal(cny) for cny in parts(row, *ISSUED).values()) == Decimal(row.issued_cny)
        assert Decimal(row.unissued_cny) + Decimal(row.issued_cny) == Decimal(row.budget_cny)
    for each in receivables:
        assert sum(Decimal(cny) for cny in parts(each, *CAPTURED).values()) == Decimal(each.captured_cny)


async def test_what_stood_at_a_moment_is_told_for_ever(world: ClaimWorld) -> None:
    await world.deposit(world.issuer, 4_000)
    seen: dict[int, Told] = {}

    async def next_day() -> None:
        seen[world.now_us] = await told(world, world.now_us)
        add_up(seen[world.now_us])
        world.now_us += US_PER_DAY

    await next_day()
    claim = await world.submit()
    await next_day()
    await world.step(claim, S.REDUCED, reason="=1+1", fen=3_000)
    await next_day()
    await world.pay(claim)
    other = await world.submit(world.other_provider)
    await next_day()
    await world.step(claim, S.CLAWBACK_OPEN, reason="never ran", fen=500)
    await world.step(claim, S.RECOVERED, world.provider)
    await world.reject(other)
    await next_day()
    days = list(seen)
    assert {at_us: await told(world, at_us) for at_us in days} == seen
    rows = [seen[at_us][0][0] for at_us in days]
    assert await burnt(world, days) == [burnt_by(row) for row in rows]
    assert await burnt(world, days, await world.join(ParticipantKind.ISSUER)) == []
    assert await burnt(world, days, world.provider) == []
    assert [parts(row, *ISSUED) for row in rows] == [
        {"with_buyers": "40.00", "receivable": "60.00"},
        {"with_buyers": "40.00", "receivable": "20.00", "claimed": "40.00"},
        {"with_buyers": "40.00", "receivable": "20.00", "claimed": "30.00", "reduced": "10.00"},
        {"with_buyers": "40.00", "claimed": "20.00", "paid": "30.00", "reduced": "10.00"},
        {
            "with_buyers": "40.00",
            "receivable": "20.00",
            "paid": "25.00",
            "reduced": "10.00",
            "recovered": "5.00",
        },
    ]
    assert [[each.status.value for each in seen[at_us][2]] for at_us in days] == [
        [],
        ["submitted"],
        ["reduced"],
        ["submitted", "paid"],
        ["rejected", "recovered"],
    ]
    assert (await told(world, days[0] - US_PER_DAY)) == ([], [], [])


async def test_a_provider_sees_its_own_and_strangers_see_nothing(world: ClaimWorld) -> None:
    claim = await world.open()
    now_us = world.now_us
    programmes, receivables, claims = await told(world, now_us, world.provider)
    assert programmes == []
    assert [parts(row, "captured", *CAPTURED) for row in receivables] == [
        {"captured": "40.00", "receivable": "40.00"}
    ]
    assert receivables[0].claimant_id == encode_id("par", world.provider.participant_id)
    assert [(each.claim_id, each.status) for each in claims] == [(encode_id("clm", claim.id), S.OPEN)]
    for stranger in (
        world.buyer,
        await world.join(ParticipantKind.ISSUER),
        await world.join(ParticipantKind.PROVIDER),
    ):
        assert await told(world, now_us, stranger) == ([], [], [])
    by_issuer = await told(world, now_us)
    assert len(by_issuer[1]) == 2
    assert by_issuer[2] == []  # an open claim is its provider's own
    assert (await told(world, now_us, await world.join(ParticipantKind.REGULATOR)))[:2] == by_issuer[:2]


async def test_the_claims_of_an_export_are_all_there_page_by_page(
    world: ClaimWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.claims.statements.EXPORT_PAGE_ROWS", 2)
    made = []
    for hour in range(5, 10):
        made.append(encode_id("clm", (await world.submit()).id))
        await world.captured(world.issued, world.provider, 1, hour=hour)
    assert [each.claim_id for each in (await told(world, world.now_us))[2]] == made[::-1]


async def test_each_claim_of_a_batch_has_its_own_outcome(world: ClaimWorld) -> None:
    needs = await world.programme(world.issuer, world.provider, evidence=("log",))
    other = await world.programme(world.issuer, world.provider)
    for plan in (needs, other):
        voucher = await world.issue(world.issuer, plan, world.buyer, 100)
        await world.captured(voucher, world.provider, 70)
    unknown = new_id()

    async def batch(*ids: int, by: Principal | None = None, submit: bool = True) -> dict[int, str]:
        async with world.database.transaction() as connection:
            outcomes = await claim_batch(connection, by or world.provider, ids, world.now_us, submit=submit)
        return {each: of.code if isinstance(of, Refusal) else of.status.value for each, of in outcomes}

    assert await batch(other.id, needs.id, unknown, other.id) == {
        other.id: "submitted",
        needs.id: "evidence_missing",
        unknown: "not_found",
    }
    assert await batch(submit=False) == {world.plan.id: "open", needs.id: "open"}
    assert await batch() == {}
    assert await batch(other.id) == {other.id: "nothing_to_claim"}
    with pytest.raises(Forbidden):
        await batch(by=world.issuer)
    async with world.database.connection() as connection:
        found = await service.list_claims(connection, world.provider, limit=10)
    assert {type(each) for each in found} == {Claim}
    assert len(found) == 3
