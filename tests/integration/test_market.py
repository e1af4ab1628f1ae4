"""Goal: capacity and demand trade end to end, and the money of every step is exact.

Method: the whole exchange in one process on the real PostgreSQL, venue time driven by hand. Every test ends
with the ledger's own check of all balances and with each book compared with the fold of its journal (see
`open_market`).
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from exchange.kit.auth import Principal
from exchange.kit.database import CheckViolation
from exchange.kit.errors import Conflict, Forbidden, InvalidInput, NotEnoughMoney, NotFound
from exchange.kit.fields import format_hour
from exchange.kit.ids import decode_id, encode_id
from exchange.ledger.models import Purpose
from exchange.orders.models import OrderStatus, OrderView
from exchange.participants.models import EXCHANGE_ID, ParticipantKind
from exchange.programmes.rules import asset_of
from exchange.settlement.leases import get_delivery, get_lease, page_of_leases, report_outage
from exchange.settlement.models import LeaseStatus, NewOutage
from matching.order import Side
from matching.product import Phase
from tests.market_world import MarketWorld, open_market

FEE_BPS = 50


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[MarketWorld]:
    async with open_market(database_url, tmp_path) as opened:
        yield opened


@pytest.fixture
async def provider(world: MarketWorld) -> Principal:
    return await world.join(ParticipantKind.PROVIDER)


@pytest.fixture
async def buyer(world: MarketWorld) -> Principal:
    joined = await world.join(ParticipantKind.BUYER)
    await world.deposit(joined, 1_000_000)
    return joined


def order_id(view: OrderView) -> int:
    number = decode_id("ord", view.id)
    assert number is not None
    return number


async def fees(world: MarketWorld) -> int:
    exchange = msgspec.structs.replace(await world.join(ParticipantKind.OPERATOR), participant_id=EXCHANGE_ID)
    return await world.free_fen(exchange, purpose=Purpose.FEES)


async def test_a_bid_takes_the_cheapest_ask_and_gets_the_difference_back(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    await world.ask(provider, product, price=500, quantity_gpus=2)
    cheap = await world.ask(provider, product, price=400, quantity_gpus=1)
    bid = await world.bid(buyer, product, price=450, quantity_gpus=1, window=(0, 3))
    assert bid.status is OrderStatus.FILLED
    assert [fill.price_cny_per_gpu_hour for fill in bid.fills] == ["4.00"]
    assert bid.held is not None
    assert bid.held.cash_cny == "0.00"
    assert await world.free_fen(buyer) == 1_000_000 - 400 * 3
    assert (await world.exchange.orders.get(provider, order_id(cheap))).filled_gpu_hours == 3


async def test_money_goes_hour_by_hour_to_the_provider_less_the_fee(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    await world.ask(provider, product, price=999, quantity_gpus=4)
    await world.bid(buyer, product, price=999, quantity_gpus=4)
    hour_fen = 999 * 4
    # Half of a hundredth of an hour is 19.98 fen: rounded up, and over the hours together.
    fees_fen = [0, 20, 40, 60, 80]
    paid = []
    for _ in range(7):
        await world.pass_hours(1)
        paid.append(await world.free_fen(provider))
    # The first hour begins after one hour, ends after two, and is paid when its report time is over after
    # three.
    assert paid == [0, 0, *[hour_fen * hours - fees_fen[hours] for hours in (1, 2, 3, 4, 4)]]
    assert await fees(world) == fees_fen[4]
    async with world.database.connection() as connection:
        with pytest.raises(CheckViolation, match="lease_fee_of_delivered_hours"):
            await connection.execute("UPDATE lease SET fee_fen = fee_fen + 1")
    assert await world.free_fen(buyer, purpose=Purpose.ESCROW) == 0


async def test_a_reported_outage_returns_its_hour_to_the_buyer(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    await world.ask(provider, product, price=1000)
    await world.bid(buyer, product, price=1000)
    second_hour = format_hour(world.first_hour + 1)
    async with world.database.transaction() as connection:
        (lease,) = await page_of_leases(connection, buyer, before_id=2**62, limit=5, now_us=world.now_us)
        lease_id = decode_id("lse", lease.id)
        assert lease_id is not None
        outage = NewOutage(hours=[second_hour], reason="power lost")
        delivery = await report_outage(connection, provider, lease_id, outage, world.now_us)
    assert [hour.status for hour in delivery.hours] == ["pending"] * 4
    await world.pass_hours(6)
    assert await world.free_fen(buyer) == 1_000_000 - 3 * 1000
    assert await world.free_fen(provider) == 3 * 995
    async with world.database.transaction() as connection:
        delivery = await get_delivery(connection, buyer, lease_id)
        assert [hour.status for hour in delivery.hours] == ["delivered", "failed", "delivered", "delivered"]
        assert delivery.hours[1].reason == "power lost"
        lease = await get_lease(connection, buyer, lease_id, world.now_us)
        assert (lease.status, lease.failed_hours, lease.captured_cny, lease.returned_cny) == (
            LeaseStatus.SETTLED,
            1,
            "30.00",
            "10.00",
        )
        with pytest.raises(Conflict, match="settled"):
            await report_outage(connection, provider, lease_id, outage, world.now_us)


async def test_an_outage_outside_of_the_lease_or_of_another_provider_is_refused(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    await world.ask(provider, product)
    await world.bid(buyer, product)
    stranger = await world.join(ParticipantKind.PROVIDER)
    async with world.database.transaction() as connection:
        (lease,) = await page_of_leases(connection, buyer, before_id=2**62, limit=5, now_us=world.now_us)
        lease_id = decode_id("lse", lease.id)
        assert lease_id is not None
        outside = NewOutage(
            hours=[format_hour(world.first_hour - 1), format_hour(world.first_hour + 4)], reason="x"
        )
        with pytest.raises(InvalidInput) as refused:
            await report_outage(connection, provider, lease_id, outside, world.now_us)
        assert [fault.pointer for fault in refused.value.errors] == ["/hours/0", "/hours/1"]
        for other in (stranger, buyer):
            with pytest.raises(NotFound):
                await report_outage(connection, other, lease_id, outside, world.now_us)


async def test_too_little_money_denies_the_order_for_ever(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    order = world.order(Side.BUY, product, price=1000, quantity_gpus=251)
    for replayed in (False, True):
        with pytest.raises(NotEnoughMoney) as refused:
            await world.exchange.orders.place(buyer, order)
        assert refused.value.headers == ({"Idempotent-Replayed": "true"} if replayed else {})
    await world.deposit(buyer, 10**9)
    with pytest.raises(NotEnoughMoney):  # one outcome per client order id, money or not
        await world.exchange.orders.place(buyer, order)
    await world.ask(provider, product, price=1000, quantity_gpus=251)
    assert (await world.bid(buyer, product, price=1000, quantity_gpus=251)).status is OrderStatus.FILLED


async def test_orders_of_one_batch_share_one_purse(world: MarketWorld, buyer: Principal) -> None:
    product = world.product()
    orders = [world.order(Side.BUY, product, price=1000, quantity_gpus=50) for _ in range(40)]
    outcomes = await asyncio.gather(
        *(world.exchange.orders.place(buyer, order) for order in orders), return_exceptions=True
    )
    refused = [each for each in outcomes if isinstance(each, NotEnoughMoney)]
    assert len(refused) == 35  # five times 200,000 fen are there
    assert await world.free_fen(buyer) == 0


async def test_an_unfilled_order_of_a_batch_leaves_its_money_to_the_next(
    world: MarketWorld, buyer: Principal
) -> None:
    product = world.product()
    orders = [
        world.order(Side.BUY, product, price=1000, quantity_gpus=250, time_in_force="ioc") for _ in range(20)
    ]
    outcomes = await asyncio.gather(*(world.exchange.orders.place(buyer, order) for order in orders))
    assert {each.view.status for each in outcomes} == {OrderStatus.CANCELLED}
    assert await world.free_fen(buyer) == 1_000_000


async def test_one_client_order_id_from_fifty_callers_is_one_order(
    world: MarketWorld, buyer: Principal
) -> None:
    order = world.order(Side.BUY, world.product(), price=100)
    answers = await asyncio.gather(*(world.exchange.orders.place(buyer, order) for _ in range(50)))
    assert len({answer.view.id for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False, *[True] * 49]
    with pytest.raises(InvalidInput, match="another payload"):
        await world.exchange.orders.place(buyer, msgspec.structs.replace(order, quantity_gpus=2))


async def test_a_replay_is_answered_after_its_window_has_passed(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    await world.ask(provider, product)
    order = world.order(Side.BUY, product)
    first = await world.exchange.orders.place(buyer, order)
    await world.pass_hours(8)
    again = await world.exchange.orders.place(buyer, order)
    assert (again.replayed, again.view.id) == (True, first.view.id)
    with pytest.raises(InvalidInput, match="starts_at"):
        await world.exchange.orders.place(buyer, msgspec.structs.replace(order, client_order_id="new"))


async def test_cancelling_gives_the_money_back_once(world: MarketWorld, buyer: Principal) -> None:
    bid = await world.bid(buyer, world.product(), price=1000)
    assert await world.free_fen(buyer) == 996_000
    cancelled = await world.exchange.orders.cancel(buyer, order_id(bid))
    assert (cancelled.status, cancelled.reason) == (OrderStatus.CANCELLED, "requested")
    assert cancelled == await world.exchange.orders.get(buyer, order_id(bid))
    assert await world.free_fen(buyer) == 1_000_000
    with pytest.raises(Conflict):
        await world.exchange.orders.cancel(buyer, order_id(bid))


async def test_a_foreign_order_is_not_found(world: MarketWorld, buyer: Principal) -> None:
    bid = await world.bid(buyer, world.product(), price=100)
    other = await world.join(ParticipantKind.BUYER)
    for action in (world.exchange.orders.get, world.exchange.orders.cancel):
        with pytest.raises(NotFound):
            await action(other, order_id(bid))
    assert await world.exchange.orders.page(other, limit=10) == []


async def test_roles_are_kept(world: MarketWorld, provider: Principal, buyer: Principal) -> None:
    product = world.product()
    with pytest.raises(Forbidden):
        await world.ask(buyer, product)
    with pytest.raises(Forbidden):
        await world.bid(provider, product)


async def test_the_book_rejects_a_price_beyond_the_collar_and_post_only_that_would_trade(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    await world.ask(provider, product)
    with pytest.raises(Conflict) as refused:
        await world.bid(buyer, product, post_only=True)
    assert refused.value.errors[0].code == "post_only_would_trade"
    assert refused.value.outcome == "applied"
    with pytest.raises(Conflict) as refused:
        await world.ask(provider, product, price=10**9)
    assert refused.value.errors[0].code == "price_outside_collar"
    assert await world.free_fen(buyer) == 1_000_000


async def test_an_expired_bid_frees_its_money(world: MarketWorld, buyer: Principal) -> None:
    bid = await world.bid(buyer, world.product(), price=100)
    await world.pass_hours(1)
    seen = await world.exchange.orders.get(buyer, order_id(bid))
    assert (seen.status, seen.reason) == (OrderStatus.EXPIRED, "no_feasible_start")
    assert await world.free_fen(buyer) == 1_000_000


async def test_a_halted_product_takes_no_orders_until_it_opens(
    world: MarketWorld, provider: Principal
) -> None:
    product = world.product()
    await world.exchange.orders.set_phase(provider, product, Phase.HALTED)
    with pytest.raises(Conflict) as refused:
        await world.ask(provider, product)
    assert refused.value.errors[0].code == "phase"
    await world.exchange.orders.set_phase(provider, product, Phase.OPEN)
    assert (await world.ask(provider, product)).status is OrderStatus.RESTING


async def test_one_trade_group_never_trades_with_itself(world: MarketWorld) -> None:
    product = world.product()
    async with world.database.transaction() as connection:
        await connection.execute("INSERT INTO trade_group VALUES (77, 'one group', now(), 'one group')")
    provider = await world.join(ParticipantKind.PROVIDER)
    buyer = await world.join(ParticipantKind.BUYER)
    await world.deposit(buyer, 1_000_000)
    async with world.database.transaction() as connection:
        await connection.execute("UPDATE participant SET trade_group_id = 77 WHERE id = ANY ($1::bigint[])",
                                 [provider.participant_id, buyer.participant_id])  # fmt: skip
    await world.ask(provider, product)
    assert (await world.bid(buyer, product)).status is OrderStatus.RESTING
    async with world.database.connection() as connection:
        codes = await connection.fetch("SELECT code FROM audit_record WHERE code = 'STPV'")
    assert len(codes) == 1


async def test_set_aside_and_required_capacity_meet_only_their_own(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product(domestic=True)
    await world.ask(provider, product, reserved_for=["startup"])
    large = await world.join(ParticipantKind.BUYER, size_class="large")  # type: ignore[arg-type]
    await world.deposit(large, 10**9)
    assert (await world.bid(large, product)).status is OrderStatus.RESTING
    assert (await world.bid(buyer, product, require=["domestic", "state_owned"])).status is OrderStatus.FILLED


async def test_a_voucher_pays_its_share_from_order_to_claim(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    issuer = await world.join(ParticipantKind.ISSUER)
    programme = await world.programme(issuer, provider)  # 30 %
    voucher = await world.issue(issuer, programme, buyer, 10_000)
    await world.ask(provider, product, price=1001)
    bid = await world.bid(buyer, product, price=1100, vouchers="auto")
    share = 1001 * 4 * 3000 // 10_000
    assert bid.status is OrderStatus.FILLED
    assert bid.fills[0].voucher_cny == f"{share // 100}.{share % 100:02d}"
    assert await world.free_fen(buyer) == 1_000_000 - (1001 * 4 - share)
    committed = (await world.voucher(voucher, buyer)).balances
    assert (committed.available_fen, committed.committed_fen) == (10_000 - share, share)
    await world.pass_hours(7)
    captured = (await world.voucher(voucher, buyer)).balances
    assert (captured.committed_fen, captured.captured_fen) == (0, share)
    receivable = await world.free_fen(provider, asset_of(programme.id), Purpose.RECEIVABLE)
    assert receivable == share
    fee = -(-1001 * 4 * FEE_BPS // 10_000)
    assert await world.free_fen(provider) == 1001 * 4 - share - fee


async def test_a_failed_hour_returns_vouchers_as_vouchers(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    issuer = await world.join(ParticipantKind.ISSUER)
    programme = await world.programme(issuer, provider)
    voucher = await world.issue(issuer, programme, buyer, 10_000)
    await world.ask(provider, product, price=1000)
    await world.bid(buyer, product, price=1000, vouchers=[encode_id("vch", voucher.id)])
    async with world.database.transaction() as connection:
        (lease,) = await page_of_leases(connection, buyer, before_id=2**62, limit=5, now_us=world.now_us)
        lease_id = decode_id("lse", lease.id)
        assert lease_id is not None
        hours = [format_hour(world.first_hour + hour) for hour in range(4)]
        await report_outage(connection, provider, lease_id, NewOutage(hours=hours, reason="x"), world.now_us)
    await world.pass_hours(7)
    assert (await world.voucher(voucher, buyer)).balances.available_fen == 10_000
    assert await world.free_fen(buyer) == 1_000_000
    assert await world.free_fen(provider) == 0


async def test_only_eligible_trades_with_admitted_providers_and_holds_its_own_share_only(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    other = await world.join(ParticipantKind.PROVIDER)
    issuer = await world.join(ParticipantKind.ISSUER)
    programme = await world.programme(issuer, provider)
    await world.issue(issuer, programme, buyer, 10_000)
    await world.ask(other, product, price=900)
    bid = await world.bid(buyer, product, price=1000, vouchers="auto", voucher_policy="only_eligible")
    assert bid.status is OrderStatus.RESTING
    assert await world.free_fen(buyer) == 1_000_000 - (4000 - 1200)
    await world.ask(provider, product, price=1000)
    assert (await world.exchange.orders.get(buyer, order_id(bid))).status is OrderStatus.FILLED


async def test_prefer_holds_the_full_cash_and_frees_it_where_the_voucher_pays(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    other = await world.join(ParticipantKind.PROVIDER)
    issuer = await world.join(ParticipantKind.ISSUER)
    programme = await world.programme(issuer, provider)
    voucher = await world.issue(issuer, programme, buyer, 10_000)
    bid = await world.bid(buyer, product, price=1000, quantity_gpus=2, vouchers="auto")
    assert bid.held is not None
    assert (bid.held.cash_cny, [held.held_cny for held in bid.held.vouchers]) == ("80.00", ["24.00"])
    await world.ask(other, product, price=1000)
    await world.ask(provider, product, price=1000)
    filled = await world.exchange.orders.get(buyer, order_id(bid))
    assert [fill.voucher_cny for fill in filled.fills] == ["0.00", "12.00"]
    assert await world.free_fen(buyer) == 1_000_000 - 4000 - 2800
    assert (await world.voucher(voucher, buyer)).balances.available_fen == 10_000 - 1200


async def test_vouchers_that_cannot_pay_are_refused_with_their_reasons(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    programme = await world.programme(issuer, provider)
    stranger = await world.join(ParticipantKind.BUYER)
    foreign = await world.issue(issuer, programme, stranger, 10_000)
    with pytest.raises(Conflict) as refused:
        await world.bid(buyer, world.product(), vouchers=[encode_id("vch", foreign.id)])
    assert refused.value.code == "no_usable_voucher"
    assert len(refused.value.errors) == 1
    with pytest.raises(Conflict):
        await world.bid(buyer, world.product(), vouchers="auto", voucher_policy="only_eligible")
    assert (await world.bid(buyer, world.product(), price=100, vouchers="auto")).status is OrderStatus.RESTING


async def test_a_restart_finds_the_book_the_money_and_the_leases(database_url: str, tmp_path: Path) -> None:
    async with open_market(database_url, tmp_path) as world:
        provider = await world.join(ParticipantKind.PROVIDER)
        buyer = await world.join(ParticipantKind.BUYER)
        await world.deposit(buyer, 1_000_000)
        product = world.product()
        issuer = await world.join(ParticipantKind.ISSUER)
        await world.issue(issuer, await world.programme(issuer, provider), buyer, 10_000)
        ask = await world.ask(provider, product, price=1000, quantity_gpus=2)
        await world.bid(buyer, product, price=1000)
        resting = await world.bid(buyer, product, price=900, quantity_gpus=3, vouchers="auto")
        now_us = world.clock.now_us()
    async with open_market(database_url, tmp_path, now_us) as world:
        assert await world.exchange.orders.get(buyer, order_id(resting)) == resting
        # The rest of the old ask and a new one fill the old bid's three at their prices.
        await world.exchange.orders.cancel(provider, order_id(ask))
        await world.ask(provider, product, price=850, quantity_gpus=3)
        filled = await world.exchange.orders.get(buyer, order_id(resting))
        assert filled.status is OrderStatus.FILLED
        assert filled.average_price_cny_per_gpu_hour == "9.0000"
        await world.pass_hours(7)
        assert await world.free_fen(buyer, purpose=Purpose.ESCROW) == 0


async def test_a_second_leader_fences_the_first(database_url: str, tmp_path: Path) -> None:
    async with open_market(database_url, tmp_path) as first:
        provider = await first.join(ParticipantKind.PROVIDER)
        async with open_market(database_url, tmp_path) as second:
            with pytest.raises(Exception, match="another leader"):
                await first.ask(provider, first.product())
            assert not first.exchange.orders.is_ready
            assert (await second.ask(provider, second.product())).status is OrderStatus.RESTING
