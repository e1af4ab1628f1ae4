"""Goal: what many do with applications at once ends as if they had come one after the other.

Method: as many connections as there are callers, on the real PostgreSQL. A deadlock or any refusal but the
expected one fails a test; after each the books balance.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest

from exchange.applications.models import Allocation, Application, ApplicationStatus
from exchange.kit.errors import Conflict
from exchange.ledger import service as ledger
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import Programme, ReviewRule
from tests.application_world import ApplicationWorld, another_key
from tests.databases import crowded

CONNECTIONS = 50
S = ApplicationStatus


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[ApplicationWorld]:
    async with crowded(database_url, CONNECTIONS) as database:
        world = ApplicationWorld(database)
        await world.settle()
        yield world
        async with database.connection() as connection:
            wrong = [*await ledger.check_balances(connection), *await ledger.check_programmes(connection)]
        assert wrong == []


def counted(outcomes: Sequence[object]) -> Counter[str]:
    """Count outcomes by status, or by the code of what refused them; anything else fails the test."""
    found: Counter[str] = Counter()
    for each in outcomes:
        if isinstance(each, Application):
            found[each.status.value] += 1
        else:
            assert isinstance(each, Conflict), each
            found[each.code] += 1
    return found


async def issued(world: ApplicationWorld, plan: Programme) -> tuple[int, int, int]:
    """Return (fen the programme counts as issued, fen on vouchers, applications approved)."""
    async with world.database.connection() as connection:
        [row] = await connection.fetch(
            """SELECT issued_fen,
                (SELECT coalesce(sum(face_fen), 0)::bigint FROM voucher WHERE programme_id = $1) AS face_fen,
                (SELECT count(*) FROM application WHERE programme_id = $1 AND status = 'approved') AS approved
            FROM programme WHERE id = $1""",
            plan.id,
        )
    return row["issued_fen"], row["face_fen"], row["approved"]


async def test_of_fifty_small_applications_at_once_as_many_are_granted_as_the_budget_holds(
    world: ApplicationWorld,
) -> None:
    plan = await world.plan(budget_fen=30_500, review=ReviewRule(auto_below_fen=2_000))
    buyers = [await world.join(ParticipantKind.BUYER) for _ in range(CONNECTIONS)]
    outcomes = await asyncio.gather(
        *(world.apply(plan, 1_000, buyer) for buyer in buyers), return_exceptions=True
    )
    assert counted(outcomes) == {"approved": 30, "budget_exhausted": 20}
    assert await issued(world, plan) == (30_000, 30_000, 30)


async def test_of_fifty_small_applications_at_once_as_many_are_granted_as_the_yearly_cap_holds(
    world: ApplicationWorld,
) -> None:
    plan = await world.plan(cap_per_year_fen=10_500, review=ReviewRule(auto_below_fen=20_000))
    buyers = [world.buyer, await world.join(ParticipantKind.BUYER)]
    outcomes = await asyncio.gather(
        *(world.apply(plan, 1_000, buyers[number % 2]) for number in range(CONNECTIONS)),
        return_exceptions=True,
    )
    assert counted(outcomes) == {"approved": 20, "yearly_cap_exceeded": 30}
    assert await issued(world, plan) == (20_000, 20_000, 20)


async def test_of_many_keys_that_approve_at_once_two_are_a_committee_and_one_voucher_comes_of_it(
    world: ApplicationWorld,
) -> None:
    plan = await world.plan(review=ReviewRule(committee_above_fen=100))
    made = await world.apply(plan, 1_000)
    keys = [another_key(world.issuer) for _ in range(10)]
    outcomes = await asyncio.gather(
        *(world.step(made, S.APPROVED, key) for key in keys), return_exceptions=True
    )
    assert counted(outcomes) == {"in_committee": 1, "approved": 1, "state_conflict": 8}
    assert await issued(world, plan) == (1_000, 1_000, 1)


async def test_one_key_twice_at_once_is_no_committee(world: ApplicationWorld) -> None:
    plan = await world.plan(review=ReviewRule(committee_above_fen=100))
    made = await world.apply(plan, 1_000)
    outcomes = await asyncio.gather(
        *(world.step(made, S.APPROVED) for _ in range(10)), return_exceptions=True
    )
    assert counted(outcomes) == {"in_committee": 1, "second_key_needed": 9}
    assert await issued(world, plan) == (0, 0, 0)


async def test_approved_rejected_and_withdrawn_at_once_it_ends_once(world: ApplicationWorld) -> None:
    plan = await world.plan()
    made = await world.apply(plan, 1_000)
    outcomes = await asyncio.gather(
        *(world.step(made, S.APPROVED) for _ in range(5)),
        *(world.step(made, S.REJECTED, reason="no") for _ in range(5)),
        *(world.step(made, S.WITHDRAWN, world.buyer) for _ in range(5)),
        return_exceptions=True,
    )
    assert counted(outcomes)["state_conflict"] == 14
    approved = (await world.read(made)).status is S.APPROVED
    assert await issued(world, plan) == ((1_000, 1_000, 1) if approved else (0, 0, 0))
    assert len(await world.told(made)) == 1


async def test_allocations_scores_and_withdrawals_at_once_decide_each_application_once(
    world: ApplicationWorld,
) -> None:
    plan = await world.plan(allocation="scored", budget_fen=10_500)
    buyers = [await world.join(ParticipantKind.BUYER) for _ in range(20)]
    made = [await world.apply(plan, 1_000, buyer) for buyer in buyers]
    for number, application in enumerate(made):
        await world.score(application, number)
    outcomes = await asyncio.gather(
        *(world.allocate(plan) for _ in range(5)),
        *(world.step(made[number], S.WITHDRAWN, buyers[number]) for number in range(15, 20)),
        *(world.score(application, 500) for application in made[:5]),
        return_exceptions=True,
    )
    allocations = [each for each in outcomes if isinstance(each, Allocation)]
    assert len(allocations) == 5
    counted([each for each in outcomes if not isinstance(each, Allocation)])
    told = [each.id for allocation in allocations for each in allocation.applications]
    now = [await world.read(each, world.issuer) for each in made]
    assert Counter(told) == {each.id: 1 for each in now if each.status in {S.APPROVED, S.REJECTED}}
    statuses = Counter(each.status for each in now)
    assert statuses[S.APPROVED] == 10
    assert statuses[S.APPROVED] + statuses[S.REJECTED] + statuses[S.WITHDRAWN] == 20
    assert await issued(world, plan) == (10_000, 10_000, 10)


async def test_direct_issues_and_approvals_share_one_budget(world: ApplicationWorld) -> None:
    plan = await world.plan(budget_fen=10_000)
    buyers = [await world.join(ParticipantKind.BUYER) for _ in range(20)]
    made = [await world.apply(plan, 1_000, buyer) for buyer in buyers[:10]]
    outcomes = await asyncio.gather(
        *(world.step(each, S.APPROVED) for each in made),
        *(world.issue(world.issuer, plan, buyer, 1_000) for buyer in buyers[10:]),
        return_exceptions=True,
    )
    refusals = [each for each in outcomes if isinstance(each, BaseException)]
    assert counted(refusals) == {"budget_exhausted": 10}
    assert (await issued(world, plan))[:2] == (10_000, 10_000)
