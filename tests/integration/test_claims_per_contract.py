"""`max_claims_per_contract`: a lease's last claim waits for its end, and takes all that is left of it.

Each hour is limited by the rules it was held under: here those in force when its lease began.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from exchange.claims import service
from exchange.claims.models import Claim
from exchange.kit.database import Database
from exchange.kit.errors import Conflict
from exchange.kit.fields import format_hour
from exchange.ledger import service as ledger
from tests.claim_world import ClaimWorld
from tests.lease_rows import STARTS_HOUR, insert_lease, settle_hour


class ContractWorld(ClaimWorld):
    """A programme with leases behind its captures; what the world began with is claimed and gone."""

    version: int = 1
    held_under: dict[int, int]

    async def lease(self, hours: int) -> int:
        """Begin a lease between the provider and the buyer, held under the rules in force."""
        async with self.database.transaction() as connection:
            lease_id = await insert_lease(
                connection, self.provider.participant_id, self.buyer.participant_id, hours
            )
        self.held_under[lease_id] = self.version
        return lease_id

    async def deliver_hours(self, lease_id: int, *amounts_fen: int) -> None:
        """Settle the next hours of a lease; of one with 0 vouchers pay nothing, as of a failed one."""
        for fen in amounts_fen:
            async with self.database.transaction() as connection:
                hour = await settle_hour(connection, lease_id)
            if fen:
                await self.hold(self.issued, fen)
                await self.commit(self.issued, fen)
                held_under = self.held_under[lease_id]
                await self.deliver(
                    self.issued, self.provider, fen, hour, held_under=held_under, lease_id=lease_id
                )

    async def refusal(self) -> str:
        """Try to claim where there is nothing to claim now, and return what is said."""
        with pytest.raises(Conflict) as caught:
            await self.submit()
        assert caught.value.code == "nothing_to_claim"
        return caught.value.detail


@pytest.fixture
async def world(module_database: Database) -> AsyncIterator[ContractWorld]:
    world = ContractWorld(module_database)
    world.held_under = {}
    await world.settle()
    await world.submit()
    yield world
    async with module_database.connection() as connection:
        assert await ledger.check_programmes(connection) == []
        assert await ledger.check_balances(connection) == []


async def limit(world: ContractWorld, claims_max: int | None) -> None:
    world.version = await world.change_rules(world.issuer, world.plan, max_claims_per_contract=claims_max)


async def test_the_only_claim_of_a_contract_waits_for_its_end_and_says_when_that_is(
    world: ContractWorld,
) -> None:
    await limit(world, 1)
    lease, longer = await world.lease(3), await world.lease(5)
    await world.deliver_hours(lease, 10, 20)
    await world.deliver_hours(longer, 1)
    said = await world.refusal()
    assert "the rules that they were held under" in said
    assert "wholly delivered and settled: 2, the first after" in said
    assert format_hour(STARTS_HOUR + 3) in said
    await world.deliver_hours(lease, 0)  # the last hour failed: the lease is settled all the same
    claim = await world.submit()
    assert (claim.amount_fen, claim.line_count, claim.programme_version) == (30, 2, 2)
    assert format_hour(STARTS_HOUR + 5) in await world.refusal()


async def test_of_several_claims_only_the_last_waits(world: ContractWorld) -> None:
    await limit(world, 3)
    lease = await world.lease(4)
    for fen in (10, 20):
        await world.deliver_hours(lease, fen)
        assert (await world.submit()).amount_fen == fen
    await world.deliver_hours(lease, 30)
    await world.refusal()
    await world.deliver_hours(lease, 40)
    assert (await world.submit()).amount_fen == 70


async def test_what_waits_holds_nothing_else_back(world: ContractWorld) -> None:
    await limit(world, 2)
    one, other = await world.lease(2), await world.lease(2)
    await world.deliver_hours(one, 10)
    await world.submit()
    await world.deliver_hours(one, 20)
    await world.deliver_hours(other, 5)
    assert (await world.submit()).amount_fen == 25
    await world.deliver_hours(other, 6)
    assert (await world.submit()).amount_fen == 6


async def test_a_rejected_claim_does_not_count(world: ContractWorld) -> None:
    await limit(world, 2)
    lease = await world.lease(3)
    await world.deliver_hours(lease, 10)
    first = await world.submit()
    await world.deliver_hours(lease, 20)
    await world.refusal()
    await world.reject(first)
    again = await world.submit()
    assert again.amount_fen == 30
    await world.deliver_hours(lease, 40)
    last = await world.submit()
    assert last.amount_fen == 40
    for claim in (again, last):
        await world.reject(claim)
    assert (await world.submit()).amount_fen == 70


async def test_rules_that_come_in_the_middle_of_a_lease_keep_nothing_of_it_back(world: ContractWorld) -> None:
    lease = await world.lease(4)
    for fen in (10, 20):
        await world.deliver_hours(lease, fen)
        await world.submit()
    await limit(world, 1)
    for fen in (30, 40):
        await world.deliver_hours(lease, fen)
        made = await world.submit()
        assert (made.amount_fen, made.programme_version) == (fen, 2)


async def test_a_lease_keeps_the_limit_that_it_was_held_under_though_newer_rules_have_none(
    world: ContractWorld,
) -> None:
    await limit(world, 1)
    lease = await world.lease(2)
    await world.deliver_hours(lease, 10)
    await limit(world, None)
    await world.refusal()
    free = await world.lease(2)
    await world.deliver_hours(free, 5)
    assert (await world.submit()).amount_fen == 5
    await world.deliver_hours(lease, 20)
    assert (await world.submit()).amount_fen == 30


async def test_hours_of_one_lease_are_counted_apart_by_the_rules_they_were_held_under(
    world: ContractWorld,
) -> None:
    lease = await world.lease(5)
    await world.deliver_hours(lease, 10)
    await world.submit()
    await limit(world, 2)
    world.held_under[lease] = world.version
    await world.deliver_hours(lease, 20)
    assert (await world.submit()).amount_fen == 20
    await world.deliver_hours(lease, 30)
    await world.refusal()
    world.held_under[lease] = 1
    await world.deliver_hours(lease, 40)
    assert (await world.submit()).amount_fen == 40
    await world.deliver_hours(lease, 0)
    assert (await world.submit()).amount_fen == 30


async def test_of_two_who_open_at_once_the_second_counts_the_claim_of_the_first(world: ContractWorld) -> None:
    await limit(world, 2)
    lease = await world.lease(3)
    await world.deliver_hours(lease, 10)
    async with world.database.transaction() as first:
        await service.open_claim(first, world.provider, world.plan.id, world.now_us)
        # An hour that only the second can see, who for its part cannot see the claim of the first yet.
        await world.deliver_hours(lease, 20)
        second = asyncio.create_task(world.refusal())
        pid = await first.fetchval("SELECT pg_backend_pid()")
        while not await first.fetchval(
            "SELECT count(*) FROM pg_locks WHERE $1 = ANY (pg_blocking_pids(pid))", pid
        ):
            assert not second.done()
    assert "wholly delivered and settled: 1," in await second
    await world.deliver_hours(lease, 30)
    assert (await world.submit()).amount_fen == 50


async def test_of_many_who_open_at_once_while_hours_come_no_contract_is_in_too_many_claims(
    world: ContractWorld,
) -> None:
    await limit(world, 2)
    lease = await world.lease(6)
    await world.deliver_hours(lease, 10)
    opened = await asyncio.gather(
        world.deliver_hours(lease, 1, 2, 3, 4),
        *(world.open() for _ in range(20)),
        return_exceptions=True,
    )
    (made,) = [each for each in opened if isinstance(each, Claim)]  # a second would be the last, and waits
    assert {type(each) for each in opened} == {Claim, Conflict, type(None)}
    await world.deliver_hours(lease, 5)
    last = await world.submit()
    assert made.amount_fen + last.amount_fen == 25


async def test_claims_under_another_programme_do_not_count(world: ContractWorld) -> None:
    await limit(world, 1)
    lease = await world.lease(1)
    other_plan = await world.programme(world.issuer, world.provider, max_claims_per_contract=1)
    other_voucher = await world.issue(world.issuer, other_plan, world.buyer, 100)
    await world.captured(other_voucher, world.provider, 7, STARTS_HOUR, lease_id=lease)
    await world.deliver_hours(lease, 10)
    async with world.database.transaction() as connection:
        other = await service.open_claim(connection, world.provider, other_plan.id, world.now_us)
    assert (other.amount_fen, (await world.submit()).amount_fen) == (7, 10)
