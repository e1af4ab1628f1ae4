"""Goal: a crash at any step of anything that is done with vouchers leaves all of it or none of it.

Method: each transition is done undisturbed in one world. In a second, alike, its connection is cut before
every statement of its transaction in turn, its COMMIT the last: each time every row of the database must be
what it was. Then the answer to the COMMIT is lost: the rows must have changed exactly as in the first world,
and to try again must change nothing. Which orders pay with vouchers is in `test_voucher_market_crashes`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import msgspec
import pytest

from exchange.applications.models import ApplicationStatus
from exchange.claims.models import ClaimStatus
from exchange.kit.database import ConnectionLost, Database
from exchange.kit.errors import Refusal
from exchange.kit.fields import format_cny
from exchange.participants.models import ParticipantKind
from exchange.products.list_price_models import NewListPrice
from exchange.products.list_prices import publish_list_price
from exchange.products.service import load_products, seed_catalogue
from exchange.programmes import service as programmes
from exchange.programmes.models import NewProgramme, NewVersion, ProgrammeStatus, ReviewRule
from exchange.vouchers import service
from exchange.vouchers.life import step_voucher
from exchange.vouchers.models import VoucherStatus
from tests.application_world import ApplicationWorld, another_key
from tests.claim_world import ClaimWorld
from tests.faults import Wire, faulty_wire
from tests.hypothesis_profiles import sampled
from tests.stored_state import assert_sound, changes, fingerprint, rows
from tests.voucher_world import VoucherWorld

STATEMENTS_MAX = 60
Attempt: TypeAlias = Callable[[], Awaitable[object]]
Settle: TypeAlias = Callable[[Database], Awaitable[Attempt]]
C, A, P, V = ClaimStatus, ApplicationStatus, ProgrammeStatus, VoucherStatus


async def creation(database: Database) -> Attempt:
    """A programme with its asset, its rules and its budget."""
    world = VoucherWorld(database)
    issuer, provider = [await world.join(kind) for kind in (ParticipantKind.ISSUER, ParticipantKind.PROVIDER)]
    rules = (await world.programme(issuer, provider)).rules
    new = NewProgramme(code=f"city-{issuer.participant_id}", name="市", rules=rules)

    async def attempt() -> object:
        async with database.transaction() as connection:
            return await programmes.create_programme(connection, issuer, new, world.now_us)

    return attempt


def programme_step(to: ProgrammeStatus) -> Settle:
    """A draft that is opened, or an open programme that is closed."""

    async def settle(database: Database) -> Attempt:
        world = VoucherWorld(database)
        issuer, buyer, provider = [
            await world.join(kind)
            for kind in (ParticipantKind.ISSUER, ParticipantKind.BUYER, ParticipantKind.PROVIDER)
        ]
        programme = await world.programme(issuer, provider, draft=to is P.OPEN)
        if to is P.CLOSED:
            await world.issue(issuer, programme, buyer, 1_000)
        return lambda: world.step_programme(issuer, programme, to)

    return settle


def version(budget_fen: int) -> Settle:
    """Further rules with another budget; 1,000 is issued, so at 1,000 it becomes exhausted."""

    async def settle(database: Database) -> Attempt:
        world = VoucherWorld(database)
        issuer, buyer, provider = [
            await world.join(kind)
            for kind in (ParticipantKind.ISSUER, ParticipantKind.BUYER, ParticipantKind.PROVIDER)
        ]
        programme = await world.programme(issuer, provider)
        await world.issue(issuer, programme, buyer, 1_000)
        new = NewVersion(rules=msgspec.structs.replace(programme.rules, budget_fen=budget_fen))

        async def attempt() -> object:
            async with database.transaction() as connection:
                return await programmes.add_version(connection, issuer, programme.id, new, world.now_us)

        return attempt

    return settle


def issue(fen: int) -> Settle:
    """A voucher issued directly, of a part of the budget of 1,000.00 or of all of it."""

    async def settle(database: Database) -> Attempt:
        world = VoucherWorld(database)
        issuer, buyer, provider = [
            await world.join(kind)
            for kind in (ParticipantKind.ISSUER, ParticipantKind.BUYER, ParticipantKind.PROVIDER)
        ]
        programme = await world.programme(issuer, provider, cap_per_year_fen=100_000)
        return lambda: world.issue(issuer, programme, buyer, fen)

    return settle


def application(what: str) -> Settle:
    """An application of 200.00 on its way: submitted by its company, or decided by its issuer."""

    async def settle(database: Database) -> Attempt:
        world = ApplicationWorld(database)
        await world.settle()
        if what == "approved at once":
            review = ReviewRule(auto_below_fen=30_000)
            plan = await world.plan(review=review)
            return lambda: world.apply(plan, 20_000)
        if what == "allocated":
            return await allocation(world)
        review = ReviewRule(committee_above_fen=10_000) if "key" in what else ReviewRule()
        scored = {"allocation": "scored"} if what == "scored" else {}
        plan = await world.plan(review=review, **scored)
        made = await world.apply(plan, 20_000)
        second = another_key(world.issuer)
        if what == "second key":
            await world.step(made, A.APPROVED, fen=15_000)
        attempts: dict[str, Attempt] = {
            "approved": lambda: world.step(made, A.APPROVED, fen=15_000),
            "first key": lambda: world.step(made, A.APPROVED),
            "second key": lambda: world.step(made, A.APPROVED, second),
            "rejected": lambda: world.step(made, A.REJECTED, reason="too late"),
            "withdrawn": lambda: world.step(made, A.WITHDRAWN, world.buyer),
            "scored": lambda: world.score(made, 700),
        }
        return attempts[what]

    return settle


async def allocation(world: ApplicationWorld) -> Attempt:
    """Five scored applications, of which the budget holds three."""
    plan = await world.plan(allocation="scored", budget_fen=70_000)
    for score, fen in ((500, 20_000), (900, 30_000), (100, 40_000), (300, 20_000), (50, 30_000)):
        buyer = await world.join(ParticipantKind.BUYER)
        await world.score(await world.apply(plan, fen, buyer), score)
    return lambda: world.allocate(plan)


def voucher_step(to: VoucherStatus) -> Settle:
    """A voucher of which orders hold and have spent some, brought somewhere."""

    async def settle(database: Database) -> Attempt:
        world = ClaimWorld(database)
        await world.settle()
        await world.hold(world.issued, 1_000)

        async def step(where: VoucherStatus) -> object:
            async with database.transaction() as connection:
                return await step_voucher(
                    connection, world.issuer, world.issued.id, where, "an audit", world.now_us
                )

        async def sweep() -> object:
            async with database.transaction() as connection:
                return await service.expire_due(connection, world.issued.expires_at_us)

        if to is V.EXPIRED:
            for fen in (700, 800):
                await world.issue(world.issuer, world.plan, world.buyer, fen)
            return sweep
        if to is V.ACTIVE:
            await step(V.SUSPENDED)
        return lambda: step(to)

    return settle


def claim(what: str, mode: str = "instant") -> Settle:
    """A claim brought a step on, from where it can take that step."""

    async def settle(database: Database) -> Attempt:
        world = ClaimWorld(database)
        drawn = {"audit_sample_bps": 10_000, "evidence": ("发票",)} if what == "drawn" else {}
        await world.settle(mode=mode, **drawn)
        claimant = world.buyer if mode == "reimburse" else world.provider
        if what == "opened":
            return lambda: world.open(claimant)
        if what == "submitted":
            return lambda: world.submit(claimant)
        made = await world.open(claimant)
        if drawn:
            await world.attach(made, "发票", claimant)
            return lambda: world.step(made, C.SUBMITTED, claimant)
        await world.step(made, C.SUBMITTED, claimant)
        await world.deposit(world.issuer, 10_000)
        steps: dict[str, tuple[list[ClaimStatus], Attempt]] = {
            "approved": ([], lambda: world.approve(made)),
            "reduced": ([], lambda: world.step(made, C.REDUCED, reason="an hour short", fen=2_501)),
            "rejected": ([], lambda: world.reject(made)),
            "paid": ([C.APPROVED], lambda: world.pay(made)),
            "clawed back": (
                [C.APPROVED, C.PAID],
                lambda: world.step(made, C.CLAWBACK_OPEN, reason="resold", fen=1_001),
            ),
            "recovered": (
                [C.APPROVED, C.PAID, C.CLAWBACK_OPEN],
                lambda: world.step(made, C.RECOVERED, claimant),
            ),
            "written off": (
                [C.APPROVED, C.PAID, C.CLAWBACK_OPEN],
                lambda: world.step(made, C.WRITTEN_OFF, reason="bankrupt"),
            ),
        }
        before, attempt = steps[what]
        for to in before:
            more: dict[str, Any] = {"reason": "resold", "fen": 1_001} if to is C.CLAWBACK_OPEN else {}
            await world.step(made, to, **more)
        return attempt

    return settle


async def list_price(database: Database) -> Attempt:
    """A provider's second list price of a product."""
    world = VoucherWorld(database)
    provider = await world.join(ParticipantKind.PROVIDER)
    async with database.transaction() as connection:
        await seed_catalogue(connection)
        product = (await load_products(connection))[0].id

    async def publish(fen: int) -> object:
        new = NewListPrice(price_cny_per_gpu_hour=format_cny(fen))
        async with database.transaction() as connection:
            return await publish_list_price(connection, provider, product, new, world.now_us)

    await publish(500)
    return lambda: publish(600)


