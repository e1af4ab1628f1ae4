"""Goal: the next steps that a claim or an application tells are those that can be taken, and no others.

Method: one is brought to each state there is; in each, everybody tries every step, in a transaction that is
undone. What succeeds is compared with what was told, with and without a reason, and around the most amount.
"""

from typing import NoReturn

import pytest

from exchange.applications import service as applications
from exchange.applications.models import Application, ApplicationStatus
from exchange.applications.models import WantedStep as WantedApplicationStep
from exchange.applications.rules import view_of_application
from exchange.claims import service as claims
from exchange.claims.models import ActorRole, Claim, ClaimStatus, WantedStep
from exchange.claims.rules import view_of_claim
from exchange.kit.auth import Principal
from exchange.kit.database import Database
from exchange.kit.errors import Faults, Refusal
from exchange.kit.fields import money_fen
from exchange.programmes.models import ReviewRule
from tests.application_world import ApplicationWorld, another_key
from tests.claim_world import ClaimWorld

S = ClaimStatus
A = ApplicationStatus
WAYS: dict[ClaimStatus, tuple[ClaimStatus, ...]] = {
    S.OPEN: (),
    S.SUBMITTED: (S.SUBMITTED,),
    S.IN_AUDIT: (S.SUBMITTED, S.IN_AUDIT),
    S.QUERIED: (S.SUBMITTED, S.IN_AUDIT, S.QUERIED),
    S.APPROVED: (S.SUBMITTED, S.APPROVED),
    S.REDUCED: (S.SUBMITTED, S.REDUCED),
    S.REJECTED: (S.SUBMITTED, S.REJECTED),
    S.PAID: (S.SUBMITTED, S.APPROVED, S.PAID),
    S.CLOSED: (S.SUBMITTED, S.APPROVED, S.PAID, S.CLOSED),
    S.CLAWBACK_OPEN: (S.SUBMITTED, S.APPROVED, S.PAID, S.CLAWBACK_OPEN),
    S.RECOVERED: (S.SUBMITTED, S.APPROVED, S.PAID, S.CLAWBACK_OPEN, S.RECOVERED),
    S.WRITTEN_OFF: (S.SUBMITTED, S.APPROVED, S.PAID, S.CLAWBACK_OPEN, S.WRITTEN_OFF),
}


class Undone(Exception):
    """Ends a transaction whose work was only tried."""


def undo() -> NoReturn:
    raise Undone


@pytest.fixture
async def world(module_database: Database) -> ClaimWorld:
    world = ClaimWorld(module_database)
    await world.settle()
    await world.deposit(world.issuer, 4_000)
    return world


async def takes(
    world: ClaimWorld, claim: Claim, to: ClaimStatus, by: Principal, reason: str, fen: int | None
) -> bool:
    """Whether a step can be taken; it is not."""
    wanted = WantedStep(to_status=to, reason=reason, amount_fen=fen)
    try:
        async with world.database.transaction() as connection:
            await claims.take_step(connection, by, claim.id, wanted, world.now_us, world.accounts)
            undo()
    except Refusal:
        return False
    except Undone:
        return True


@pytest.mark.parametrize("status", ClaimStatus)
async def test_the_steps_told_of_a_claim_are_those_that_can_be_taken(
    world: ClaimWorld, status: ClaimStatus
) -> None:
    claim = await world.open()
    for to in WAYS[status]:
        mine = to in {S.SUBMITTED, S.RECOVERED}
        fen = 500 if to in {S.REDUCED, S.CLAWBACK_OPEN} else None
        claim = await world.step(claim, to, world.provider if mine else None, reason="x", fen=fen)
    assert claim.status is status
    told = {step.to: step for step in view_of_claim(claim).next_steps}
    people = {ActorRole.CLAIMANT: world.provider, ActorRole.ISSUER: world.issuer}
    for to in ClaimStatus:
        step = told.get(to)
        most_cny = None if step is None else step.amount_max_cny
        most_fen = None if most_cny is None else money_fen(Faults(), "", most_cny)
        for role, principal in people.items():
            can = [fen for fen in (None, 1, 500) if await takes(world, claim, to, principal, "because", fen)]
            if step is None or role not in step.by:
                assert can == [], (to, role)
                continue
            assert can == ([None] if most_fen is None else [1, 500]), (to, role)
            fen = most_fen
            assert await takes(world, claim, to, principal, "", fen) is not step.needs_reason, (to, role)
            if most_fen is not None:
                assert await takes(world, claim, to, principal, "because", most_fen)
                assert not await takes(world, claim, to, principal, "because", most_fen + 1)
    assert all(step.by for step in told.values())


async def test_a_claim_of_one_fen_is_not_told_that_it_can_be_reduced(world: ClaimWorld) -> None:
    plan = await world.programme(world.issuer, world.provider)
    voucher = await world.issue(world.issuer, plan, world.buyer, 1)
    await world.captured(voucher, world.provider, 1)
    world.plan = plan
    claim = await world.submit()
    assert {step.to for step in view_of_claim(claim).next_steps} == {S.IN_AUDIT, S.APPROVED, S.REJECTED}


async def can_ask(
    world: ApplicationWorld, application: Application, to: ApplicationStatus, by: Principal, reason: str
) -> bool:
    """Whether a step of an application can be taken; it is not."""
    wanted = WantedApplicationStep(to_status=to, reason=reason)
    try:
        async with world.database.transaction() as connection:
            await applications.take_step(connection, by, application.id, wanted, world.now_us)
            undo()
    except Refusal:
        return False
    except Undone:
        return True


@pytest.mark.parametrize("status", ApplicationStatus)
async def test_the_steps_told_of_an_application_are_those_that_can_be_taken(
    module_database: Database, status: ApplicationStatus
) -> None:
    world = ApplicationWorld(module_database)
    await world.settle()
    plan = await world.plan(review=ReviewRule(committee_above_fen=1_000))
    made = await world.apply(plan, 2_000 if status is A.IN_COMMITTEE else 500)
    if status is A.IN_COMMITTEE:
        made = await world.step(made, A.APPROVED)
    elif status is not A.SUBMITTED:
        made = await world.step(made, status, world.buyer if status is A.WITHDRAWN else None, reason="x")
    assert made.status is status
    people = {"buyer": world.buyer, "issuer": another_key(world.issuer)}
    told = {(str(step.to), step.by.value): step.needs_reason for step in view_of_application(made).next_steps}
    for to in (A.APPROVED, A.REJECTED, A.WITHDRAWN):
        for role, principal in people.items():
            can = await can_ask(world, made, to, principal, "because")
            assert can == ((to.value, role) in told), (to, role)
            if can:
                assert await can_ask(world, made, to, principal, "") is not told[to.value, role]
