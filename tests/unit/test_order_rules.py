"""Goal: whatever is wrong with an order is said, all of it at once, each fault by field, rule and value.

Method: a good order, then one field made wrong at a time, then many at once; and the rules that tie fields
together.
"""

from hashlib import sha256

import msgspec
import pytest

from exchange.kit.errors import Faults
from exchange.kit.fields import format_hour
from exchange.orders.models import NewOrder
from exchange.orders.rules import (
    average_price,
    fingerprint,
    journal_hash,
    needs_mask,
    parse_order,
    read_order,
)
from exchange.products.models import Origin, ProductSpec
from matching.order import Side

FIRST_HOUR = 500_000
PRODUCT = ProductSpec(
    id="nvidia-h100-sxm.guian.ib",
    accelerator_id="nvidia-h100-sxm",
    cluster_code="guian",
    interconnect_code="ib",
    lot_gpus=8,
    tick_fen=1,
    collar_bps=5000,
    reference_price_ticks=1500,
    listing_horizon_hours=2160,
    partition_id=1,
    origin=Origin.FOREIGN,
    hub_code="guizhou",
)
BID = NewOrder(
    client_order_id="b-1",
    product=PRODUCT.id,
    side=Side.BUY,
    quantity_gpus=16,
    starts_at=format_hour(FIRST_HOUR),
    ends_at=format_hour(FIRST_HOUR + 48),
    hours=24,
    price_cny_per_gpu_hour="12.35",
)
ASK = NewOrder(
    client_order_id="a-1",
    product=PRODUCT.id,
    side=Side.SELL,
    quantity_gpus=16,
    starts_at=format_hour(FIRST_HOUR),
    ends_at=format_hour(FIRST_HOUR + 48),
    price_cny_per_gpu_hour="12.35",
)


def faults_of(order: NewOrder, product: ProductSpec | None = PRODUCT) -> dict[str, str]:
    """Return what is found wrong, code by pointer."""
    faults = Faults()
    parsed = parse_order(order, product, first_hour=FIRST_HOUR, faults=faults)
    assert (parsed is None) == bool(faults)
    return {fault.pointer: fault.code for fault in faults.faults}


def changed(order: NewOrder, **fields: object) -> NewOrder:
    return msgspec.structs.replace(order, **fields)


def print_of(order: NewOrder) -> bytes:
    read = read_order(order)
    assert read is not None
    return fingerprint(order, read)


def test_a_good_bid_and_a_good_ask_become_integers() -> None:
    faults = Faults()
    bid = parse_order(BID, PRODUCT, first_hour=FIRST_HOUR, faults=faults)
    ask = parse_order(ASK, PRODUCT, first_hour=FIRST_HOUR, faults=faults)
    assert not faults
    assert bid is not None
    assert ask is not None
    assert (bid.starts_hour, bid.ends_hour, bid.hours, bid.price_ticks) == (
        FIRST_HOUR,
        FIRST_HOUR + 48,
        24,
        1235,
    )
    assert ask.hours == 48


