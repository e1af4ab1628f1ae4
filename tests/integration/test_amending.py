"""Goal: an amendment happens whole or not at all, says what it did to the order's place, and loses no fen.

Method: the whole exchange in one process; reductions and replacements of bids and asks, before and after
fills, paid in cash and by vouchers, refused by money and by the book, sent twice, and followed by a restart.
Each test ends with the ledger's check, the holds worked out anew, and the fold of the journal.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.kit.auth import Principal
from exchange.kit.errors import Conflict, InvalidInput, NotEnoughMoney, NotFound
from exchange.kit.fields import format_hour
from exchange.kit.ids import decode_id, encode_id
from exchange.orders.models import OrderStatus, OrderView
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import RateTier
from matching.order import Side
from matching.product import Phase
from tests.market_world import MarketWorld, open_market

MONEY_FEN = 10_000


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
    await world.deposit(joined, MONEY_FEN)
    return joined


async def now(world: MarketWorld, owner: Principal, order: OrderView) -> OrderView:
    """Return an order as it is stored."""
    return await world.exchange.orders.get(owner, decode_id("ord", order.id) or 0)


async def codes(world: MarketWorld, order: OrderView) -> list[tuple[str, dict[str, Any]]]:
    """Return what the audit trail has of an order: codes and details."""
    async with world.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT code, detail FROM audit_record WHERE order_id = $1 ORDER BY id",
            decode_id("ord", order.id),
        )
    return [(row["code"], row["detail"]) for row in rows]


async def test_a_smaller_bid_keeps_its_place_and_gets_back_what_it_set_aside(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    rival = await world.join(ParticipantKind.BUYER)
    await world.deposit(rival, MONEY_FEN)
    bid = await world.bid(buyer, product, price=100, quantity_gpus=5)
    await world.bid(rival, product, price=100, quantity_gpus=5)
    smaller = await world.amend(buyer, bid, quantity_gpus=2)
    assert (smaller.id, smaller.priority, smaller.quantity_gpus) == (bid.id, "kept", 2)
    assert smaller.held is not None
    assert smaller.held.cash_cny == "8.00"
    assert await world.free_fen(buyer) == MONEY_FEN - 800
    await world.ask(provider, product, price=100, quantity_gpus=1)
    after = await now(world, buyer, bid)
    assert (after.filled_gpus, after.remaining_gpus) == (1, 1)
    assert [code for code, _ in await codes(world, bid)] == ["NEWO", "REME", "PARF"]


async def test_a_bid_reduced_to_what_is_filled_is_over(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    await world.ask(provider, product, price=100, quantity_gpus=2)
    bid = await world.bid(buyer, product, price=100, quantity_gpus=5)
    over = await world.amend(buyer, bid, quantity_gpus=2)
    assert (over.status, over.reason, over.priority) == (OrderStatus.CANCELLED, "reduced_to_nothing", "kept")
    assert [fill.quantity_gpus for fill in over.fills] == [2]
    assert (over.quantity_gpus, over.filled_gpus, over.remaining_gpus) == (5, 2, 0)
    assert await world.free_fen(buyer) == MONEY_FEN - 800


async def test_another_price_is_another_order_behind_all_of_its_price(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    rival = await world.join(ParticipantKind.BUYER)
    await world.deposit(rival, MONEY_FEN)
    bid = await world.bid(buyer, product, price=90)
    first = await world.bid(rival, product, price=100)
    dearer = await world.amend(buyer, bid, price=100)
    assert (dearer.priority, dearer.replaces, dearer.status) == ("lost", bid.id, OrderStatus.RESTING)
    assert (dearer.client_order_id, dearer.price_cny_per_gpu_hour) == (bid.client_order_id, "1.00")
    old = await now(world, buyer, bid)
    assert (old.status, old.reason, old.replaced_by) == (OrderStatus.CANCELLED, "replaced", dearer.id)
    assert await world.free_fen(buyer) == MONEY_FEN - 400
    await world.ask(provider, product, price=100)
    assert (await now(world, rival, first)).status is OrderStatus.FILLED
    assert (await now(world, buyer, dearer)).status is OrderStatus.RESTING
    assert [code for code, _ in await codes(world, bid)] == ["NEWO", "REME"]
    assert [code for code, _ in await codes(world, dearer)] == ["NEWO"]
    listed = await world.exchange.orders.page(buyer, client_order_id=bid.client_order_id, limit=10)
    assert [each.id for each in listed] == [dearer.id, bid.id]


async def test_the_money_of_the_old_order_pays_for_the_new_one(world: MarketWorld, buyer: Principal) -> None:
    product = world.product()
    bid = await world.bid(buyer, product, price=100, quantity_gpus=20)
    assert await world.free_fen(buyer) == MONEY_FEN - 8_000
    larger = await world.amend(buyer, bid, quantity_gpus=25)
    assert (larger.priority, larger.quantity_gpus) == ("lost", 25)
    assert await world.free_fen(buyer) == 0
    with pytest.raises(NotEnoughMoney, match=r"must set aside 100.04 CNY, of which 100.00") as refused:
        await world.amend(buyer, larger, quantity_gpus=61, price=41)
    assert refused.value.outcome == "not_applied"
    assert await now(world, buyer, larger) == msgspec.structs.replace(larger, priority=None)
    assert [code for code, _ in await codes(world, larger)] == ["NEWO", "REMO"]
    assert await world.free_fen(buyer) == 0


async def test_what_is_filled_stays_with_the_order_that_traded(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    await world.ask(provider, product, price=100, quantity_gpus=2, window=(3, 7))
    bid = await world.bid(buyer, product, price=100, quantity_gpus=5, window=(0, 10), hours=4)
    dearer = await world.amend(buyer, bid, price=110)
    assert (dearer.quantity_gpus, dearer.filled_gpus) == (3, 0)
    # The run is where the first fill has put it.
    assert (dearer.starts_at, dearer.ends_at) == (
        format_hour(world.first_hour + 3),
        format_hour(world.first_hour + 7),
    )
    old = await now(world, buyer, bid)
    assert (old.quantity_gpus, old.filled_gpus, len(old.fills)) == (5, 2, 1)
    await world.ask(provider, product, price=100, quantity_gpus=4, window=(3, 7))
    filled = await now(world, buyer, dearer)
    assert (filled.status, filled.filled_gpus) == (OrderStatus.FILLED, 3)


async def test_an_amendment_that_fills_tells_its_fills(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    await world.ask(provider, product, price=100, quantity_gpus=3)
    bid = await world.bid(buyer, product, price=90, quantity_gpus=5)
    filled = await world.amend(buyer, bid, price=120, time_in_force="ioc")
    assert (filled.status, filled.reason) == (OrderStatus.CANCELLED, "immediate_remainder")
    assert [fill.quantity_gpus for fill in filled.fills] == [3]
    assert await world.free_fen(buyer) == MONEY_FEN - 1_200


async def test_a_smaller_whole_quantity_bid_may_trade_and_tells_it(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    await world.ask(provider, product, price=100, quantity_gpus=3)
    bid = await world.bid(buyer, product, price=100, quantity_gpus=5, fill="all_or_none")
    filled = await world.amend(buyer, bid, quantity_gpus=3)
    assert (filled.status, filled.priority) == (OrderStatus.FILLED, "kept")
    assert [fill.quantity_gpus for fill in filled.fills] == [3]


async def test_an_ask_is_made_smaller_below_what_it_has_sold_in_some_hours(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    ask = await world.ask(provider, product, price=100, quantity_gpus=4, window=(0, 2))
    await world.bid(buyer, product, price=100, quantity_gpus=3, window=(0, 1))
    smaller = await world.amend(provider, ask, quantity_gpus=1)
    assert (smaller.priority, smaller.quantity_gpus, smaller.filled_gpu_hours) == ("kept", 1, 3)
    last = await world.bid(buyer, product, price=100, quantity_gpus=2, window=(1, 2))
    assert last.filled_gpus == 1
    assert (await now(world, provider, ask)).status is OrderStatus.FILLED


async def test_an_ask_is_replaced_by_what_is_left_where_that_is_a_rectangle(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    ask = await world.ask(provider, product, price=100, quantity_gpus=4, window=(0, 8))
    await world.bid(buyer, product, price=100, quantity_gpus=1, window=(0, 4))
    with pytest.raises(Conflict) as refused:
        await world.amend(provider, ask, price=120)
    assert refused.value.code == "unevenly_sold"
    later = await world.amend(provider, ask, price=120, window=(4, 8))
    assert (later.quantity_gpus, later.priority) == (4, "lost")
    await world.bid(buyer, product, price=120, quantity_gpus=2, window=(4, 8))
    dearer = await world.amend(provider, later, price=130)
    assert dearer.quantity_gpus == 2
    assert await free_gpus(world, product) == [0, 0, 0, 0, 2, 2, 2, 2]


async def test_no_replacement_lists_again_what_an_ask_has_sold(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    ask = await world.ask(provider, product, price=100, quantity_gpus=4, window=(0, 4))
    await world.bid(buyer, product, price=100, quantity_gpus=3, window=(0, 4))
    with pytest.raises(Conflict, match="the 3 GPUs that are filled") as refused:
        await world.amend(provider, ask, quantity_gpus=3, price=110)
    assert refused.value.code == "nothing_left"
    larger = await world.amend(provider, ask, quantity_gpus=6)
    assert (larger.quantity_gpus, larger.priority) == (3, "lost")
    await world.bid(buyer, product, price=100, quantity_gpus=3, window=(1, 2))
    for window in ((0, 4), (1, 2), (0, 6)):
        with pytest.raises(Conflict) as refused:
            await world.amend(provider, larger, window=window, quantity_gpus=9)
        assert refused.value.code == "unevenly_sold"
    assert await free_gpus(world, product) == [3, 0, 3, 3, 0, 0, 0, 0]


async def free_gpus(world: MarketWorld, product: str) -> list[int]:
    """Return what the book has to sell in each of the next eight hours."""
    book = world.exchange.orders.book(product)
    return book.kept_supply().free(world.first_hour, world.first_hour + 8)


async def test_what_the_book_refuses_changes_nothing(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    await world.ask(provider, product, price=100)
    bid = await world.bid(buyer, product, price=90, post_only=True)
    free_fen = await world.free_fen(buyer)
    with pytest.raises(Conflict, match="stays as it was") as refused:
        await world.amend(buyer, bid, price=100)
    assert (refused.value.code, refused.value.outcome) == ("order_rejected", "not_applied")
    assert [(fault.pointer, fault.code) for fault in refused.value.errors] == [
        ("/post_only", "post_only_would_trade")
    ]
    operator = await world.join(ParticipantKind.OPERATOR)
    await world.exchange.orders.set_phase(operator, product, Phase.HALTED)
    changes: tuple[dict[str, Any], ...] = ({"quantity_gpus": 2}, {"price": 80})
    for change in changes:
        with pytest.raises(Conflict) as refused:
            await world.amend(buyer, bid, **change)
        assert refused.value.errors[0].pointer == "/product"
    await world.exchange.orders.set_phase(operator, product, Phase.OPEN)
    assert await now(world, buyer, bid) == bid
    assert await world.free_fen(buyer) == free_fen
    told = await codes(world, bid)
    assert [code for code, _ in told] == ["NEWO", "REMO", "REMO", "REMO"]
    assert (await world.amend(buyer, bid, price=100, post_only=False)).status is OrderStatus.FILLED


async def test_every_fault_of_an_amendment_is_named(world: MarketWorld, buyer: Principal) -> None:
    product = world.product(lot_gpus=8)
    bid = await world.bid(buyer, product, price=world.exchange.products[product].reference_price_ticks // 9)
    wrong: dict[str, Any] = {
        "quantity_gpus": 13,
        "window": (-3, -4),
        "min_hours": 2,
        "expires_at": format_hour(1),
    }
    with pytest.raises(InvalidInput) as refused:
        await world.amend(buyer, bid, **wrong)
    assert {fault.pointer: fault.code for fault in refused.value.errors} == {
        "/quantity_gpus": "not_a_lot_multiple",
        "/starts_at": "window_in_past",
        "/ends_at": "window_inverted",
        "/min_hours": "not_applicable",
        "/expires_at": "not_applicable",
    }
    with pytest.raises(InvalidInput, match="at least one field"):
        await world.amend(buyer, bid)
    with pytest.raises(InvalidInput, match="multiple of the product's lot of 8"):
        await world.amend(buyer, bid, quantity_gpus=5)
    assert await now(world, buyer, bid) == bid


async def test_what_is_named_and_not_different_is_not_changed(world: MarketWorld, buyer: Principal) -> None:
    product = world.product()
    bid = await world.bid(buyer, product, price=100, quantity_gpus=3, window=(0, 9), hours=2)
    same: dict[str, Any] = {
        "price": 100,
        "window": (0, 9),
        "hours": 2,
        "require": [],
        "vouchers": "none",
        "time_in_force": "gtc",
        "fill": "partial",
    }
    assert (await world.amend(buyer, bid, **same)).priority == "kept"
    smaller = await world.amend(buyer, bid, quantity_gpus=1, **same)
    assert (smaller.id, smaller.priority, smaller.quantity_gpus) == (bid.id, "kept", 1)
    assert [code for code, _ in await codes(world, bid)] == ["NEWO", "REME"]


async def test_terms_leave_with_what_they_belong_to(world: MarketWorld, buyer: Principal) -> None:
    product = world.product()
    until = format_hour(world.first_hour + 1)
    bid = await world.bid(buyer, product, price=100, time_in_force="gtd", expires_at=until)
    lasting = await world.amend(buyer, bid, time_in_force="gtc")
    assert (lasting.expires_at, lasting.status) == (None, OrderStatus.RESTING)
    killed = await world.amend(buyer, lasting, time_in_force="fok")
    assert (killed.status, killed.reason, killed.fill) == (
        OrderStatus.CANCELLED,
        "not_filled_whole",
        "all_or_none",
    )


async def test_an_order_may_be_amended_only_as_its_sender_last_saw_it(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    product = world.product()
    bid = await world.bid(buyer, product, price=100, quantity_gpus=5)
    await world.ask(provider, product, price=100, quantity_gpus=2)
    with pytest.raises(Conflict, match="must be 8") as refused:
        await world.amend(buyer, bid, quantity_gpus=3, expected_filled_gpu_hours=0)
    assert refused.value.code == "order_changed"
    smaller = await world.amend(buyer, bid, quantity_gpus=3, expected_filled_gpu_hours=8)
    assert (smaller.quantity_gpus, smaller.filled_gpus, len(smaller.fills)) == (3, 2, 1)


async def test_a_foreign_order_is_not_found_and_one_that_is_over_is_not_amended(
    world: MarketWorld, provider: Principal, buyer: Principal
) -> None:
    bid = await world.bid(buyer, world.product(), price=100)
    with pytest.raises(NotFound):
        await world.amend(provider, bid, quantity_gpus=1)
    await world.exchange.orders.cancel(buyer, decode_id("ord", bid.id) or 0)
    with pytest.raises(Conflict) as refused:
        await world.amend(buyer, bid, price=99)
    assert refused.value.code == "order_not_live"
    assert refused.value.detail == f"order {bid.id} is over: cancelled (requested)"
    [fault] = refused.value.errors
    assert (fault.code, fault.detail, fault.value) == ("order_over", "is cancelled (requested)", "cancelled")


async def test_who_names_a_replaced_order_is_told_what_goes_on_for_it(
    world: MarketWorld, buyer: Principal
) -> None:
    product = world.product()
    first = await world.bid(buyer, product, price=100)
    second = await world.amend(buyer, first, price=101)
    third = await world.amend(buyer, second, price=102)

    async def cancel(order: OrderView) -> None:
        await world.exchange.orders.cancel(buyer, decode_id("ord", order.id) or 0)

    async def amend(order: OrderView) -> None:
        await world.amend(buyer, order, price=103)

    for state in ("resting", "cancelled (requested)"):
        for replaced in (first, second):
            for attempt in (cancel, amend):
                with pytest.raises(Conflict) as refused:
                    await attempt(replaced)
                assert refused.value.code == "order_not_live"
                heir = f"{third.id} goes on for it, and is {state}"
                assert refused.value.detail == f"order {replaced.id} is over: cancelled (replaced); {heir}"
                [fault] = refused.value.errors
                assert (fault.code, fault.detail, fault.value) == ("order_replaced", heir, third.id)
        if state == "resting":
            assert (await now(world, buyer, third)).status is OrderStatus.RESTING
            await cancel(third)


async def test_an_amendment_sent_twice_has_one_effect_whatever_happens_between(
    database_url: str, tmp_path: Path
) -> None:
    async with open_market(database_url, tmp_path) as world:
        buyer = await world.join(ParticipantKind.BUYER)
        await world.deposit(buyer, MONEY_FEN)
        bid = await world.bid(buyer, world.product(), price=100, quantity_gpus=2)
        dearer = await world.amend(buyer, bid, price=101, once_key="dearer")
        assert await world.amend(buyer, bid, price=101, once_key="dearer") == dearer
        with pytest.raises(InvalidInput) as refused:
            await world.amend(buyer, bid, price=102, once_key="dearer")
        assert refused.value.code == "idempotency_key_reused"
        smaller = await world.amend(buyer, dearer, quantity_gpus=1, once_key="smaller")
        now_us = world.clock.now_us()
    async with open_market(database_url, tmp_path, now_us) as world:
        again = await world.amend(buyer, bid, price=101, once_key="dearer")
        assert (again.id, again.priority, again.quantity_gpus) == (dearer.id, "lost", 1)
        assert await world.amend(buyer, dearer, quantity_gpus=1, once_key="smaller") == smaller
        assert await world.free_fen(buyer) == MONEY_FEN - 404
        placed_again = msgspec.structs.replace(
            world.order(Side.BUY, bid.product, price=100, quantity_gpus=2),
            client_order_id=bid.client_order_id,
        )
        replaced = await world.exchange.orders.place(buyer, placed_again)
        assert (replaced.replayed, replaced.view.id, replaced.view.replaced_by) == (True, bid.id, dearer.id)
        dearest = await world.amend(buyer, dearer, price=102)
        assert (dearest.replaces, dearest.client_order_id) == (dearer.id, bid.client_order_id)


@pytest.mark.parametrize("mode", ["instant", "reimburse"])
async def test_the_vouchers_of_the_old_order_pay_for_the_new_one_by_the_rules_of_now(
    world: MarketWorld, provider: Principal, buyer: Principal, mode: str
) -> None:
    issuer = await world.join(ParticipantKind.ISSUER)
    programme = await world.programme(
        issuer,
        provider,
        mode=mode,
        cap_counts="redeemed",
        cap_per_year_fen=1_000,
        rate_tiers=(RateTier(bps=5_000),),
    )
    voucher = await world.issue(issuer, programme, buyer, 1_000)
    product = world.product()
    bid = await world.bid(
        buyer, product, price=100, quantity_gpus=4, vouchers="auto", voucher_policy="only_eligible"
    )
    assert bid.held is not None
    assert [held.held_cny for held in bid.held.vouchers] == ["8.00"]
    # The cap and the voucher have 2.00 left: without what the old order holds the new one could not have 10.
    dearer = await world.amend(buyer, bid, quantity_gpus=5)
    assert dearer.held is not None
    assert [held.held_cny for held in dearer.held.vouchers] == ["10.00"]
    await world.change_rules(issuer, programme, rate_tiers=(RateTier(bps=2_500),))
    smaller = await world.amend(buyer, dearer, quantity_gpus=4)
    assert smaller.shares is not None
    assert [share.rate_bps for share in smaller.shares] == [5_000]  # it keeps its place and its terms
    later = await world.amend(buyer, smaller, window=(1, 5))
    assert later.shares is not None
    assert [share.rate_bps for share in later.shares] == [2_500]
    plain = await world.amend(buyer, later, vouchers="none")
    assert (plain.shares, plain.voucher_policy) == (None, None)
    assert (await world.voucher(voucher, buyer)).balances.available_fen == 1_000
    with pytest.raises(Conflict) as refused:
        await world.amend(buyer, plain, vouchers=[encode_id("vch", voucher.id + 1)])
    assert (refused.value.code, refused.value.outcome) == ("no_usable_voucher", "not_applied")
    assert (await now(world, buyer, plain)).status is OrderStatus.RESTING
