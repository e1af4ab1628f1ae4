"""The life of a programme on the real PostgreSQL: draft, open, exhausted, closed, and its budget on the way.

After each test the books balance: what is in the budget account and in its source is what the check
recomputes from the programme, its vouchers and its steps, and the statements say the same.
"""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from exchange.claims.service import open_claim
from exchange.claims.statements import programme_statements
from exchange.kit.auth import Principal
from exchange.kit.clock import US_PER_DAY
from exchange.kit.database import CheckViolation, constraint_name
from exchange.kit.errors import Conflict, Forbidden, InvalidInput, NotFound
from exchange.ledger import service as ledger
from exchange.ledger.models import Purpose
from exchange.ledger.rules import posted_fen
from exchange.participants.models import ParticipantKind
from exchange.programmes import life as programme_life
from exchange.programmes import service as programmes
from exchange.programmes.models import Programme, ProgrammeStatus, RulesVersion
from exchange.programmes.rules import view_of_programme, view_of_programme_step
from exchange.vouchers import service, wallet
from exchange.vouchers.choice import choose
from exchange.vouchers.models import Voucher
from tests.databases import crowded
from tests.voucher_facts import facts, paying
from tests.voucher_world import VoucherWorld

CONNECTIONS = 50
S = ProgrammeStatus