TRANSITIONS: dict[str, Settle] = {
    "a programme is made": creation,
    "a draft is opened": programme_step(P.OPEN),
    "a programme is closed": programme_step(P.CLOSED),
    "a list price is published": list_price,
    "a voucher is suspended": voucher_step(V.SUSPENDED),
    "a voucher is resumed": voucher_step(V.ACTIVE),
    "a voucher is revoked": voucher_step(V.REVOKED),
    "vouchers expire": voucher_step(V.EXPIRED),
    **{
        f"an application is {what}": application(what)
        for what in ("approved", "rejected", "withdrawn", "allocated")
    },
    "a committee's second key approves": application("second key"),
    **{
        f"a claim is {what}": claim(what)
        for what in (
            *("opened", "submitted", "drawn", "approved", "reduced", "rejected"),
            *("paid", "clawed back", "recovered", "written off"),
        )
    },
    **{
        f"a company's claim is {what}": claim(what, "reimburse")
        for what in ("submitted", "paid", "recovered")
    },
}
REPEATABLE: dict[str, Settle] = {
    "a budget is raised": version(200_000),
    "a budget is lowered to what is issued": version(1_000),
    "a voucher is issued": issue(20_000),
    "the whole budget is issued": issue(100_000),
    "an application is approved at once": application("approved at once"),
    "a committee's first key approves": application("first key"),
    "an application is scored": application("scored"),
}
"""Those that mean another one when asked for again. HTTP tells them apart: see `test_lost_answers`."""


