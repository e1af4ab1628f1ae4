"""Goal: hours, claims and recoveries at the same time never wait for each other in a circle.

Method: the one order of events in which two transactions could cross is made by hand: a third one holds an
account that the first needs, until both wait. Then it lets go, and both must go through.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest

from exchange.claims.batch import claim_batch
from exchange.claims.models import Claim, ClaimStatus
from exchange.kit.database import Connection, Database
from exchange.kit.ids import new_id
from exchange.ledger import service as ledger
from exchange.ledger.models import (
    CNY,
    AccountKey,
    Purpose,
    Transfer,
    TransferKind,
    TransferReason,
)
from exchange.participants.models import EXCHANGE_ID, ParticipantKind
from exchange.vouchers import service
from exchange.vouchers.models import Capture, ExpiredVoucher, Voucher
from tests.claim_world import ClaimWorld
from tests.market_world import open_market
from tests.voucher_world import VoucherWorld, transfer_of

DEADLINE_S = 30.0


@pytest.fixture
async def world(database: Database) -> AsyncIterator[ClaimWorld]:
    world = ClaimWorld(database)
    await world.settle()
    yield world
    async with database.connection() as connection:
        assert [*await ledger.check_balances(connection), *await ledger.check_programmes(connection)] == []


async def waiting(database: Database, count: int) -> None:
    """Wait until so many transactions wait for locks."""
    async with asyncio.timeout(DEADLINE_S), database.connection() as connection:
        while count != await connection.fetchval(  # noqa: ASYNC110 - only the server knows who waits
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ):
            await asyncio.sleep(0.001)


async def meet_at(world: VoucherWorld, account_id: int, *works: Awaitable[object]) -> list[object]:
    """Hold an account until each work in turn waits for it or for the one before, then let them all go."""
    async with world.database.transaction() as connection:
        await ledger.available_for_update(connection, [account_id])
        tasks = []
        for work in works:
            tasks.append(asyncio.ensure_future(work))
            await waiting(world.database, len(tasks))
    return await asyncio.gather(*tasks)


async def accounts_of(connection: Connection, voucher: Voucher) -> tuple[int, int]:
    """Return the free and the escrow account of a voucher."""
    row = await connection.fetchrow(
        "SELECT account_id, escrow_account_id FROM voucher WHERE id = $1", voucher.id
    )
    assert row is not None
    return row["account_id"], row["escrow_account_id"]


async def test_a_recovery_and_an_hour_that_pays_its_provider_and_expires_a_voucher(world: ClaimWorld) -> None:
    await world.deposit(world.issuer, 4_000)
    claim = await world.pay(await world.approve(await world.submit()))
    await world.step(claim, ClaimStatus.CLAWBACK_OPEN, reason="resold", fen=1_000)
    async with world.database.connection() as connection:
        due_id, _ = await accounts_of(connection, world.issued)
        cash_id = (await world.accounts.cash_of(connection, [world.provider.participant_id]))[
            world.provider.participant_id
        ].cash_id
        external_id = await world.accounts.external_id(connection)

    async def settle_hour() -> tuple[ExpiredVoucher, ...]:
        """Pay the provider, then sweep: as the sequencer does in the transaction of an hour."""
        payment = Transfer(
            group_id=new_id(),
            kind=TransferKind.POSTED,
            reason=TransferReason.DEPOSIT,
            asset=CNY,
            debit_account_id=external_id,
            credit_account_id=cash_id,
            amount_fen=10,
            subject_id=EXCHANGE_ID,
        )
        async with world.database.transaction() as connection:
            await ledger.post(connection, [payment], world.now_us)
            return await service.expire_due(connection, world.issued.expires_at_us)

    expired, recovered = await meet_at(
        world, due_id, settle_hour(), world.step(claim, ClaimStatus.RECOVERED, world.provider)
    )
    assert isinstance(expired, tuple)
    assert [each.returned_fen for each in expired] == [4_000]
    assert isinstance(recovered, Claim)
    assert recovered.status is ClaimStatus.RECOVERED
    assert await world.has_fen(world.provider, CNY, Purpose.CASH) == 4_000 - 1_000 + 10


async def test_claims_under_two_programmes_and_an_hour_that_captures_under_both(world: ClaimWorld) -> None:
    between = await world.issue(world.issuer, world.plan, world.buyer, 1_000)
    other = await world.programme(world.issuer, world.provider)
    second = await world.issue(world.issuer, other, world.buyer, 1_000)
    await world.captured(second, world.provider, 70)
    for voucher in (world.issued, between, second):
        await world.hold(voucher, 10)
        await world.commit(voucher, 10)
    pairs = {(world.provider.participant_id, plan.asset) for plan in (world.plan, other)}

    async def settle_hour() -> None:
        """Capture under both programmes and return a failed hour's part, all of it one set of transfers."""
        async with world.database.transaction() as connection:
            receivable = await service.receivable_accounts(connection, pairs, world.now_us)
            steps = []
            for voucher in (world.issued, between, second):
                free_id, escrow_id = await accounts_of(connection, voucher)
                key = world.provider.participant_id, (other if voucher is second else world.plan).asset
                reason, to_id = TransferReason.DELIVERY, receivable[key]
                if voucher is between:
                    reason, to_id = TransferReason.DELIVERY_REFUND, free_id
                steps.append(transfer_of(voucher, TransferKind.POSTED, reason, escrow_id, to_id, 10))
            await ledger.post(connection, steps, world.now_us)
            captures = [
                Capture(
                    lease_id=voucher.id,
                    delivery_hour=9,
                    voucher_id=voucher.id,
                    programme_id=voucher.programme_id,
                    programme_version=1,
                    provider_id=world.provider.participant_id,
                    claimant_id=world.provider.participant_id,
                    amount_fen=10,
                )
                for voucher in (world.issued, second)
            ]
            await service.record_captures(connection, captures, world.now_us)

    async def claim_both() -> list[object]:
        async with world.database.transaction() as connection:
            wanted = (other.id, world.plan.id)  # the receivable that was opened last comes first
            made = await claim_batch(connection, world.provider, wanted, world.now_us, submit=True)
        return [each for _, each in made]

    async with world.database.connection() as connection:
        between_id, _ = await accounts_of(connection, between)
        keys = [AccountKey(*pair, Purpose.RECEIVABLE) for pair in pairs]
        opened = await ledger.ensure_accounts(connection, keys, world.now_us)
    assert min(opened.values()) < between_id < max(opened.values())
    _, claims = await meet_at(world, between_id, settle_hour(), claim_both())
    assert isinstance(claims, list)
    assert sorted(claim.amount_fen for claim in claims) in ([70, 4_000], [80, 4_010])


