"""Applications on the real PostgreSQL: the life of one, and every refusal, which leaves nothing behind.

After each test the books balance.
"""

from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from exchange.applications import allocation
from exchange.applications import service as applications
from exchange.applications.models import ApplicantRole, ApplicationStatus
from exchange.applications.rules import STEPS
from exchange.kit.auth import Principal
from exchange.kit.database import CheckViolation, Database, UniqueViolation, constraint_name
from exchange.kit.errors import Conflict, Forbidden, InvalidInput, NotFound, Refusal
from exchange.kit.ids import new_id
from exchange.ledger import service as ledger
from exchange.participants.models import ParticipantKind, SizeClass
from exchange.programmes import service as programmes
from exchange.programmes.models import BuyerRule, NewVersion, ProgrammeStatus, ReviewRule
from tests.application_world import HOUR_US, ApplicationWorld, another_key

S = ApplicationStatus


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[ApplicationWorld]:
    database = await Database.connect(database_url, connections_min=1, connections_max=12)
    world = ApplicationWorld(database)
    await world.settle()
    yield world
    async with database.connection() as connection:
        wrong = [*await ledger.check_balances(connection), *await ledger.check_programmes(connection)]
    await database.close()
    assert wrong == []


async def refused(
    world: ApplicationWorld, attempt: Awaitable[object], expected: type[Refusal], code: str
) -> Refusal:
    """Await an attempt that must be refused and leave nothing; return the refusal."""
    before = await world.rows()
    with pytest.raises(expected) as caught:
        await attempt
    assert caught.value.code == code
    assert await world.rows() == before
    return caught.value


async def test_an_application_waits_for_its_issuer_who_grants_less_than_was_asked(
    world: ApplicationWorld,
) -> None:
    plan = await world.plan()
    made = await world.apply(plan, 40_000)
    assert (made.status, made.voucher_id, made.programme_version) == (S.SUBMITTED, None, 1)
    over = world.step(made, S.APPROVED, fen=40_001)
    refusal = await refused(world, over, InvalidInput, "invalid_body")
    assert [(fault.pointer, fault.code) for fault in refusal.errors] == [("/amount_cny", "out_of_range")]
    world.now_us += 1
    granted = await world.step(made, S.APPROVED, fen=30_000, reason="for a first quarter")
    assert (granted.status, granted.approved_fen, granted.decided_at_us) == (S.APPROVED, 30_000, world.now_us)
    assert await world.read(made) == await world.read(made, world.issuer) == granted
    async with world.database.connection() as connection:
        [voucher] = await connection.fetch("SELECT * FROM voucher WHERE id = $1", granted.voucher_id)
        codes = await connection.fetch(
            "SELECT code FROM audit_record WHERE subject_id = ANY ($1) ORDER BY id",
            [made.id, granted.voucher_id],
        )
    assert (voucher["face_fen"], voucher["buyer_id"]) == (30_000, world.buyer.participant_id)
    assert [row["code"] for row in codes] == ["APPS", "VISS", "APPA"]
    assert await world.told(made) == [("submitted", "approved", "issuer", 30_000)]
    for to in (S.APPROVED, S.REJECTED):
        await refused(world, world.step(made, to, reason="again"), Conflict, "state_conflict")
    await refused(world, world.step(made, S.WITHDRAWN, world.buyer), Conflict, "state_conflict")


async def test_an_application_is_rejected_with_a_reason_or_withdrawn_without_one(
    world: ApplicationWorld,
) -> None:
    plan = await world.plan()
    made, other = await world.apply(plan, 100), await world.apply(plan, 200)
    await refused(world, world.step(made, S.REJECTED, reason=" "), InvalidInput, "invalid_body")
    await refused(world, world.step(made, S.REJECTED, reason="x", fen=1), InvalidInput, "invalid_body")
    rejected = await world.step(made, S.REJECTED, reason="not computing")
    assert (rejected.status, rejected.reason, rejected.voucher_id) == (S.REJECTED, "not computing", None)
    withdrawn = await world.step(other, S.WITHDRAWN, world.buyer)
    assert await world.read(other) == withdrawn
    assert await world.told(other) == [("submitted", "withdrawn", "buyer", None)]


