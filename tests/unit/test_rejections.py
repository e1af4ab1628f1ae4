"""Goal: whoever's order a book refuses is told the field, the rule and the value, whatever the reason.

Method: a bid and an ask, refused for every reason there is.
"""

import pytest

from exchange.kit.fields import format_cny, format_hour
from exchange.orders.models import LiveOrder, NewOrder, OrderTerms
from exchange.orders.rejections import book_fault
from exchange.products.rules import PRICE_TICKS_MAX
from matching.events import RejectReason
from matching.order import Side
from matching.product import Collar
from tests.unit.test_order_rules import FIRST_HOUR, PRODUCT


def order(side: Side) -> LiveOrder:
    return LiveOrder(
        order_id=1,
        participant_id=1,
        key_id=1,
        trade_group_id=0,
        client_order_id="b-1",
        fingerprint=b"",
        product_id=PRODUCT.id,
        side=side,
        quantity_gpus=16,
        starts_hour=FIRST_HOUR,
        ends_hour=FIRST_HOUR + 4,
        hours=4,
        price_ticks=1235,
        terms=OrderTerms(time_in_force="gtd", expire_hour=FIRST_HOUR + 2),
        created_at_us=0,
        updated_at_us=0,
    )


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("reason", RejectReason)
def test_every_refusal_of_a_book_names_its_rule(reason: RejectReason, side: Side) -> None:
    fault = book_fault(order(side), reason)
    assert fault.code == reason
    assert fault.detail.split()[0] in {"must", "is", "has", "forbids"}
    assert fault.pointer == "" or fault.pointer.removeprefix("/") in NewOrder.__struct_fields__


def test_a_refusal_repeats_what_was_sent() -> None:
    bid = order(Side.BUY)
    told = {
        reason: (fault.pointer, fault.value)
        for reason in RejectReason
        if (fault := book_fault(bid, reason)).pointer
    }
    assert told[RejectReason.EXPIRE_HOUR_IN_PAST] == ("/expires_at", format_hour(FIRST_HOUR + 2))
    assert told[RejectReason.WINDOW_IN_PAST] == ("/starts_at", format_hour(FIRST_HOUR))
    assert told[RejectReason.PRICE_OUTSIDE_COLLAR] == ("/price_cny_per_gpu_hour", "12.35")
    assert told[RejectReason.PHASE] == ("/product", PRODUCT.id)
    assert told[RejectReason.WINDOW_TOO_SHORT] == ("/hours", 4)


@pytest.mark.parametrize(
    "highest_ticks,highest", [(2250, "22.50"), (2 * PRICE_TICKS_MAX, format_cny(PRICE_TICKS_MAX))]
)
def test_the_collar_tells_between_which_prices_and_around_which(highest_ticks: int, highest: str) -> None:
    """None of them is higher than a price may be anyway."""
    ask = order(Side.SELL)
    ask.collar = Collar(reference_ticks=1500, lowest_ticks=750, highest_ticks=highest_ticks)
    fault = book_fault(ask, RejectReason.PRICE_OUTSIDE_COLLAR)
    assert (fault.value, fault.lowest, fault.highest) == ("12.35", "7.50", highest)
    assert fault.detail == (
        "must lie within the product's collar around its reference price:"
        f" from 7.50 to {highest} CNY, by a reference of 15.00 at that time"
    )