@pytest.mark.parametrize(
    "order,fields,found",
    [
        (BID, {"quantity_gpus": 12}, {"/quantity_gpus": "not_a_lot_multiple"}),
        (BID, {"starts_at": format_hour(FIRST_HOUR - 1)}, {"/starts_at": "window_in_past"}),
        (BID, {"starts_at": "2027-01-15T09:30:00Z"}, {"/starts_at": "not_on_the_hour"}),
        (BID, {"starts_at": "2027-02-30T09:00:00Z"}, {"/starts_at": "bad_time"}),
        (BID, {"ends_at": format_hour(FIRST_HOUR)}, {"/ends_at": "window_inverted"}),
        (BID, {"ends_at": format_hour(FIRST_HOUR - 5)}, {"/ends_at": "window_inverted"}),
        (BID, {"ends_at": format_hour(FIRST_HOUR + 2161)}, {"/ends_at": "beyond_horizon"}),
        (BID, {"hours": 49}, {"/hours": "longer_than_window"}),
        (ASK, {"min_hours": 49}, {"/min_hours": "longer_than_window"}),
        (BID, {"price_cny_per_gpu_hour": "0"}, {"/price_cny_per_gpu_hour": "not_positive"}),
        (BID, {"price_cny_per_gpu_hour": "10000000.01"}, {"/price_cny_per_gpu_hour": "out_of_range"}),
        (BID, {"time_in_force": "gtd"}, {"/expires_at": "required"}),
        (BID, {"expires_at": format_hour(FIRST_HOUR + 1)}, {"/expires_at": "not_applicable"}),
        (BID, {"time_in_force": "ioc", "post_only": True}, {"/post_only": "not_applicable"}),
        (BID, {"time_in_force": "fok", "fill": "partial"}, {"/fill": "not_applicable"}),
        (
            BID,
            {"time_in_force": "gtd", "expires_at": format_hour(FIRST_HOUR - 1)},
            {"/expires_at": "in_past"},
        ),
        (BID, {"min_hours": 2}, {"/min_hours": "not_applicable"}),
        (BID, {"reserved_for": ["startup"]}, {"/reserved_for": "not_applicable"}),
        (
            ASK,
            {"hours": 4, "fill": "partial", "vouchers": "auto"},
            {"/hours": "not_applicable", "/fill": "not_applicable", "/vouchers": "not_applicable"},
        ),
        (BID, {"vouchers": ["vch_x"]}, {"/vouchers/0": "bad_id"}),
        (BID, {"voucher_policy": "only_eligible"}, {"/voucher_policy": "not_applicable"}),
        (
            BID,
            {"vouchers": "none", "voucher_policy": "only_eligible"},
            {"/voucher_policy": "not_applicable"},
        ),
        (BID, {"require": ["state_owned", "domestic"]}, {"/require/1": "not_applicable"}),
        (
            BID,
            {"vouchers": ["vch_0000000000001", "vch_0000000000001"]},
            {"/vouchers/1": "duplicate"},
        ),
    ],
)
def test_each_broken_rule_is_named(order: NewOrder, fields: dict[str, object], found: dict[str, str]) -> None:
    assert faults_of(changed(order, **fields)) == found


def test_an_unknown_product_is_named_and_the_rest_still_judged() -> None:
    order = changed(BID, price_cny_per_gpu_hour="0.00")
    assert faults_of(order, None) == {
        "/product": "unknown_product",
        "/price_cny_per_gpu_hour": "not_positive",
    }


def test_all_faults_come_at_once_and_unread_fields_are_passed_over() -> None:
    order = changed(
        BID,
        quantity_gpus=msgspec.UNSET,
        product=msgspec.UNSET,
        starts_at=format_hour(FIRST_HOUR - 3),
        price_cny_per_gpu_hour="0",
        post_only=True,
        time_in_force="ioc",
        vouchers=["prg_0000000000001"],
    )
    faults = Faults()
    faults.add("/quantity_gpus", "wrong_type", "must be an integer", "x")
    faults.add("/product", "required", "must be given")
    assert parse_order(order, None, first_hour=FIRST_HOUR, faults=faults) is None
    assert {fault.pointer for fault in faults.faults} == {
        "/quantity_gpus",
        "/product",
        "/starts_at",
        "/price_cny_per_gpu_hour",
        "/post_only",
        "/vouchers/0",
    }


def test_the_fingerprint_is_of_the_meaning() -> None:
    assert print_of(BID) == print_of(BID)
    assert print_of(BID) != print_of(changed(BID, quantity_gpus=24))
    vouchers = ["vch_0000000000001", "vch_0000000000002"]
    named = changed(BID, vouchers=vouchers)
    assert print_of(named) == print_of(changed(named, vouchers=vouchers[::-1]))
    assert print_of(named) != print_of(changed(named, vouchers=vouchers[:1]))