async def test_each_sees_and_does_what_is_theirs_and_nothing_else(world: ApplicationWorld) -> None:
    made = await world.apply(await world.plan(), 100)
    strangers = [
        await world.join(kind)
        for kind in (ParticipantKind.BUYER, ParticipantKind.ISSUER, ParticipantKind.PROVIDER)
    ]
    for stranger in strangers:
        await refused(world, world.read(made, stranger), NotFound, "not_found")
        await refused(world, world.step(made, S.APPROVED, stranger), NotFound, "not_found")
        await refused(world, world.score(made, 1, stranger), NotFound, "not_found")
    for kind in (ParticipantKind.OPERATOR, ParticipantKind.REGULATOR):
        onlooker = await world.join(kind)
        assert await world.read(made, onlooker) == made
        await refused(world, world.step(made, S.APPROVED, onlooker), NotFound, "not_found")
    await refused(world, world.step(made, S.APPROVED, world.buyer), Forbidden, "forbidden")
    await refused(world, world.step(made, S.WITHDRAWN), Forbidden, "forbidden")
    await refused(world, world.score(made, 1, world.buyer), Forbidden, "forbidden")
    for kind in set(ParticipantKind) - {ParticipantKind.BUYER}:
        other = await world.join(kind)
        await refused(world, world.apply(await world.plan(), 1, other), Forbidden, "wrong_role")


async def test_what_could_not_be_granted_is_refused_at_once_with_all_that_is_in_the_way(
    world: ApplicationWorld,
) -> None:
    rules = {"buyer": BuyerRule(regions=("beijing",), size_classes=(SizeClass.SMALL,))}
    plan = await world.plan(**rules, allocation="window", windows=(world.window(1, 2),))
    far = await world.join(ParticipantKind.BUYER, region="tianjin", size_class=SizeClass.LARGE)
    refusal = await refused(world, world.apply(plan, 100_001, far), Conflict, "buyer_not_eligible")
    assert [(fault.pointer, fault.code) for fault in refusal.errors] == [
        ("/rules/buyer/regions", "buyer_not_eligible"),
        ("/rules/buyer/size_classes", "buyer_not_eligible"),
        ("/rules/windows", "no_window_open"),
        ("/amount_cny", "yearly_cap_exceeded"),
        ("/amount_cny", "budget_exhausted"),
    ]
    await refused(world, world.apply(plan, 1), Conflict, "no_window_open")
    await refused(world, world.apply(await world.plan(), 50_001), Conflict, "yearly_cap_exceeded")
    small = await world.plan(budget_fen=100)
    await refused(world, world.apply(small, 101), Conflict, "budget_exhausted")
    await refused(world, world.apply(small, 1, purpose="\t"), InvalidInput, "invalid_body")
    await world.step_programme(world.issuer, small, ProgrammeStatus.CLOSED)
    await refused(world, world.apply(small, 1), Conflict, "programme_not_open")
    async with world.database.connection() as connection:
        attempt = applications.apply(connection, world.buyer, new_id(), 1, "x", world.now_us)
        await refused(world, attempt, NotFound, "not_found")


async def test_a_window_takes_applications_from_its_first_moment_to_before_its_last(
    world: ApplicationWorld,
) -> None:
    plan = await world.plan(allocation="window", windows=(world.window(1, 2), world.window(3, 4)))
    opens_us = world.now_us + HOUR_US
    made = []
    for at_us, takes in [
        *((opens_us - 1, False), (opens_us, True), (opens_us + HOUR_US - 1, True)),
        *((opens_us + HOUR_US, False), (opens_us + 2 * HOUR_US, True), (opens_us + 3 * HOUR_US, False)),
    ]:
        world.now_us = at_us
        if takes:
            made.append(await world.apply(plan, 100))
        else:
            await refused(world, world.apply(plan, 100), Conflict, "no_window_open")
    assert len(made) == 3
    assert (await world.step(made[0], S.APPROVED)).status is S.APPROVED  # the window is long closed
    direct = world.issue(world.issuer, plan, world.buyer, 100)
    await refused(world, direct, Conflict, "allocated_by_application")


