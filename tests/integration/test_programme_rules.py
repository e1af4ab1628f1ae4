"""Goal: the rules of the general model bind on the real exchange: issuance, asks, orders, trades.

Method: one programme with the rule in question, and those it lets through and keeps out.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from exchange.kit.errors import Conflict, Forbidden, InvalidInput, NotFound
from exchange.ledger.models import Purpose
from exchange.orders.models import OrderStatus
from exchange.participants.models import Ownership, ParticipantKind, SizeClass
from exchange.participants.service import create_trade_group
from exchange.programmes.models import (
    BuyerRule,
    Condition,
    Fact,
    NewVersion,
    ProgrammeRules,
    ProviderRule,
    RateTier,
)
from exchange.programmes.service import add_version, list_versions
from exchange.vouchers.models import Voucher
from tests.market_world import MarketWorld, open_market


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[MarketWorld]:
    async with open_market(database_url, tmp_path) as opened:
        yield opened


async def group_of(world: MarketWorld) -> int:
    async with world.database.transaction() as connection:
        return (await create_trade_group(connection, None, "group", world.now_us)).id


async def test_a_cap_by_group_binds_all_its_members_at_once(world: MarketWorld) -> None:
    issuer, provider = await world.join(ParticipantKind.ISSUER), await world.join(ParticipantKind.PROVIDER)
    group_id = await group_of(world)
    members = [await world.join(ParticipantKind.BUYER, trade_group_id=group_id) for _ in range(4)]
    alone = await world.join(ParticipantKind.BUYER)
    programme = await world.programme(issuer, provider, cap_basis="group", cap_per_year_fen=500)
    attempts = [world.issue(issuer, programme, member, 100) for member in members for _ in range(5)]
    answers = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(each, Voucher) for each in answers) == 5
    refused = [each for each in answers if not isinstance(each, Voucher)]
    assert {each.code for each in refused if isinstance(each, Conflict)} == {"yearly_cap_exceeded"}
    assert all(isinstance(each, Conflict) for each in refused)
    await world.issue(issuer, programme, alone, 500)


async def test_who_is_of_one_group_with_a_provider_can_be_kept_out(world: MarketWorld) -> None:
    issuer, group_id = await world.join(ParticipantKind.ISSUER), await group_of(world)
    provider = await world.join(ParticipantKind.PROVIDER, trade_group_id=group_id)
    sister = await world.join(ParticipantKind.BUYER, trade_group_id=group_id)
    stranger = await world.join(ParticipantKind.BUYER)
    programme = await world.programme(issuer, provider, buyer=BuyerRule(exclude_providers=True))
    with pytest.raises(Conflict) as caught:
        await world.issue(issuer, programme, sister, 100)
    assert [fault.pointer for fault in caught.value.errors] == ["/rules/buyer/exclude_providers"]
    await world.issue(issuer, programme, stranger, 100)


async def test_a_minimum_spend_counts_the_trades_of_the_year(world: MarketWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    provider, buyer = await world.traders(1_000_000)
    programme = await world.programme(issuer, provider, min_annual_spend_fen=4_000)
    with pytest.raises(Conflict) as caught:
        await world.issue(issuer, programme, buyer, 100)
    assert [fault.pointer for fault in caught.value.errors] == ["/rules/min_annual_spend_fen"]
    product = world.product()
    await world.ask(provider, product, price=1_000)
    await world.bid(buyer, product, price=1_000)  # one GPU for four hours
    with pytest.raises(Conflict):
        await world.issue(issuer, programme, buyer, 100)  # what is traded may yet fail
    await world.pass_hours(8)
    voucher = await world.issue(issuer, programme, buyer, 100)
    assert voucher.face_fen == 100
    # What failed is not spent, and what is reimbursed of a bill is not spent twice.
    await world.issue(issuer, await world.programme(issuer, provider, mode="reimburse"), buyer, 2_000)
    more = await world.programme(issuer, provider, min_annual_spend_fen=8_001)
    await world.ask(provider, product, price=1_000)
    await world.bid(buyer, product, price=1_000, vouchers="auto")
    async with world.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO outage SELECT id, starts_hour, 'fire', provider_id, now() FROM lease"
            " WHERE next_settlement_hour = starts_hour"
        )
    await world.pass_hours(8)
    with pytest.raises(Conflict) as caught:
        await world.issue(issuer, more, buyer, 100)
    assert "the buyer has paid 70.00 CNY" in caught.value.errors[0].detail


async def test_a_programme_that_names_nobody_admits_by_region_and_ownership(world: MarketWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    here = await world.join(ParticipantKind.PROVIDER, region="guizhou")
    private = await world.join(ParticipantKind.PROVIDER, region="guizhou", ownership=Ownership.PRIVATE)
    away = await world.join(ParticipantKind.PROVIDER, region="henan")
    rule = ProviderRule(ownership="state", regions=("guizhou",))
    programme = await world.programme(issuer, rule)
    product = world.product()
    for provider, pays in ((away, False), (private, False), (here, True)):
        buyer = await world.join(ParticipantKind.BUYER)
        await world.deposit(buyer, 10_000)
        voucher = await world.issue(issuer, programme, buyer, 1_000)
        await world.ask(provider, product, price=1_000)
        bid = await world.bid(buyer, product, price=1_000, vouchers="auto", voucher_policy="prefer")
        assert bid.status is OrderStatus.FILLED
        assert bid.fills[0].voucher_cny == ("10.00" if pays else "0.00")  # 30 % of 40.00, of 10.00 there are
        left = await world.voucher(voucher, buyer)
        assert left.balances.committed_fen == (1_000 if pays else 0)


async def test_the_rate_is_computed_from_the_order_and_its_company(world: MarketWorld) -> None:
    issuer, provider = await world.join(ParticipantKind.ISSUER), await world.join(ParticipantKind.PROVIDER)
    small_contract = (
        Condition(fact=Fact.SIZE_CLASS, is_one_of=("micro", "small")),
        Condition(fact=Fact.CONTRACT_FEN, at_most=4_000),
    )
    tiers = (RateTier(bps=5_000, when=small_contract), RateTier(bps=2_000))
    programme = await world.programme(issuer, provider, rate_tiers=tiers)
    product = world.product()
    for size_class, gpus, held_cny in (
        (SizeClass.SMALL, 1, "20.00"),
        (SizeClass.SMALL, 2, "16.00"),
        (SizeClass.LARGE, 1, "8.00"),
    ):
        buyer = await world.join(ParticipantKind.BUYER, size_class=size_class)
        await world.deposit(buyer, 10_000)
        await world.issue(issuer, programme, buyer, 5_000)
        bid = await world.bid(buyer, product, price=1_000, quantity_gpus=gpus, vouchers="auto")
        assert bid.held is not None
        assert [each.held_cny for each in bid.held.vouchers] == [held_cny]


async def test_vouchers_pay_no_share_above_the_price_cap_before_and_after_a_restart(
    database_url: str, tmp_path: Path
) -> None:
    async with open_market(database_url, tmp_path) as world:
        issuer = await world.join(ParticipantKind.ISSUER)
        provider, buyer = await world.traders(1_000_000)
        product = world.product()
        reference = world.exchange.products[product].reference_price_ticks
        programme = await world.programme(
            issuer, provider, rate_tiers=(RateTier(bps=5_000),), price_cap="reference"
        )
        voucher = await world.issue(issuer, programme, buyer, 40_000)
        limit = reference + 20
        bid = await world.bid(
            buyer, product, price=limit, quantity_gpus=2, vouchers="auto", voucher_policy="only_eligible"
        )
        held = 4 * 2 * reference // 2
        assert (await world.voucher(voucher, buyer)).balances.held_fen == held
        await world.ask(provider, product, price=limit)
        now_us = world.clock.now_us()
    async with open_market(database_url, tmp_path, now_us) as world:
        await world.ask(provider, product, price=limit)
        (filled,) = [each for each in await world.exchange.orders.page(buyer, limit=9) if each.id == bid.id]
        assert filled.status is OrderStatus.FILLED
        assert (await world.voucher(voucher, buyer)).balances.committed_fen == held
        assert await world.free_fen(buyer) == 1_000_000 - (8 * limit - held)
        await world.pass_hours(7)
        receivable = await world.free_fen(provider, programme.asset, Purpose.RECEIVABLE)
        assert receivable == held


async def test_versions_follow_each_other_and_never_reach_back(world: MarketWorld) -> None:
    issuer, other = [await world.join(ParticipantKind.ISSUER) for _ in range(2)]
    programme = await world.programme(issuer, await world.join(ParticipantKind.PROVIDER))

    async def add(who: object, programme_id: int = programme.id, **fields: object) -> int:
        rules = fields.pop("rules", programme.rules)
        assert isinstance(rules, ProgrammeRules)
        new = NewVersion(rules=rules, **fields)  # type: ignore[arg-type]  # a test names the fields it means
        async with world.database.transaction() as connection:
            version = await add_version(connection, who, programme_id, new, world.now_us)  # type: ignore[arg-type]  # as above
        return version.number

    with pytest.raises(Forbidden):
        await add(other)
    with pytest.raises(NotFound):
        await add(issuer, 1)
    march = "2026-03-01T00:00:00Z"
    assert await add(issuer, effective_from=march, effective_until="2026-04-01T00:00:00Z") == 2
    raised = msgspec.structs.replace(programme.rules, budget_fen=programme.budget_fen + 1, cashable=True)
    with pytest.raises(InvalidInput) as caught:
        await add(
            issuer,
            rules=raised,
            effective_from=march,
            effective_until="2026-02-28T00:00:00Z",
        )
    assert [(fault.pointer, fault.code) for fault in caught.value.errors] == [
        ("/rules/cashable", "not_supported_yet"),
        ("/effective_until", "window_inverted"),
        ("/rules/budget_fen", "not_applicable"),
    ]
    # The very last time is infinity to the database: stored once, no registry could be read again.
    for last in ("9999-12-31T23:59:59.999999Z", "2199-12-31T16:00:00Z"):
        with pytest.raises(InvalidInput) as caught:
            await add(issuer, effective_from=last, effective_until=last)
        assert [(fault.pointer, fault.code) for fault in caught.value.errors][:2] == [
            ("/effective_from", "out_of_range"),
            ("/effective_until", "out_of_range"),
        ]
    async with world.database.connection() as connection:
        assert [each.number for each in await list_versions(connection, programme.id)] == [1, 2]
        with pytest.raises(NotFound):
            await list_versions(connection, 1)


async def test_nothing_is_issued_or_held_once_the_rules_have_ended(world: MarketWorld) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    provider, buyer = await world.traders(100_000)
    programme = await world.programme(issuer, provider)
    await world.issue(issuer, programme, buyer, 100)
    async with world.database.transaction() as connection:
        ends = NewVersion(rules=programme.rules, effective_until="2026-02-25T08:00:00Z")
        await add_version(connection, issuer, programme.id, ends, world.now_us)
    product = world.product()
    assert (await world.bid(buyer, product, vouchers="auto")).shares is not None
    await world.pass_hours(2)
    assert (await world.bid(buyer, product, vouchers="auto")).shares is None
    with pytest.raises(Conflict) as caught:
        await world.issue(issuer, programme, buyer, 100)
    assert caught.value.code == "programme_not_open"


async def test_an_issue_that_waits_for_new_rules_is_judged_by_them(world: MarketWorld) -> None:
    issuer, buyer = await world.join(ParticipantKind.ISSUER), await world.join(ParticipantKind.BUYER)
    programme = await world.programme(issuer, await world.join(ParticipantKind.PROVIDER))
    stricter = NewVersion(rules=msgspec.structs.replace(programme.rules, cap_per_year_fen=99))
    async with world.database.connection() as observer:
        async with world.database.transaction() as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            await add_version(connection, issuer, programme.id, stricter, world.now_us)
            world.now_us += 1
            waiting = asyncio.create_task(world.issue(issuer, programme, buyer, 100))
            while not await observer.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))", pid
            ):
                assert not waiting.done()
        with pytest.raises(Conflict) as caught:
            await waiting
    assert caught.value.code == "yearly_cap_exceeded"