class LifeWorld(VoucherWorld):
    """An issuer with a provider that it admits, and a buyer."""

    issuer: Principal
    provider: Principal
    buyer: Principal

    async def settle(self) -> None:
        """Let them join."""
        self.issuer, self.provider, self.buyer = [
            await self.join(kind)
            for kind in (ParticipantKind.ISSUER, ParticipantKind.PROVIDER, ParticipantKind.BUYER)
        ]

    async def money(self, programme: Programme) -> tuple[int, int]:
        """Return what is in the budget account and what its source has given, in fen."""
        async with self.database.connection() as connection:
            found = await ledger.balances(connection, programme.issuer_id, limit=1000)
        fen = {each.purpose: posted_fen(each) for each in found if each.asset == programme.asset}
        return fen.get(Purpose.BUDGET, 0), -fen.get(Purpose.PROGRAMME_SOURCE, 0)

    async def now(self, programme: Programme) -> Programme:
        """Read a programme again, as its issuer."""
        async with self.database.connection() as connection:
            return await programmes.get_programme(connection, programme.id, self.now_us, self.issuer)

    async def told(self, programme: Programme) -> list[tuple[str, str, str, int, str]]:
        """Return the history as (from, to, by, returned, reason)."""
        async with self.database.connection() as connection:
            steps = await programme_life.list_steps(
                connection, self.issuer, programme.id, limit=100, at_us=self.now_us
            )
        assert [step.number for step in steps] == list(range(1, len(steps) + 1))
        return [
            (each.from_status.value, each.to_status.value, each.actor_role, each.returned_fen, each.reason)
            for each in steps
        ]

    async def audited(self, programme: Programme) -> list[str]:
        """Return the codes of the audit records on a programme."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT code FROM audit_record WHERE subject_id = $1 ORDER BY id", programme.id
            )
        return [row["code"] for row in rows]

    async def check_statements(self) -> None:
        """Compare every statement with the programme as it is."""
        async with self.database.connection() as connection:
            regulator = await self.join(ParticipantKind.REGULATOR)
            told = await programme_statements(connection, regulator, self.now_us)
            shown = await programmes.list_programmes(connection, self.now_us, viewer=regulator, limit=100)
        views = [view_of_programme(each) for each in shown]
        booked = {each.id: each for each in views if each.status is not S.DRAFT}
        assert {each.programme_id for each in told} == set(booked)
        for each in told:
            view = booked[each.programme_id]
            assert (each.issued_cny, each.unissued_cny) == (view.issued_cny, view.unissued_cny)
            assert Decimal(each.budget_cny) == Decimal(view.budget_cny) - Decimal(view.returned_cny)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[LifeWorld]:
    async with crowded(database_url, CONNECTIONS) as database:
        world = LifeWorld(database)
        await world.settle()
        yield world
        await world.check_statements()
        async with database.connection() as connection:
            # No order or lease stands behind the money of these tests, so those are not compared.
            wrong = [*await ledger.check_balances(connection), *await ledger.check_programmes(connection)]
        assert wrong == []


async def test_a_draft_has_no_money_issues_nothing_and_is_its_issuers_own(world: LifeWorld) -> None:
    draft = await world.programme(world.issuer, world.provider, draft=True)
    assert (draft.status, await world.money(draft)) == (S.DRAFT, (0, 0))
    with pytest.raises(Conflict) as caught:
        await world.issue(world.issuer, draft, world.buyer, 100)
    assert caught.value.code == "programme_not_open"
    others = [await world.join(kind) for kind in ParticipantKind]
    seeing = {ParticipantKind.OPERATOR, ParticipantKind.REGULATOR}
    async with world.database.connection() as connection:
        await world.registry.refresh(connection)
        for viewer in (*others, None, world.issuer):
            sees = viewer is not None and (viewer is world.issuer or viewer.kind in seeing)
            listed = await programmes.list_programmes(connection, world.now_us, viewer=viewer, limit=9)
            assert [each.id for each in listed] == [draft.id] * sees
            reads = (
                lambda who=viewer: programmes.get_programme(connection, draft.id, world.now_us, who),
                lambda who=viewer: programmes.list_versions(connection, draft.id, who),
            )
            for read in reads:
                if sees:
                    await read()
                else:
                    with pytest.raises(NotFound):
                        await read()
    assert world.registry.programmes == {}
    stranger = others[list(ParticipantKind).index(ParticipantKind.ISSUER)]
    for attempt in (
        world.issue(stranger, draft, world.buyer, 100),
        world.change(stranger, draft),
        world.step_programme(stranger, draft, S.OPEN),
    ):
        with pytest.raises(NotFound):
            await attempt
    async with world.database.connection() as connection:
        with pytest.raises(NotFound):
            await open_claim(connection, world.provider, draft.id, world.now_us)
        with pytest.raises(NotFound):
            await programme_life.list_steps(connection, stranger, draft.id, limit=1, at_us=world.now_us)


async def test_a_draft_books_what_its_newest_rules_say_when_it_is_opened(world: LifeWorld) -> None:
    draft = await world.programme(world.issuer, world.provider, draft=True)
    await world.change(world.issuer, draft, budget_fen=70_000)
    assert await world.money(draft) == (0, 0)
    with pytest.raises(Conflict):
        await world.step_programme(world.issuer, draft, S.CLOSED)
    opened = await world.step_programme(world.issuer, draft, S.OPEN, "approved by the council")
    assert (opened.status, opened.budget_fen) == (S.OPEN, 70_000)
    assert await world.money(draft) == (70_000, 70_000)
    assert await world.told(draft) == [("draft", "open", "issuer", 0, "approved by the council")]
    await world.issue(world.issuer, draft, world.buyer, 100)
    with pytest.raises(Conflict):
        await world.step_programme(world.issuer, draft, S.OPEN)
    assert await world.audited(draft) == ["PRGM", "PRGM", "POPN"]


async def test_closing_returns_what_is_not_issued_and_vouchers_live_and_pay_on(world: LifeWorld) -> None:
    plan = await world.programme(world.issuer, world.provider, validity_days=10)
    voucher = await world.issue(world.issuer, plan, world.buyer, 30_000)
    await world.captured(voucher, world.provider, 10_000)
    closed = await world.step_programme(world.issuer, plan, S.CLOSED)
    assert await world.money(plan) == (0, 30_000)
    view = view_of_programme(closed)
    assert (view.status, view.budget_cny, view.issued_cny, view.unissued_cny, view.returned_cny) == (
        S.CLOSED,
        "1000.00",
        "300.00",
        "0.00",
        "700.00",
    )
    assert await world.told(plan) == [("open", "closed", "issuer", 70_000, "the year is over")]
    async with world.database.connection() as connection:
        (step,) = await programme_life.list_steps(
            connection, world.buyer, plan.id, limit=9, at_us=world.now_us
        )
    assert view_of_programme_step(step).returned_cny == "700.00"
    with pytest.raises(Conflict) as caught:
        await world.issue(world.issuer, plan, world.buyer, 1)
    assert caught.value.code == "programme_not_open"
    for to in (S.OPEN, S.CLOSED):
        with pytest.raises(Conflict):
            await world.step_programme(world.issuer, plan, to)
    with pytest.raises(InvalidInput):
        await world.change(world.issuer, plan, budget_fen=100_001)
    assert (await world.change(world.issuer, plan, evidence=("log",))).number == 2
    async with world.database.transaction() as connection:
        buyers = {world.buyer.participant_id}
        usable = await wallet.vouchers_for_update(connection, buyers, world.registry, world.now_us)
    assert paying(choose(usable, "auto", facts(at_us=world.now_us))) == usable
    await world.captured(voucher, world.provider, 5_000, hour=2)
    world.now_us += 11 * US_PER_DAY
    async with world.database.transaction() as connection:
        assert [each.returned_fen for each in await service.expire_due(connection, world.now_us)] == [15_000]
    assert await world.money(plan) == (15_000, 30_000)
    assert await world.audited(plan) == ["PRGM", "PCLO", "PRGM"]


async def test_the_last_fen_exhausts_and_a_raised_budget_opens_again(world: LifeWorld) -> None:
    plan = await world.programme(world.issuer, world.provider, budget_fen=1_000)
    await world.issue(world.issuer, plan, world.buyer, 400)
    with pytest.raises(InvalidInput) as caught:
        await world.change(world.issuer, plan, budget_fen=399)
    (fault,) = caught.value.errors
    assert (fault.pointer, fault.code) == ("/rules/budget_fen", "out_of_range")
    assert "at least 400" in fault.detail
    assert await world.money(plan) == (600, 1_000)
    await world.change(world.issuer, plan, budget_fen=400)
    assert (await world.now(plan)).status is S.EXHAUSTED
    assert await world.money(plan) == (0, 400)
    await world.change(world.issuer, plan, budget_fen=900)
    assert ((await world.now(plan)).status, await world.money(plan)) == (S.OPEN, (500, 900))
    await world.issue(world.issuer, plan, world.buyer, 500)
    assert (await world.now(plan)).status is S.EXHAUSTED
    await world.step_programme(world.issuer, plan, S.CLOSED)
    assert await world.money(plan) == (0, 900)
    assert [each[:4] for each in await world.told(plan)] == [
        ("open", "exhausted", "exchange", 0),
        ("exhausted", "open", "exchange", 0),
        ("open", "exhausted", "exchange", 0),
        ("exhausted", "closed", "issuer", 0),
    ]


async def test_only_rules_in_force_at_once_change_the_budget(world: LifeWorld) -> None:
    plan = await world.programme(world.issuer, world.provider)
    march = "2026-03-01T00:00:00Z"
    with pytest.raises(InvalidInput) as caught:
        await world.change(world.issuer, plan, budget_fen=100_001, effective_from=march)
    assert [(fault.pointer, fault.code) for fault in caught.value.errors] == [
        ("/rules/budget_fen", "not_applicable")
    ]
    scheduled = await world.change(world.issuer, plan, effective_from=march)
    await world.change(world.issuer, plan, budget_fen=120_000)
    assert (await world.now(plan)).budget_fen == 120_000
    # The scheduled rules still say 100,000: they were superseded by those that raised the budget.
    world.now_us = scheduled.effective_from_us + US_PER_DAY
    shown = await world.now(plan)
    assert (shown.version.number, shown.rules.budget_fen, shown.budget_fen) == (3, 120_000, 120_000)
    assert await world.money(plan) == (120_000, 120_000)
    await world.issue(world.issuer, plan, world.buyer, 50_000)


async def test_steps_are_the_issuers_own_have_a_reason_and_leave_nothing_when_refused(
    world: LifeWorld,
) -> None:
    plan = await world.programme(world.issuer, world.provider)
    other = await world.join(ParticipantKind.ISSUER)
    for stranger in (other, world.buyer):
        with pytest.raises(Forbidden):
            await world.step_programme(stranger, plan, S.CLOSED)
    with pytest.raises(InvalidInput) as caught:
        await world.step_programme(world.issuer, plan, S.CLOSED, " \u200b")
    assert [fault.pointer for fault in caught.value.errors] == ["/reason"]
    with pytest.raises(Conflict):
        await world.step_programme(world.issuer, plan, S.OPEN)
    assert (await world.told(plan), await world.now(plan)) == ([], plan)
    assert await world.money(plan) == (100_000, 100_000)


async def test_fifty_connections_issue_while_the_programme_is_closed(world: LifeWorld) -> None:
    plan = await world.programme(world.issuer, world.provider, budget_fen=30_000)
    buyers = [await world.join(ParticipantKind.BUYER) for _ in range(CONNECTIONS)]
    issues = [world.issue(world.issuer, plan, buyer, 1_000) for buyer in buyers]
    closings = [world.step_programme(world.issuer, plan, S.CLOSED) for _ in range(3)]
    answers = await asyncio.gather(
        *issues[:15], closings[0], *issues[15:], *closings[1:], return_exceptions=True
    )
    issued = [each for each in answers if isinstance(each, Voucher)]
    closed = [each for each in answers if isinstance(each, Programme)]
    refused = [each for each in answers if not isinstance(each, Voucher | Programme)]
    assert all(isinstance(each, Conflict) for each in refused), refused
    codes = {each.code for each in refused if isinstance(each, Conflict)}
    assert codes <= {"programme_not_open", "budget_exhausted", "state_conflict"}
    assert len(closed) == 1
    assert len(issued) <= 30
    assert (await world.now(plan)).issued_fen == 1_000 * len(issued)
    assert await world.money(plan) == (0, 1_000 * len(issued))
    (closing,) = [each for each in await world.told(plan) if each[1] == "closed"]
    assert closing[3] == 30_000 - 1_000 * len(issued)


async def test_fifty_connections_issue_while_the_budget_falls_and_rises(world: LifeWorld) -> None:
    plan = await world.programme(world.issuer, world.provider, budget_fen=40_000)
    buyers = [await world.join(ParticipantKind.BUYER) for _ in range(CONNECTIONS)]
    issues = [world.issue(world.issuer, plan, buyer, 1_000) for buyer in buyers]
    budgets = (35_000, 20_000, 30_000, 10_000)
    changes = [world.change(world.issuer, plan, budget_fen=fen) for fen in budgets]
    first, second, third, last = changes
    mixed = [*issues[:5], first, *issues[5:15], second, *issues[15:25], third, *issues[25:], last]
    answers = await asyncio.gather(*mixed, return_exceptions=True)
    issued_fen = 1_000 * sum(isinstance(each, Voucher) for each in answers)
    refused = [each for each in answers if not isinstance(each, Voucher | RulesVersion)]
    assert all(isinstance(each, Conflict | InvalidInput) for each in refused), refused
    assert {each.code for each in refused if isinstance(each, Conflict)} <= {"budget_exhausted"}
    after = await world.now(plan)
    assert after.issued_fen == issued_fen <= after.budget_fen
    assert after.rules.budget_fen == after.budget_fen
    assert await world.money(plan) == (after.budget_fen - issued_fen, after.budget_fen)
    assert after.status is (S.EXHAUSTED if issued_fen == after.budget_fen else S.OPEN)


STEP = "INSERT INTO programme_step SELECT id, 1, {}, now() FROM programme WHERE id = $1"
SHARED_BIT = "INSERT INTO programme_version SELECT programme_id, 2, ordinal, now(), NULL, jsonb_set(rules,"
SHARED_BIT += " '{provider, ownership}', '\"state\"') FROM programme_version WHERE programme_id = $1"


@pytest.mark.parametrize(
    "statement, constraint",
    [
        ("UPDATE programme SET status = 'closed' WHERE id = $1", "programme_follows_its_steps"),
        ("UPDATE programme SET step_count = 1 WHERE id = $1", "programme_follows_its_steps"),
        ("UPDATE programme SET budget_fen = budget_fen + 1 WHERE id = $1", "programme_budget_follows_rules"),
        ("UPDATE programme SET issued_fen = budget_fen WHERE id = $1", "programme_exhausted_when_issued"),
        (STEP.format("'open', 'closed', 'issuer', issuer_id, 99999, 'x'"), "programme_step_follows"),
        (STEP.format("'open', 'closed', 'issuer', 1, budget_fen, 'x'"), "programme_step_follows"),
        (STEP.format("'draft', 'open', 'issuer', issuer_id, 0, 'x'"), "programme_step_follows"),
        (STEP.format("'open', 'exhausted', 'issuer', issuer_id, 0, 'x'"), "programme_step_is_allowed"),
        (STEP.format("'open', 'closed', 'issuer', issuer_id, budget_fen, ''"), "programme_step_reason_check"),
        (SHARED_BIT, "programme_version_bit_is_its_own"),
    ],
)
async def test_the_database_refuses_a_state_without_its_step_and_a_budget_without_rules(
    world: LifeWorld, statement: str, constraint: str
) -> None:
    plan = await world.programme(world.issuer, world.provider)
    async with world.database.connection() as connection:
        with pytest.raises(CheckViolation) as caught:
            await connection.execute(statement, plan.id)
    assert constraint_name(caught.value) == constraint


async def test_the_database_issues_nothing_of_a_draft_or_a_closed_programme(world: LifeWorld) -> None:
    draft = await world.programme(world.issuer, world.provider, draft=True)
    closed = await world.programme(world.issuer, world.provider)
    await world.step_programme(world.issuer, closed, S.CLOSED)
    for plan, constraint in (
        (draft, "programme_draft_issues_nothing"),
        (closed, "programme_closed_issues_nothing"),
    ):
        async with world.database.connection() as connection:
            with pytest.raises(CheckViolation) as caught:
                await connection.execute("UPDATE programme SET issued_fen = 1 WHERE id = $1", plan.id)
        assert constraint_name(caught.value) == constraint