async def test_the_first_claim_that_is_submitted_and_a_claim_under_all_programmes(world: ClaimWorld) -> None:
    """Both open the account of what is claimed; the second has the receivable that the first needs."""
    opened = await world.open()
    await world.captured(world.issued, world.provider, 70, hour=9)
    other = await world.programme(world.issuer, world.provider)
    second = await world.issue(world.issuer, other, world.buyer, 1_000)
    await world.captured(second, world.provider, 80)
    async with world.database.connection() as connection:
        key = AccountKey(world.provider.participant_id, other.asset, Purpose.RECEIVABLE)
        receivable_id = (await ledger.ensure_accounts(connection, [key], world.now_us))[key]

    async def claim_all() -> list[object]:
        async with world.database.transaction() as connection:
            made = await claim_batch(connection, world.provider, (), world.now_us, submit=True)
        return [each for _, each in made]

    submission = world.step(opened, ClaimStatus.SUBMITTED, world.provider)
    claims, submitted = await meet_at(world, receivable_id, claim_all(), submission)
    assert isinstance(claims, list)
    assert [claim.amount_fen for claim in claims] == [70, 80]
    assert isinstance(submitted, Claim)
    assert (submitted.status, submitted.amount_fen) == (ClaimStatus.SUBMITTED, 4_000)


async def test_a_recovery_and_a_payment_of_one_programme(world: ClaimWorld) -> None:
    await world.deposit(world.issuer, 6_000)
    first = await world.pay(await world.approve(await world.submit()))
    await world.step(first, ClaimStatus.CLAWBACK_OPEN, reason="resold", fen=1_000)
    second = await world.approve(await world.submit(world.other_provider))
    issuer_id = world.issuer.participant_id
    async with world.database.connection() as connection:
        cash_id = (await world.accounts.cash_of(connection, [issuer_id]))[issuer_id].cash_id
    works = world.step(first, ClaimStatus.RECOVERED, world.provider), world.pay(second)
    recovered, paid = await meet_at(world, cash_id, *works)
    assert isinstance(recovered, Claim)
    assert isinstance(paid, Claim)
    assert (recovered.status, paid.status) == (ClaimStatus.RECOVERED, ClaimStatus.PAID)
    assert await world.has_fen(world.issuer, CNY, Purpose.CASH) == 1_000


async def test_a_recovery_and_an_hour_in_which_a_voucher_and_an_order_expire(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_market(database_url, tmp_path) as market:
        provider, buyer = await market.traders(1_000_000)
        world = ClaimWorld(market.database)
        world.issuer = await market.join(ParticipantKind.ISSUER)
        await market.deposit(world.issuer, 10_000)
        world.plan = await market.programme(world.issuer, provider, mode="reimburse", validity_days=1)
        await market.issue(world.issuer, world.plan, buyer, 5_000)
        await market.ask(provider, market.product(), price=1_000)
        await market.bid(buyer, market.product(), price=1_000, vouchers="auto")
        await market.pass_hours(8)
        claim = await world.pay(await world.approve(await world.submit(buyer)))
        await world.step(claim, ClaimStatus.CLAWBACK_OPEN, reason="resold", fen=1_000)
        await market.pass_hours(16)
        await market.bid(buyer, market.product(), price=1_000, window=(0, 1))
        async with world.database.connection() as connection:
            key = AccountKey(world.issuer.participant_id, world.plan.asset, Purpose.REDEEMED)
            redeemed_id = (await ledger.ensure_accounts(connection, [key], world.now_us))[key]
            status = await connection.fetchval("SELECT status FROM voucher")
        assert status == "active"
        recovery = world.step(claim, ClaimStatus.RECOVERED, buyer)
        recovered, _ = await meet_at(world, redeemed_id, recovery, market.pass_hours(1))
        assert isinstance(recovered, Claim)
        assert recovered.status is ClaimStatus.RECOVERED
        async with world.database.connection() as connection:
            assert await connection.fetchval("SELECT status FROM voucher") == "expired"
            statuses = await connection.fetch("SELECT status FROM orders WHERE side = 'buy' ORDER BY id")
        assert [row["status"] for row in statuses] == ["filled", "expired"]
    # An hour that was ended for a deadlock is settled again, and the sequencer has told of it.
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == []
