"""Goal: nobody gets around `review`: not by a key made for it, by issuing directly, or in small parts.

Method: keys are real ones, made by the participants' service on the real PostgreSQL; the database is asked
beside the service. After each test the books balance.
"""

from collections.abc import AsyncIterator

import msgspec
import pytest

from exchange.applications.models import ApplicationStatus
from exchange.kit.auth import Principal, Scope
from exchange.kit.database import CheckViolation, Database, constraint_name
from exchange.kit.errors import Conflict
from exchange.kit.ids import new_id
from exchange.ledger import service as ledger
from exchange.participants import service as participants
from exchange.participants.models import KeyGrant, ParticipantKind
from exchange.programmes.models import ReviewRule
from tests.application_world import ApplicationWorld, another_key

S = ApplicationStatus


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[ApplicationWorld]:
    database = await Database.connect(database_url, connections_min=1, connections_max=2)
    world = ApplicationWorld(database)
    await world.settle()
    yield world
    async with database.connection() as connection:
        wrong = [*await ledger.check_balances(connection), *await ledger.check_programmes(connection)]
    await database.close()
    assert wrong == []


async def make_key(world: ApplicationWorld, owner: Principal, maker: Principal | None) -> Principal:
    """Make a key of a participant's by another key, or by the command line; return who comes with it."""
    grant = KeyGrant(participant_id=owner.participant_id, scopes=owner.scopes)
    async with world.database.transaction() as connection:
        key, _ = await participants.create_key(connection, maker, grant, world.now_us)
    return msgspec.structs.replace(owner, key_id=key.id)


async def test_a_key_and_those_that_come_of_it_are_one_hand(world: ApplicationWorld) -> None:
    issuer = msgspec.structs.replace(world.issuer, scopes=frozenset({Scope.ISSUE}))
    operator = msgspec.structs.replace(
        await world.join(ParticipantKind.OPERATOR), scopes=frozenset({Scope.OPERATE})
    )
    operator = await make_key(world, operator, None)
    first = await make_key(world, issuer, operator)
    child = await make_key(world, issuer, first)
    sister = await make_key(world, issuer, first)
    grandchild = await make_key(world, issuer, child)
    by_operator = await make_key(world, issuer, operator)
    by_command = await make_key(world, issuer, None)
    async with world.database.connection() as connection:
        roots = [
            await participants.key_root(connection, each.key_id)
            for each in (first, child, sister, grandchild, by_operator, by_command)
        ]
    assert roots == [first.key_id] * 4 + [by_operator.key_id, by_command.key_id]
    plan = await world.plan(review=ReviewRule(committee_above_fen=10))
    for begins, refused, second in (
        (first, (first, child, grandchild), by_operator),
        (grandchild, (first, sister), by_command),
        (by_command, (by_command,), child),
    ):
        made = await world.step(await world.apply(plan, 100), S.APPROVED, begins)
        for key in refused:
            with pytest.raises(Conflict) as caught:
                await world.step(made, S.APPROVED, key)
            assert caught.value.code == "second_key_needed"
        assert (await world.step(made, S.APPROVED, second)).status is S.APPROVED


async def test_the_database_too_takes_no_key_of_the_same_root_for_a_second_one(
    world: ApplicationWorld,
) -> None:
    issuer = msgspec.structs.replace(world.issuer, scopes=frozenset({Scope.ISSUE}))
    first = await make_key(world, issuer, None)
    child = await make_key(world, issuer, first)
    plan = await world.plan(review=ReviewRule(committee_above_fen=10))
    made = await world.step(await world.apply(plan, 100), S.APPROVED, first)
    async with world.database.connection() as connection:
        with pytest.raises(CheckViolation) as caught:
            await connection.execute(
                "INSERT INTO application_step VALUES"
                " ($1, 2, 'in_committee', 'approved', 'issuer', $2, $3, 100, NULL, '', now())",
                made.id,
                issuer.participant_id,
                child.key_id,
            )
    assert constraint_name(caught.value) == "application_step_of_a_second_key"


async def test_what_needs_a_committee_is_not_issued_directly(world: ApplicationWorld) -> None:
    plan = await world.plan(review=ReviewRule(committee_above_fen=10_000))
    before = await world.rows()
    with pytest.raises(Conflict) as caught:
        await world.issue(world.issuer, plan, world.buyer, 10_001)
    assert caught.value.code == "needs_committee"
    assert "above 100.00 CNY" in caught.value.detail
    assert await world.rows() == before
    assert (await world.issue(world.issuer, plan, world.buyer, 10_000)).face_fen == 10_000


async def test_what_waits_for_no_review_cannot_be_had_twice_in_small_parts(world: ApplicationWorld) -> None:
    plan = await world.plan(review=ReviewRule(auto_below_fen=1_000))
    made = [await world.apply(plan, 400) for _ in range(3)]
    assert [each.status for each in made] == [S.APPROVED, S.APPROVED, S.SUBMITTED]
    assert (await world.apply(plan, 199)).status is S.APPROVED
    assert (await world.apply(plan, 1)).status is S.SUBMITTED
    assert (await world.step(made[2], S.APPROVED)).status is S.APPROVED


async def test_a_trade_group_has_what_waits_for_no_review_once(world: ApplicationWorld) -> None:
    group_id = new_id()
    async with world.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO trade_group VALUES ($1, 'group', now(), 'group')",
            group_id,
        )
    pair = [await world.join(ParticipantKind.BUYER, trade_group_id=group_id) for _ in range(2)]
    plan = await world.plan(review=ReviewRule(auto_below_fen=1_000))
    assert [(await world.apply(plan, 600, buyer)).status for buyer in pair] == [S.APPROVED, S.SUBMITTED]
    assert (await world.apply(plan, 600)).status is S.APPROVED


async def test_one_in_committee_is_decided_singly_also_once_newer_rules_allocate_by_score(
    world: ApplicationWorld,
) -> None:
    plan = await world.plan(review=ReviewRule(committee_above_fen=10))
    granted, turned_down, waiting = [await world.apply(plan, 100) for _ in range(3)]
    for each in (granted, turned_down):
        await world.step(each, S.APPROVED)
    await world.change_rules(world.issuer, plan, allocation="scored", review=ReviewRule())
    second = another_key(world.issuer)
    with pytest.raises(Conflict) as caught:
        await world.step(granted, S.APPROVED)
    assert caught.value.code == "second_key_needed"
    assert (await world.step(granted, S.APPROVED, second)).status is S.APPROVED
    assert (await world.step(turned_down, S.REJECTED, second, reason="no")).status is S.REJECTED
    with pytest.raises(Conflict) as caught:
        await world.step(waiting, S.APPROVED)
    assert caught.value.code == "allocated_by_score"