async def test_below_the_threshold_the_venue_approves_at_once(world: ApplicationWorld) -> None:
    plan = await world.plan(review=ReviewRule(auto_below_fen=10_000))
    granted = await world.apply(plan, 9_999)
    assert (granted.status, granted.approved_fen) == (S.APPROVED, 9_999)
    assert "100.00" in granted.reason
    assert await world.told(granted) == [("submitted", "approved", "exchange", 9_999)]
    assert (await world.apply(plan, 10_000)).status is S.SUBMITTED
    await refused(world, world.apply(plan, 40_002), Conflict, "yearly_cap_exceeded")


async def test_above_the_threshold_two_keys_approve(world: ApplicationWorld) -> None:
    plan = await world.plan(review=ReviewRule(committee_above_fen=10_000))
    assert (await world.step(await world.apply(plan, 10_000), S.APPROVED)).status is S.APPROVED
    made = await world.apply(plan, 20_000)
    before = await world.rows()
    seen = await world.step(made, S.APPROVED, fen=15_000)
    assert (seen.status, seen.approved_fen, seen.voucher_id, seen.decided_at_us) == (
        *(S.IN_COMMITTEE, 15_000),
        *(None, None),
    )
    assert (await world.rows())["voucher"] == before["voucher"]
    await refused(world, world.step(made, S.APPROVED), Conflict, "second_key_needed")
    second = another_key(world.issuer)
    await refused(world, world.step(made, S.APPROVED, second, fen=15_001), InvalidInput, "invalid_body")
    granted = await world.step(made, S.APPROVED, second)
    assert (granted.status, granted.approved_fen) == (S.APPROVED, 15_000)
    assert await world.told(made) == [
        ("submitted", "in_committee", "issuer", 15_000),
        ("in_committee", "approved", "issuer", 15_000),
    ]
    turned_down, taken_back = await world.apply(plan, 20_000), await world.apply(plan, 20_001)
    for each in (turned_down, taken_back):
        await world.step(each, S.APPROVED)
    rejected = await world.step(turned_down, S.REJECTED, reason="the second key says no")
    assert (rejected.status, rejected.approved_fen) == (S.REJECTED, None)
    assert (await world.step(taken_back, S.WITHDRAWN, world.buyer)).status is S.WITHDRAWN


async def test_it_is_granted_by_the_rules_in_force_when_it_is_decided(world: ApplicationWorld) -> None:
    plan = await world.plan()
    made, late = await world.apply(plan, 30_000), await world.apply(plan, 30_000)
    await world.step(made, S.APPROVED)
    refusal = await refused(world, world.step(late, S.APPROVED), Conflict, "yearly_cap_exceeded")
    assert "200.00" in refusal.detail
    await _change(world, plan.id, cap_per_year_fen=60_000)
    granted = await world.step(late, S.APPROVED)
    assert (granted.status, granted.programme_version) == (S.APPROVED, 1)
    last = await world.apply(await world.plan(), 10)
    await _change(world, last.programme_id, allocation="scored")
    await refused(world, world.step(last, S.APPROVED), Conflict, "allocated_by_score")


async def _change(world: ApplicationWorld, programme_id: int, **rules: Any) -> None:
    world.now_us += 1
    async with world.database.transaction() as connection:
        plan = await programmes.get_programme(connection, programme_id, world.now_us)
        changed = type(plan.rules)(
            **{name: getattr(plan.rules, name) for name in plan.rules.__struct_fields__} | rules
        )
        await programmes.add_version(
            connection, world.issuer, programme_id, NewVersion(rules=changed), world.now_us
        )


async def test_an_allocation_grants_by_score_what_fits_whole_and_says_why_of_the_rest(
    world: ApplicationWorld,
) -> None:
    plan = await world.plan(allocation="scored", windows=(world.window(0, 1),), budget_fen=70_000)
    buyers = [await world.join(ParticipantKind.BUYER) for _ in range(4)]
    wishes = [(0, 40_000, 500), (1, 40_000, 900), (1, 10_001, 800), (2, 30_000, 500), (3, 5_000, None)]
    made = [await world.apply(plan, fen, buyers[number]) for number, fen, _ in wishes]
    for application, (_, _, score) in zip(made, wishes, strict=True):
        if score is not None:
            await world.score(application, 1)
            await world.score(application, score)
    await refused(world, world.step(made[0], S.APPROVED), Conflict, "allocated_by_score")
    await refused(world, world.allocate(plan), Conflict, "window_open")
    await refused(world, world.issue(world.issuer, plan, buyers[0], 1), Conflict, "allocated_by_application")
    world.now_us += HOUR_US
    stranger = await world.join(ParticipantKind.ISSUER)
    await refused(world, world.allocate(plan, stranger), Forbidden, "forbidden")
    done = await world.allocate(plan)
    assert [(each.id, each.status) for each in done.applications] == [
        (made[1].id, S.APPROVED),
        (made[2].id, S.REJECTED),  # 100.01 of the 100.00 that the cap leaves
        (made[0].id, S.REJECTED),  # the earlier of equals, but 400.00 of 300.00
        (made[3].id, S.APPROVED),
    ]
    assert "of 500.00 CNY a year, 100.00 is left" in done.applications[1].reason
    assert "of the budget of 700.00 CNY, 300.00 is not issued yet" in done.applications[2].reason
    assert (done.approved_fen, done.unissued_fen) == (70_000, 0)
    assert (await world.read(made[4], buyers[3])).status is S.SUBMITTED
    assert (await world.allocate(plan)).applications == ()
    await refused(world, world.score(made[0], 5), Conflict, "state_conflict")


async def test_only_programmes_by_score_are_scored_and_allocated(world: ApplicationWorld) -> None:
    plan = await world.plan()
    made = await world.apply(plan, 10)
    await refused(world, world.score(made, 5), Conflict, "state_conflict")
    await refused(world, world.allocate(plan), Conflict, "state_conflict")
    async with world.database.connection() as connection:
        unknown = allocation.allocate_by_score(connection, world.issuer, new_id(), world.now_us)
        await refused(world, unknown, NotFound, "not_found")


async def test_an_allocation_without_rules_in_force_turns_nobody_down(world: ApplicationWorld) -> None:
    plan = await world.plan(allocation="scored")
    made = await world.score(await world.apply(plan, 10), 5)
    await world.step_programme(world.issuer, plan, ProgrammeStatus.CLOSED)
    await refused(world, world.allocate(plan), Conflict, "programme_not_open")
    assert await world.read(made) == made


async def test_of_a_trade_group_with_one_cap_the_better_score_takes_it(world: ApplicationWorld) -> None:
    async with world.database.transaction() as connection:
        group_id = new_id()
        await connection.execute(
            "INSERT INTO trade_group VALUES ($1, 'group', now(), 'group')",
            group_id,
        )
    pair = [await world.join(ParticipantKind.BUYER, trade_group_id=group_id) for _ in range(2)]
    plan = await world.plan(allocation="scored", cap_basis="group")
    made = [await world.apply(plan, 30_000, buyer) for buyer in pair]
    await world.score(made[0], 10)
    await world.score(made[1], 20)
    done = await world.allocate(plan)
    assert [(each.buyer_id, each.status) for each in done.applications] == [
        (pair[1].participant_id, S.APPROVED),
        (pair[0].participant_id, S.REJECTED),
    ]
    assert "this buyer's trade group" in done.applications[1].reason


async def test_the_database_has_the_same_table_of_steps(world: ApplicationWorld) -> None:
    async with world.database.connection() as connection:
        allowed = {
            (before, after, role)
            for before in S
            for after in S
            for role in ApplicantRole
            if await connection.fetchval(
                "SELECT application_step_allowed($1, $2, $3)", before.value, after.value, role.value
            )
        }
    assert allowed == {(*pair, role) for pair, roles in STEPS.items() for role in roles}


STEP = """INSERT INTO application_step
SELECT application.id, {}, now() FROM application JOIN programme ON programme.id = application.programme_id
WHERE application.id = $1"""


@pytest.mark.parametrize(
    "statement, constraint",
    [
        ("UPDATE application SET step_count = 2 WHERE id = $1", "application_follows_its_steps"),
        ("UPDATE application SET score = 5 WHERE id = $1", "application_follows_its_steps"),
        ("UPDATE application SET amount_fen = 99 WHERE id = $1", "application_stays_what_it_is"),
        ("UPDATE application SET purpose = 'x' WHERE id = $1", "application_stays_what_it_is"),
        (
            STEP.format("1, 'submitted', 'withdrawn', 'buyer', buyer_id, 5, NULL, NULL, ''"),
            "application_step_follows",
        ),
        (
            STEP.format("2, 'in_committee', 'withdrawn', 'buyer', issuer_id, 5, NULL, NULL, ''"),
            "application_step_follows",
        ),
        (
            STEP.format("2, 'in_committee', 'approved', 'exchange', 1, NULL, 90, NULL, ''"),
            "application_step_is_allowed",
        ),
        (
            STEP.format("2, 'in_committee', 'rejected', 'issuer', issuer_id, 5, NULL, NULL, ''"),
            "application_step_has_a_reason",
        ),
        (
            STEP.format("2, 'in_committee', 'approved', 'issuer', issuer_id, 5, NULL, NULL, ''"),
            "application_step_has_its_amount",
        ),
        (
            STEP.format("2, 'in_committee', 'approved', 'issuer', issuer_id, NULL, 90, NULL, ''"),
            "application_step_has_its_key",
        ),
        (
            STEP.format("2, 'in_committee', 'rejected', 'issuer', issuer_id, 5, NULL, 7, 'x'"),
            "application_step_has_its_score",
        ),
        (
            STEP.format("2, 'in_committee', 'approved', 'issuer', issuer_id, 5, 91, NULL, ''"),
            "application_step_of_a_second_key",
        ),
        (
            STEP.format("2, 'in_committee', 'approved', 'issuer', issuer_id, $2, 90, NULL, ''"),
            "application_step_of_a_second_key",
        ),
    ],
)
async def test_the_database_refuses_a_state_without_its_step_and_a_step_out_of_line(
    world: ApplicationWorld, statement: str, constraint: str
) -> None:
    """The application is in committee, where one key has approved 0.90 of 1.00 CNY."""
    plan = await world.plan(review=ReviewRule(committee_above_fen=10))
    made = await world.step(await world.apply(plan, 100), S.APPROVED, fen=90)
    given: list[int] = [made.id] if "$2" not in statement else [made.id, world.issuer.key_id]
    async with world.database.connection() as connection:
        with pytest.raises(CheckViolation) as caught:
            await connection.execute(statement, *given)
    assert constraint_name(caught.value) == constraint


async def test_a_voucher_is_of_one_application_and_is_what_that_was_granted(world: ApplicationWorld) -> None:
    plan = await world.plan()
    other: Principal = await world.join(ParticipantKind.BUYER)
    made = await world.apply(plan, 100)
    foreign = await world.issue(world.issuer, plan, other, 100)
    smaller = await world.issue(world.issuer, plan, world.buyer, 99)
    step = STEP.format("1, 'submitted', 'approved', 'issuer', issuer_id, 5, 100, NULL, ''")
    follow = (
        "UPDATE application SET status = 'approved', step_count = 1, approved_fen = 100, voucher_id = $2,"
    )
    follow += " decided_at = now() WHERE id = $1"
    for voucher in (foreign, smaller):
        with pytest.raises(CheckViolation) as caught:
            async with world.database.transaction() as connection:
                await connection.execute(step, made.id)
                await connection.execute(follow, made.id, voucher.id)
        assert constraint_name(caught.value) == "application_has_its_own_voucher"
    assert (await world.read(made)).status is S.SUBMITTED
    taken = await world.step(await world.apply(plan, 100), S.APPROVED)
    with pytest.raises(UniqueViolation):
        async with world.database.transaction() as connection:
            await connection.execute(step, made.id)
            await connection.execute(follow, made.id, taken.voucher_id)
