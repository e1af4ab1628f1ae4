"""Programmes and vouchers on the real PostgreSQL: creation, issuance and its limits, expiry, spending.

Every refusal is tried and must leave nothing behind; the limits are tried with fifty connections at once.
After each test the books of the whole database must balance.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable

import msgspec
import pytest

from exchange.kit.clock import US_PER_DAY
from exchange.kit.database import UniqueViolation
from exchange.kit.errors import Conflict, Fault, Faults, Forbidden, InvalidInput, NotFound, Refusal
from exchange.kit.ids import encode_id, new_id
from exchange.ledger import service as ledger
from exchange.ledger.models import Balance, Purpose, TransferKind, TransferReason
from exchange.ledger.rules import available_fen
from exchange.participants.models import ParticipantKind, SizeClass
from exchange.participants.service import participants_by_ids
from exchange.products.service import seed_catalogue
from exchange.programmes import service as programmes
from exchange.programmes.models import (
    BuyerRule,
    CapacityRule,
    NewProgramme,
    Programme,
    ProgrammeRules,
    ProgrammeStatus,
    ProviderRule,
    RateTier,
    RequiredOrigin,
)
from exchange.programmes.registry import ProgrammeRegistry
from exchange.programmes.rules import programme_mask
from exchange.vouchers import service, wallet
from exchange.vouchers.choice import choose
from exchange.vouchers.models import Balances, Capture, ExpiredVoucher, VoucherStatus
from tests.databases import crowded
from tests.voucher_facts import facts, paying, product
from tests.voucher_world import NOW_US, VoucherWorld, transfer_of

CONNECTIONS = 50
NOTHING = Balances(
    available_fen=0, held_fen=0, committed_fen=0, captured_fen=0, claimed_fen=0, paid_fen=0, expired_fen=0
)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[VoucherWorld]:
    async with crowded(database_url, CONNECTIONS) as database:
        yield VoucherWorld(database)
        async with database.connection() as connection:
            # No order or lease stands behind the money of these tests, so those are not compared.
            wrong = [*await ledger.check_balances(connection), *await ledger.check_programmes(connection)]
        assert wrong == []


async def balance_of(world: VoucherWorld, owner_id: int, asset: str, purpose: Purpose) -> Balance:
    async with world.database.connection() as connection:
        found = await ledger.balances(connection, owner_id, limit=1000)
    return next(each for each in found if (each.asset, each.purpose) == (asset, purpose))


async def refused(attempt: Awaitable[object], expected: type[Refusal], code: str) -> Refusal:
    """Await an attempt that must be refused; return the refusal."""
    with pytest.raises(expected) as caught:
        await attempt
    assert caught.value.code == code
    return caught.value


async def test_a_programme_is_stored_with_its_budget_booked(world: VoucherWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    provider = await world.join(ParticipantKind.PROVIDER)
    programme = await world.programme(issuer, provider)
    async with world.database.connection() as connection:
        assert await programmes.get_programme(connection, programme.id, NOW_US) == programme
        assert await programmes.list_programmes(connection, NOW_US, limit=10) == [programme]
    assert programme.status is ProgrammeStatus.OPEN
    assert programme.asset == encode_id("prg", programme.id)
    budget = await balance_of(world, issuer.participant_id, programme.asset, Purpose.BUDGET)
    assert available_fen(budget) == 100_000
    source = await balance_of(world, issuer.participant_id, programme.asset, Purpose.PROGRAMME_SOURCE)
    assert available_fen(source) == -100_000


async def test_only_an_issuer_makes_a_programme(world: VoucherWorld) -> None:
    provider = await world.join(ParticipantKind.PROVIDER)
    for kind in ParticipantKind:
        if kind is not ParticipantKind.ISSUER:
            stranger = await world.join(kind)
            await refused(world.programme(stranger, provider), Forbidden, "forbidden")


async def test_a_programme_code_is_taken_once(world: VoucherWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    provider = await world.join(ParticipantKind.PROVIDER)
    taken = await world.programme(issuer, provider)
    new = NewProgramme(code=taken.code, name="again", rules=taken.rules)
    with pytest.raises(Conflict) as caught:
        async with world.database.transaction() as connection:
            await programmes.create_programme(connection, issuer, new, NOW_US)
    assert caught.value.code == "already_exists"
    async with world.database.connection() as connection:
        assert len(await programmes.list_programmes(connection, NOW_US, limit=10)) == 1


async def test_all_faults_of_a_programme_are_told_at_once(world: VoucherWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    provider = await world.join(ParticipantKind.PROVIDER)
    buyer = await world.join(ParticipantKind.BUYER)
    admitted = [encode_id("par", each) for each in (provider.participant_id, buyer.participant_id, new_id())]
    rules = ProgrammeRules(
        budget_fen=1,
        rate_tiers=(RateTier(bps=1),),
        cap_per_year_fen=1,
        validity_days=1,
        cashable=True,
        provider=ProviderRule(admitted=tuple(admitted)),
    )
    found_before = Faults()
    found_before.add("/code", "pattern", "must be lower-case")
    with pytest.raises(InvalidInput) as caught:
        async with world.database.transaction() as connection:
            await programmes.create_programme(
                connection, issuer, NewProgramme(code="x", name="x", rules=rules), NOW_US, found_before
            )
    assert [(fault.pointer, fault.code) for fault in caught.value.errors] == [
        ("/code", "pattern"),
        ("/rules/cashable", "not_supported_yet"),
        ("/rules/provider/admitted/1", "not_a_provider"),
        ("/rules/provider/admitted/2", "not_a_provider"),
    ]


async def test_the_registry_knows_who_is_admitted_for_what(world: VoucherWorld) -> None:
    async with world.database.transaction() as connection:
        await seed_catalogue(connection)
    issuer = await world.join(ParticipantKind.ISSUER)
    provider = await world.join(ParticipantKind.PROVIDER)
    stranger = await world.join(ParticipantKind.PROVIDER)
    any_origin = await world.programme(issuer, provider)
    listed = await world.programme(issuer, provider, price_cap="list")
    domestic = await world.programme(issuer, provider, capacity=CapacityRule(origin=RequiredOrigin.DOMESTIC))
    async with world.database.connection() as connection:
        who = await participants_by_ids(connection, {provider.participant_id, stranger.participant_id})
    admitted, other = who[provider.participant_id], who[stranger.participant_id]
    registry = ProgrammeRegistry()
    assert registry.ask_mask(admitted, product("domestic"), None) == 0
    async with world.database.connection() as connection:
        await registry.refresh(connection)
    foreign = programme_mask(any_origin.version.ordinal)
    both = foreign | programme_mask(domestic.version.ordinal)
    assert registry.ask_mask(admitted, product("domestic"), None) == both
    assert registry.ask_mask(admitted, product("foreign"), None) == foreign
    three = both | programme_mask(listed.version.ordinal)
    assert registry.ask_mask(admitted, product("domestic"), 900) == three
    assert registry.ask_mask(admitted, product("domestic"), None) == both
    assert registry.ask_mask(other, product("domestic"), 900) == 0


async def test_a_voucher_is_issued_out_of_the_budget(world: VoucherWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    buyer = await world.join(ParticipantKind.BUYER)
    programme = await world.programme(issuer, await world.join(ParticipantKind.PROVIDER))
    voucher = await world.issue(issuer, programme, buyer, 30_000)
    assert voucher.expires_at_us == NOW_US + 90 * US_PER_DAY
    assert voucher.balances == msgspec.structs.replace(NOTHING, available_fen=30_000)
    assert await world.voucher(voucher, buyer) == voucher == await world.voucher(voucher, issuer)
    budget = await balance_of(world, issuer.participant_id, programme.asset, Purpose.BUDGET)
    assert available_fen(budget) == 70_000
    async with world.database.connection() as connection:
        assert (await programmes.get_programme(connection, programme.id, NOW_US)).issued_fen == 30_000


async def test_vouchers_are_seen_by_their_buyer_and_their_issuer_only(world: VoucherWorld) -> None:
    issuer, other_issuer = [await world.join(ParticipantKind.ISSUER) for _ in range(2)]
    buyer, other_buyer = [await world.join(ParticipantKind.BUYER) for _ in range(2)]
    provider = await world.join(ParticipantKind.PROVIDER)
    programme = await world.programme(issuer, provider)
    own = await world.issue(issuer, programme, buyer, 10)
    other = await world.issue(issuer, programme, other_buyer, 20)
    operator, regulator = (
        await world.join(ParticipantKind.OPERATOR),
        await world.join(ParticipantKind.REGULATOR),
    )
    async with world.database.connection() as connection:
        for principal, expected in (
            (buyer, [own]),
            (other_buyer, [other]),
            (issuer, [other, own]),
            (other_issuer, []),
            (provider, []),
            (operator, [other, own]),
            (regulator, [other, own]),
        ):
            assert await service.list_vouchers(connection, principal, limit=10) == expected
        assert await service.list_vouchers(connection, issuer, before_id=other.id, limit=1) == [own]
        assert await service.list_vouchers(connection, issuer, programme_id=new_id(), limit=1) == []
    for principal in (other_buyer, other_issuer, provider):
        await refused(world.voucher(own, principal), NotFound, "not_found")


async def test_issuing_is_refused_for_a_reason_and_leaves_nothing(world: VoucherWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    stranger = await world.join(ParticipantKind.ISSUER)
    provider = await world.join(ParticipantKind.PROVIDER)
    rules = BuyerRule(regions=("beijing",), size_classes=(SizeClass.SMALL,))
    programme = await world.programme(issuer, provider, buyer=rules)
    buyer = await world.join(ParticipantKind.BUYER)
    unknown = msgspec.structs.replace(programme, id=new_id())
    nobody = msgspec.structs.replace(buyer, participant_id=new_id())
    far_and_large = await world.join(ParticipantKind.BUYER, region="suzhou", size_class=SizeClass.LARGE)

    await refused(world.issue(issuer, unknown, buyer, 1), NotFound, "not_found")
    await refused(world.issue(stranger, programme, buyer, 1), Forbidden, "forbidden")
    refusal = await refused(world.issue(issuer, programme, nobody, 1), InvalidInput, "invalid_body")
    assert [(fault.pointer, fault.code) for fault in refusal.errors] == [("/buyer_id", "unknown_participant")]
    refusal = await refused(world.issue(issuer, programme, far_and_large, 1), Conflict, "buyer_not_eligible")
    assert [fault.pointer for fault in refusal.errors] == [
        "/rules/buyer/regions",
        "/rules/buyer/size_classes",
    ]
    refusal = await refused(world.issue(issuer, programme, provider, 1), Conflict, "buyer_not_eligible")
    assert [type(fault) for fault in refusal.errors] == [Fault]

    await world.issue(issuer, programme, buyer, 20_000)
    refusal = await refused(world.issue(issuer, programme, buyer, 30_001), Conflict, "yearly_cap_exceeded")
    assert "300.00 is left" in refusal.detail
    await world.issue(issuer, programme, buyer, 30_000)
    second = await world.join(ParticipantKind.BUYER)
    await world.issue(issuer, programme, second, 49_999)
    third = await world.join(ParticipantKind.BUYER)
    refusal = await refused(world.issue(issuer, programme, third, 2), Conflict, "budget_exhausted")
    assert "0.01 is not issued" in refusal.detail
    async with world.database.connection() as connection:
        assert len(await service.list_vouchers(connection, issuer, limit=10)) == 3
        assert (
            await programmes.get_programme(connection, programme.id, NOW_US)
        ).status is ProgrammeStatus.OPEN
    await world.issue(issuer, programme, third, 1)
    async with world.database.connection() as connection:
        assert (
            await programmes.get_programme(connection, programme.id, NOW_US)
        ).status is ProgrammeStatus.EXHAUSTED
    await refused(world.issue(issuer, programme, third, 1), Conflict, "budget_exhausted")


async def test_a_yearly_cap_begins_anew_with_the_year(world: VoucherWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    buyer = await world.join(ParticipantKind.BUYER)
    programme = await world.programme(issuer, await world.join(ParticipantKind.PROVIDER))
    await world.issue(issuer, programme, buyer, 50_000)
    await refused(world.issue(issuer, programme, buyer, 1), Conflict, "yearly_cap_exceeded")
    world.now_us += 365 * US_PER_DAY
    assert (await world.issue(issuer, programme, buyer, 50_000)).face_fen == 50_000


async def test_fifty_connections_never_issue_beyond_the_budget(world: VoucherWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    buyers = [await world.join(ParticipantKind.BUYER) for _ in range(CONNECTIONS)]
    programme = await world.programme(issuer, await world.join(ParticipantKind.PROVIDER), budget_fen=30_000)
    outcomes = await asyncio.gather(
        *(world.issue(issuer, programme, buyer, 1_000) for buyer in buyers), return_exceptions=True
    )
    refusals = [each for each in outcomes if isinstance(each, BaseException)]
    assert [each.code if isinstance(each, Conflict) else each for each in refusals] == [
        "budget_exhausted"
    ] * 20
    await assert_issued(world, programme, vouchers=30, issued_fen=30_000)


async def test_fifty_connections_never_issue_beyond_a_yearly_cap(world: VoucherWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    buyers = [await world.join(ParticipantKind.BUYER) for _ in range(2)]
    programme = await world.programme(
        issuer, await world.join(ParticipantKind.PROVIDER), cap_per_year_fen=10_500
    )
    outcomes = await asyncio.gather(
        *(world.issue(issuer, programme, buyers[number % 2], 1_000) for number in range(CONNECTIONS)),
        return_exceptions=True,
    )
    refusals = [each for each in outcomes if isinstance(each, BaseException)]
    assert [each.code if isinstance(each, Conflict) else each for each in refusals] == [
        "yearly_cap_exceeded"
    ] * 30
    await assert_issued(world, programme, vouchers=20, issued_fen=20_000)


async def assert_issued(world: VoucherWorld, programme: Programme, *, vouchers: int, issued_fen: int) -> None:
    async with world.database.connection() as connection:
        assert (await programmes.get_programme(connection, programme.id, NOW_US)).issued_fen == issued_fen
        counts = await connection.fetchrow("SELECT count(*) AS count, sum(face_fen) AS fen FROM voucher")
        uses = await connection.fetch("SELECT issued_fen, cap_fen FROM programme_year_use")
    assert counts is not None
    assert (counts["count"], counts["fen"]) == (vouchers, issued_fen)
    assert sum(use["issued_fen"] for use in uses) == issued_fen
    budget = await balance_of(world, programme.issuer_id, programme.asset, Purpose.BUDGET)
    assert available_fen(budget) == programme.budget_fen - issued_fen


async def test_fifty_connections_never_hold_more_than_a_voucher_has(world: VoucherWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    buyer = await world.join(ParticipantKind.BUYER)
    programme = await world.programme(issuer, await world.join(ParticipantKind.PROVIDER))
    vouchers = [await world.issue(issuer, programme, buyer, 5_000) for _ in range(3)]

    async def hold_what_is_free() -> int:
        """Hold 1,000 of whatever is first in spending order, as one batch of the sequencer does."""
        async with world.database.transaction() as connection:
            usable = await wallet.vouchers_for_update(
                connection, {buyer.participant_id}, world.registry, NOW_US
            )
            chosen = paying(choose(usable, "auto", facts(at_us=NOW_US)))
            if not chosen:
                return 0
            first = chosen[0]
            step = transfer_of(
                vouchers[0],
                TransferKind.PENDING,
                TransferReason.HOLD,
                first.account_id,
                first.escrow_account_id,
                1_000,
            )
            await ledger.post(connection, [step], NOW_US)
            return 1_000

    held = await asyncio.gather(*(hold_what_is_free() for _ in range(CONNECTIONS)))
    assert sum(held) == 15_000
    for voucher in vouchers:
        seen = await world.voucher(voucher, buyer)
        assert seen.balances == msgspec.structs.replace(NOTHING, held_fen=5_000)


async def test_an_order_meets_every_voucher_of_its_buyer_that_is_not_spent(world: VoucherWorld) -> None:
    async with world.database.transaction() as connection:
        await seed_catalogue(connection)
    issuer = await world.join(ParticipantKind.ISSUER)
    buyer, other = [await world.join(ParticipantKind.BUYER) for _ in range(2)]
    provider = await world.join(ParticipantKind.PROVIDER)
    domestic = CapacityRule(origin=RequiredOrigin.DOMESTIC)
    programme = await world.programme(issuer, provider, capacity=domestic, validity_days=1)
    spent, free = [await world.issue(issuer, programme, buyer, 100) for _ in range(2)]
    await world.issue(issuer, programme, other, 100)
    await world.hold(spent, 100)
    await world.hold(free, 30)
    async with world.database.transaction() as connection:
        assert await wallet.vouchers_for_update(connection, set(), world.registry, NOW_US) == []
        found = await wallet.vouchers_for_update(connection, {buyer.participant_id}, world.registry, NOW_US)
    assert [(each.voucher_id, each.available_fen) for each in found] == [(spent.id, 0), (free.id, 70)]
    (_, usable) = found
    assert usable.account_id != usable.escrow_account_id
    assert (usable.programme_id, usable.versions) == (programme.id, (programme.version,))
    assert (usable.status, usable.expires_at_us) == (VoucherStatus.ACTIVE, NOW_US + US_PER_DAY)
    assert paying(choose(found, "auto", facts("foreign", at_us=NOW_US))) == []
    assert paying(choose(found, "auto", facts("domestic", at_us=NOW_US))) == [usable]


async def test_an_expired_voucher_returns_what_is_free_of_it(world: VoucherWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    buyer = await world.join(ParticipantKind.BUYER)
    programme = await world.programme(issuer, await world.join(ParticipantKind.PROVIDER))
    voucher = await world.issue(issuer, programme, buyer, 1_000)
    await world.hold(voucher, 600)
    await world.commit(voucher, 250)

    async def sweep(now_us: int) -> tuple[ExpiredVoucher, ...]:
        async with world.database.transaction() as connection:
            return await service.expire_due(connection, now_us)

    assert await sweep(voucher.expires_at_us - 1) == ()
    (swept,) = await sweep(voucher.expires_at_us)
    assert (swept.voucher_id, swept.buyer_id, swept.returned_fen) == (voucher.id, buyer.participant_id, 400)
    assert await sweep(voucher.expires_at_us) == ()
    seen = await world.voucher(voucher, buyer)
    assert seen.status is VoucherStatus.EXPIRED
    parts = {"held_fen": 350, "committed_fen": 250, "expired_fen": 400}
    assert seen.balances == msgspec.structs.replace(NOTHING, **parts)

    await world.release(voucher, 350)
    await world.refund(voucher, 50)
    (swept,) = await sweep(voucher.expires_at_us + 1)
    assert swept.returned_fen == 400
    assert (await world.voucher(voucher, buyer)).balances == msgspec.structs.replace(
        NOTHING, committed_fen=200, expired_fen=800
    )
    budget = await balance_of(world, issuer.participant_id, programme.asset, Purpose.BUDGET)
    assert available_fen(budget) == 100_000 - 1_000 + 800
    async with world.database.connection() as connection:
        assert (await programmes.get_programme(connection, programme.id, NOW_US)).issued_fen == 1_000
        codes = await connection.fetch(
            "SELECT code FROM audit_record WHERE subject_id = $1 ORDER BY id", voucher.id
        )
    assert [row["code"] for row in codes] == ["VISS", "VEXP", "VEXP"]


async def test_two_sweeps_at_once_return_money_once(world: VoucherWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    programme = await world.programme(issuer, await world.join(ParticipantKind.PROVIDER))
    buyers = [await world.join(ParticipantKind.BUYER) for _ in range(5)]
    issued = [await world.issue(issuer, programme, buyer, 100) for buyer in buyers for _ in range(4)]

    async def sweep() -> tuple[ExpiredVoucher, ...]:
        async with world.database.transaction() as connection:
            return await service.expire_due(connection, issued[0].expires_at_us)

    swept = [each for found in await asyncio.gather(*(sweep() for _ in range(10))) for each in found]
    assert sorted(each.voucher_id for each in swept) == sorted(voucher.id for voucher in issued)
    budget = await balance_of(world, issuer.participant_id, programme.asset, Purpose.BUDGET)
    assert available_fen(budget) == 100_000


async def test_an_hour_is_captured_once(world: VoucherWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    buyer, provider = await world.join(ParticipantKind.BUYER), await world.join(ParticipantKind.PROVIDER)
    voucher = await world.issue(issuer, await world.programme(issuer, provider), buyer, 100)
    await world.hold(voucher, 50)
    await world.commit(voucher, 50)
    await world.deliver(voucher, provider, 10, hour=7)
    with pytest.raises(UniqueViolation):
        await world.deliver(voucher, provider, 10, hour=7)
    assert (await world.voucher(voucher, buyer)).balances == msgspec.structs.replace(
        NOTHING, available_fen=50, committed_fen=40, captured_fen=10
    )
    async with world.database.transaction() as connection:
        await service.record_captures(connection, list[Capture](), NOW_US)


async def test_receivable_accounts_are_opened_once_by_many(world: VoucherWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    providers = [await world.join(ParticipantKind.PROVIDER) for _ in range(3)]
    programme = await world.programme(issuer, providers[0])
    pairs = {(provider.participant_id, programme.asset) for provider in providers}

    async def open_all() -> dict[tuple[int, str], int]:
        async with world.database.transaction() as connection:
            return await service.receivable_accounts(connection, pairs, NOW_US)

    opened = await asyncio.gather(*(open_all() for _ in range(10)))
    assert opened[0].keys() == pairs
    assert len(set(opened[0].values())) == 3
    assert all(each == opened[0] for each in opened)