@pytest.mark.parametrize(
    "order,fields",
    [
        (BID, {"time_in_force": "gtc"}),
        (BID, {"price_cny_per_gpu_hour": "12.35"}),
        (changed(BID, price_cny_per_gpu_hour="1.7"), {"price_cny_per_gpu_hour": "1.70"}),
        (changed(BID, price_cny_per_gpu_hour="2"), {"price_cny_per_gpu_hour": "2.00"}),
        (BID, {"vouchers": "none"}),
        (BID, {"vouchers": "none", "voucher_policy": "prefer"}),
        (BID, {"fill": "partial", "placement": "any", "require": []}),
        (changed(BID, require=["domestic", "state_owned"]), {"require": ["state_owned", "domestic"]}),
        (BID, {"starts_at": format_hour(FIRST_HOUR + 8).replace("Z", "+08:00")}),
        (changed(BID, hours=48), {"hours": None}),
        (changed(BID, time_in_force="fok"), {"fill": "all_or_none"}),
        (ASK, {"min_hours": 1, "reserved_for": []}),
    ],
)
def test_two_ways_to_say_one_thing_are_one_fingerprint(order: NewOrder, fields: dict[str, object]) -> None:
    assert print_of(order) == print_of(changed(order, **fields))


@pytest.mark.parametrize(
    "order,fields",
    [
        (BID, {"price_cny_per_gpu_hour": "12.36"}),
        (BID, {"vouchers": "auto"}),
        (changed(BID, vouchers="auto"), {"voucher_policy": "only_eligible"}),
        (BID, {"product": "another.product"}),
        (BID, {"side": Side.SELL}),
        (BID, {"hours": 23}),
        (BID, {"starts_at": format_hour(FIRST_HOUR + 1)}),
        (BID, {"post_only": True}),
        (BID, {"require": ["domestic"]}),
        (ASK, {"min_hours": 2}),
        (ASK, {"reserved_for": ["startup"]}),
        (changed(BID, time_in_force="gtd"), {"expires_at": format_hour(FIRST_HOUR + 2)}),
    ],
)
def test_two_meanings_are_two_fingerprints(order: NewOrder, fields: dict[str, object]) -> None:
    assert print_of(order) != print_of(changed(order, **fields))


def test_an_order_that_is_read_later_is_read_the_same() -> None:
    order = changed(BID, time_in_force="gtd", expires_at=format_hour(FIRST_HOUR + 5))
    assert parse_order(order, PRODUCT, first_hour=FIRST_HOUR, faults=Faults()) == read_order(order)
    assert parse_order(order, PRODUCT, first_hour=FIRST_HOUR + 9, faults=Faults()) is None
    assert read_order(changed(order, starts_at="2027-02-30T09:00:00Z")) is None
    assert read_order(changed(order, vouchers=["vch_x"])) is None


def test_masks_hold_what_an_order_demands() -> None:
    assert needs_mask(changed(BID, require=["domestic", "state_owned", "domestic"])) == 0b11
    assert needs_mask(changed(ASK, reserved_for=["startup"])) == 0b100


@pytest.mark.parametrize(
    "notional,gpu_hours,text", [(0, 0, None), (100, 3, "0.3333"), (200, 3, "0.6667"), (1235, 1, "12.3500")]
)
def test_the_average_price_is_rounded_to_four_decimals(
    notional: int, gpu_hours: int, text: str | None
) -> None:
    assert average_price(notional, gpu_hours) == text


@pytest.mark.parametrize("product_id, command, events", [("p", b"c", b""), ("产品", b"", b"e" * 300)])
def test_the_hash_of_a_journal_row_is_over_its_fields_each_after_its_length(
    product_id: str, command: bytes, events: bytes
) -> None:
    # A change of this is a change of every journal ever written.
    parts = (
        (7).to_bytes(8, "big"),
        product_id.encode(),
        (2**50 + 1).to_bytes(8, "big"),
        command,
        events,
    )
    told = bytes(range(32)) + b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    found = journal_hash(bytes(range(32)), 7, product_id, 2**50 + 1, command, events)
    assert found == sha256(told).digest()