@pytest.fixture
async def wire(database_url: str) -> AsyncIterator[Wire]:
    async with faulty_wire(database_url) as wire:
        yield wire


@pytest.mark.parametrize("name", sampled([*TRANSITIONS, *REPEATABLE], first=4))
async def test_a_crash_at_any_step_leaves_all_of_it_or_none_when(
    wire: Wire, database: Database, name: str
) -> None:
    settle = (TRANSITIONS | REPEATABLE)[name]
    through_wire = await Database.connect(wire.url, connections_min=1)
    try:
        undisturbed = await settle(through_wire)
        before = await rows(database)
        await undisturbed()
        expected = changes(before, await rows(database))
        attempt = await settle(through_wire)
        before, digest = await rows(database), await fingerprint(database)
        for place in range(1, STATEMENTS_MAX):
            wire.arm(place)
            with pytest.raises(ConnectionLost) as lost:
                await attempt()
            # Who sent a COMMIT cannot know that it did not arrive.
            at_commit = wire.statement.startswith("COMMIT")
            assert lost.value.outcome == ("unknown" if at_commit else "not_applied")
            await wire.gone(database)
            assert await fingerprint(database) == digest, f"cut before {wire.statement}"
            if at_commit:
                break
        assert wire.statement.startswith("COMMIT")
        wire.arm("answer")
        with pytest.raises(ConnectionLost) as lost:
            await attempt()
        assert lost.value.outcome == "unknown"
        assert changes(before, await rows(database)) == expected
        await assert_sound(database, with_orders=False)
        if name in TRANSITIONS:
            digest = await fingerprint(database)
            await again(attempt)
            assert await fingerprint(database) == digest
    finally:
        await through_wire.close()


async def again(attempt: Attempt) -> None:
    """Try what is done already: it is refused, or finds nothing to do."""
    try:
        await attempt()
    except Refusal as refusal:
        assert refusal.code in {"state_conflict", "already_exists", "nothing_to_claim"}, refusal  # noqa: PT017 - either is right
