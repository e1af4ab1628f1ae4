"""What becomes of a voucher after its issue, on the real PostgreSQL: suspended, resumed, revoked, expired.

After each test the books balance and the parts of the voucher sum to its face.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from exchange.kit.auth import Principal
from exchange.kit.clock import US_PER_DAY
from exchange.kit.database import CheckViolation, Database, constraint_name
from exchange.kit.errors import Conflict, InvalidInput, NotFound
from exchange.ledger import service as ledger
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import Programme
from exchange.vouchers import life, service, wallet
from exchange.vouchers.choice import choose
from exchange.vouchers.life_routes import AFTER_ALL
from exchange.vouchers.models import StepPlace, Voucher, VoucherStatus, VoucherStep
from tests.voucher_facts import facts
from tests.voucher_world import VoucherWorld

S = VoucherStatus


class StepWorld(VoucherWorld):
    """A voucher of 100.00 CNY, of which 30.00 is held and 20.00 traded."""

    issuer: Principal
    buyer: Principal
    plan: Programme
    issued: Voucher

    async def settle(self) -> None:
        """Bring the world to its beginning."""
        self.issuer, self.buyer, provider = [
            await self.join(kind)
            for kind in (ParticipantKind.ISSUER, ParticipantKind.BUYER, ParticipantKind.PROVIDER)
        ]
        self.plan = await self.programme(self.issuer, provider, validity_days=10)
        self.issued = await self.issue(self.issuer, self.plan, self.buyer, 10_000)
        await self.hold(self.issued, 5_000)
        await self.commit(self.issued, 2_000)

    async def step(self, to: VoucherStatus, by: Principal | None = None, reason: str = "audit") -> Voucher:
        """Take a step, as the issuer unless told otherwise."""
        async with self.database.transaction() as connection:
            return await life.step_voucher(
                connection, by or self.issuer, self.issued.id, to, reason, self.now_us
            )

    async def sweep(self, now_us: int | None = None) -> int:
        """Sweep, and return what this voucher gave back."""
        async with self.database.transaction() as connection:
            swept = await service.expire_due(connection, now_us or self.now_us)
        return sum(each.returned_fen for each in swept if each.voucher_id == self.issued.id)

    async def parts(self) -> dict[str, int]:
        """Return the parts of the voucher that are not zero."""
        balances = (await self.voucher(self.issued, self.buyer)).balances
        named = {name: getattr(balances, name) for name in balances.__struct_fields__}
        return {name.removesuffix("_fen"): fen for name, fen in named.items() if fen}

    async def told(self) -> list[tuple[str, str, str, int]]:
        """Return the history that the buyer reads, as (from, to, by, returned)."""
        async with self.database.connection() as connection:
            steps = await life.list_steps(connection, self.buyer, self.issued.id, limit=100)
        assert [step.number for step in steps] == list(range(1, len(steps) + 1))
        return [
            (step.from_status.value, step.to_status.value, step.actor_role, step.returned_fen)
            for step in steps
        ]


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[StepWorld]:
    database = await Database.connect(database_url, connections_min=1, connections_max=12)
    world = StepWorld(database)
    await world.settle()
    yield world
    assert sum((await world.parts()).values()) == 10_000
    async with database.connection() as connection:
        # No order or lease stands behind the money of these tests, so those are not compared.
        wrong = [*await ledger.check_balances(connection), *await ledger.check_programmes(connection)]
    await database.close()
    assert wrong == []


async def test_a_suspended_voucher_pays_for_nothing_new_until_it_is_resumed(world: StepWorld) -> None:
    suspended = await world.step(S.SUSPENDED)
    assert suspended.status is S.SUSPENDED
    async with world.database.transaction() as connection:
        usable = await wallet.vouchers_for_update(
            connection, {world.buyer.participant_id}, world.registry, world.now_us
        )
    refused = choose(usable, (world.issued.id,), facts(at_us=world.now_us))
    assert [refusal.code for refusal in refused.refusals] == ["voucher_not_active"]
    assert await world.parts() == {"available": 5_000, "held": 3_000, "committed": 2_000}
    await world.commit(world.issued, 1_000)  # what is held goes on under its order
    await world.release(world.issued, 2_000)
    assert await world.sweep() == 0
    assert (await world.step(S.ACTIVE, reason="cleared")).status is S.ACTIVE
    assert await world.parts() == {"available": 7_000, "committed": 3_000}
    assert await world.told() == [
        ("active", "suspended", "issuer", 0),
        ("suspended", "active", "issuer", 0),
    ]


async def test_a_revoked_voucher_returns_what_is_free_now_and_the_rest_as_it_comes_free(
    world: StepWorld,
) -> None:
    revoked = await world.step(S.REVOKED, reason="the company moved away")
    assert revoked.status is S.REVOKED
    assert await world.parts() == {"held": 3_000, "committed": 2_000, "revoked": 5_000}
    assert await world.sweep() == 0
    await world.release(world.issued, 1_000)
    await world.refund(world.issued, 500)
    assert await world.sweep() == 1_500
    await world.commit(world.issued, 2_000)
    assert await world.sweep() == 0
    assert await world.parts() == {"committed": 3_500, "revoked": 6_500}
    world.now_us += 11 * US_PER_DAY
    assert await world.sweep() == 0
    assert (await world.voucher(world.issued, world.buyer)).status is S.REVOKED
    assert await world.told() == [
        ("active", "revoked", "issuer", 5_000),
        ("revoked", "revoked", "exchange", 1_500),
    ]
    for to in (S.ACTIVE, S.SUSPENDED, S.REVOKED):
        with pytest.raises(Conflict):
            await world.step(to)


async def test_the_buyer_is_told_of_the_expiry_and_of_each_hold_that_comes_back_after_it(
    world: StepWorld,
) -> None:
    world.now_us += 10 * US_PER_DAY
    for to in (S.SUSPENDED, S.REVOKED):  # over by time, before any sweep
        with pytest.raises(Conflict):
            await world.step(to)
    assert await world.sweep() == 5_000
    await world.release(world.issued, 3_000)
    assert await world.sweep() == 3_000
    assert await world.sweep() == 0
    assert await world.parts() == {"committed": 2_000, "expired": 8_000}
    assert await world.told() == [
        ("active", "expired", "exchange", 5_000),
        ("expired", "expired", "exchange", 3_000),
    ]


async def test_what_became_of_all_vouchers_is_told_in_one_list_newest_first(world: StepWorld) -> None:
    other = await world.join(ParticipantKind.BUYER)
    theirs = await world.issue(world.issuer, world.plan, other, 100)
    second = await world.issue(world.issuer, world.plan, world.buyer, 100)
    await world.step(S.SUSPENDED)
    world.now_us += 10 * US_PER_DAY
    assert await world.sweep() == 5_000

    async def told(reader: Principal, limit: int = 10) -> list[tuple[int, str, int]]:
        """Return the whole list, read in pages of so many."""
        steps: list[VoucherStep] = []
        before = AFTER_ALL
        async with world.database.connection() as connection:
            while page := await life.list_all_steps(connection, reader, before, limit):
                steps.extend(page)
                before = StepPlace(
                    stepped_at_us=page[-1].stepped_at_us,
                    voucher_id=page[-1].voucher_id,
                    number=page[-1].number,
                )
        return [(each.voucher_id, each.to_status.value, each.returned_fen) for each in steps]

    own = [
        (second.id, "expired", 100),
        (world.issued.id, "expired", 5_000),
        (world.issued.id, "suspended", 0),
    ]
    assert await told(world.buyer) == await told(world.buyer, 1) == own
    assert await told(other) == [(theirs.id, "expired", 100)]
    everything = sorted([*own, (theirs.id, "expired", 100)])
    assert sorted(await told(world.issuer, 2)) == everything
    for stranger in (ParticipantKind.ISSUER, ParticipantKind.BUYER, ParticipantKind.PROVIDER):
        assert await told(await world.join(stranger)) == []
    assert sorted(await told(await world.join(ParticipantKind.REGULATOR))) == everything


async def test_steps_are_the_issuers_own_and_have_a_reason(world: StepWorld) -> None:
    other = await world.join(ParticipantKind.ISSUER)
    for stranger in (world.buyer, other):
        with pytest.raises(NotFound):
            await world.step(S.SUSPENDED, stranger)
    with pytest.raises(InvalidInput):
        await world.step(S.SUSPENDED, reason=" \u200b")
    with pytest.raises(Conflict):
        await world.step(S.ACTIVE)
    async with world.database.connection() as connection:
        with pytest.raises(NotFound):
            await life.list_steps(connection, other, world.issued.id, limit=1)
    assert await world.told() == []


async def test_of_revocations_and_sweeps_at_once_each_fen_returns_once(world: StepWorld) -> None:
    world.now_us += 10 * US_PER_DAY - 1
    revocations = [world.step(S.REVOKED) for _ in range(5)]
    world.now_us += 1
    answers = await asyncio.gather(*revocations, *(world.sweep() for _ in range(5)), return_exceptions=True)
    assert all(isinstance(each, int | Conflict | Voucher) for each in answers), answers
    parts = await world.parts()
    assert parts.get("expired", 0) + parts.get("revoked", 0) == 5_000
    assert len(await world.told()) == 1


STEP = "INSERT INTO voucher_step SELECT voucher.id, 1, 'active', {}, now() FROM voucher JOIN programme"
STEP += " ON programme.id = voucher.programme_id WHERE voucher.id = $1"


@pytest.mark.parametrize(
    "statement, constraint",
    [
        ("UPDATE voucher SET status = 'revoked' WHERE id = $1", "voucher_follows_its_steps"),
        (STEP.format("'suspended', 'issuer', buyer_id, 0, 'x'"), "voucher_step_follows"),
        (STEP.format("'expired', 'exchange', 1, 0, ''"), "voucher_step_reason_check"),
        (STEP.format("'suspended', 'exchange', 1, 0, 'x'"), "voucher_step_is_allowed"),
        (STEP.format("'suspended', 'issuer', issuer_id, 5, 'x'"), "voucher_step_ends_it"),
    ],
)
async def test_the_database_refuses_a_state_without_its_step(
    world: StepWorld, statement: str, constraint: str
) -> None:
    async with world.database.connection() as connection:
        with pytest.raises(CheckViolation) as caught:
            await connection.execute(statement, world.issued.id)
    assert constraint_name(caught.value) == constraint
