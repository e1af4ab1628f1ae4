"""Goal: a bid's money is exact at every moment of its life, and a lease's at every hour.

Method: random bids, paid by any programmes, filled in random pieces at random better prices, by eligible and
other providers, against the plain statements of what must hold; no model is needed, because the statements
are the contract with the buyer.
"""

from collections.abc import Callable
from itertools import pairwise, product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.programmes.models import BASIS_POINTS
from exchange.settlement.models import FundedOrder, Hold, LeaseFunding, Terms
from exchange.settlement.rules import (
    eligible_ticks,
    fee_fen,
    holds_by_share,
    hour_fee_fen,
    hour_parts,
    spread_in_order,
    targets,
)
from exchange.settlement.service import Settlement
from exchange.vouchers.models import Share
from exchange.vouchers.rules import capped
from matching.events import Traded

PRICES = st.integers(1, 10**9)


@st.composite
def bids(draw: st.DrawFn) -> tuple[Terms, int, list[tuple[int, int, int, int | None]]]:
    """A bid's terms, its quantity, and its fills: (gpus, price, ask's mask, its provider's list price).

    Few and small numbers are common: whatever is rounded away there shows.
    """
    small = draw(st.booleans())
    only_eligible = draw(st.booleans())
    prices = st.integers(1, 12) if small else PRICES
    cuts = st.integers(1, 10).map(lambda tenths: 1_000 * tenths) if small else st.integers(1, 10_000)
    marks = sorted({0, *draw(st.lists(cuts, max_size=4))})
    rates = [end - start for start, end in pairwise(marks)]
    terms = Terms(
        limit_ticks=draw(prices),
        hours=draw(st.integers(1, 3 if small else 2000)),
        only_eligible=only_eligible,
        shares=tuple(
            Share(
                programme_id=number,
                programme_version=1,
                rate_bps=rate_bps,
                mask_hex=f"{1 << number:x}",
                price_cap_ticks=draw(st.none() | prices),
                list_cap_bps=draw(st.sampled_from([None, None, 10_000, 15_000])),
                reimbursed=draw(st.sampled_from([False, False, True])),
            )
            for number, rate_bps in enumerate(rates, start=1)
        ),
    )
    quantity = draw(st.integers(1, 64))
    fills: list[tuple[int, int, int, int | None]] = []
    open_gpus = quantity
    every = sum(share.mask for share in terms.shares)
    while open_gpus and draw(st.booleans()):
        gpus = draw(st.integers(1, min(open_gpus, 2 if small else 64)))
        open_gpus -= gpus
        mask = every if only_eligible else draw(st.integers(0, every))
        price = draw(st.one_of(st.just(terms.limit_ticks), st.integers(1, terms.limit_ticks)))
        fills.append((gpus, price, mask, draw(st.none() | prices)))
    return terms, quantity, fills


def placed_for(terms: Terms, quantity: int, draw: Callable[[st.SearchStrategy[int]], int]) -> FundedOrder:
    """Return the bid's money: for each share up to two vouchers, which may not cover all of it."""
    parts = []
    for whole in wholes(terms, quantity):
        total = whole if draw(st.integers(0, 2)) else draw(st.integers(0, whole))
        first = draw(st.integers(0, total))
        parts.append([first, total - first])
    return bid_of(terms, quantity, parts)


def wholes(terms: Terms, quantity: int) -> list[int]:
    """Return what each share of a bid comes to at its limit."""
    return [
        capped(terms.limit_ticks, share.price_cap_ticks) * terms.hours * quantity * share.rate_bps // 10_000
        for share in terms.shares
    ]


def bid_of(terms: Terms, quantity: int, parts: list[list[int]]) -> FundedOrder:
    """Return a bid with its cash, and what each voucher of each share sets aside."""
    wanted = targets(
        terms,
        placed_fen=[sum(each) for each in parts],
        filled_notional_fen=0,
        eligible_fen=[0] * len(parts),
        open_gpus=quantity,
    )
    return FundedOrder(
        order_id=1,
        buyer_id=1,
        terms=terms,
        cash=hold_of(0, wanted.cash_kept_fen, 0),
        vouchers=[
            hold_of(10 * share.programme_id + number, part, share.programme_id)
            for share, each in zip(terms.shares, parts, strict=True)
            for number, part in enumerate(each)
            if part
        ],
        eligible_fen=[0] * len(parts),
    )


def hold_of(voucher_id: int, placed_fen: int, programme_id: int) -> Hold:
    return Hold(
        order_id=1,
        voucher_id=voucher_id,
        position=voucher_id,
        programme_id=programme_id,
        asset="x",
        source_account_id=2 * voucher_id + 1,
        escrow_account_id=2 * voucher_id + 2,
        placed_fen=placed_fen,
    )


@given(bids(), st.data())
def test_every_fill_is_paid_exactly_out_of_what_was_set_aside(
    bid: tuple[Terms, int, list[tuple[int, int, int, int | None]]], data: st.DataObject
) -> None:
    terms, quantity, fills = bid
    check_fills(placed_for(terms, quantity, data.draw), quantity, fills)


@pytest.mark.parametrize("modes", list(product([False, True], repeat=3)))
@pytest.mark.parametrize("tenths", [(5, 5), (2, 3, 5), (4, 4, 1)])
def test_in_whichever_order_programmes_reimburse_and_pay_small_fills_are_paid_exactly(
    modes: tuple[bool, ...], tenths: tuple[int, ...]
) -> None:
    """Every way of filling up to three GPUs one by one at up to seven fen: where a fen does not fit shows."""
    shares = tuple(
        Share(
            programme_id=number,
            programme_version=1,
            rate_bps=1_000 * tenth,
            mask_hex="1",
            reimbursed=mode,
        )
        for number, (tenth, mode) in enumerate(zip(tenths, modes, strict=False), start=1)
    )
    for limit_ticks, gpus in product(range(1, 8), range(1, 4)):
        terms = Terms(limit_ticks=limit_ticks, hours=1, shares=shares, only_eligible=True)
        for prices in product(range(max(1, limit_ticks - 2), limit_ticks + 1), repeat=gpus):
            funded = bid_of(terms, gpus, [[whole] for whole in wholes(terms, gpus)])
            check_fills(funded, gpus, [(1, price, 1, None) for price in prices])


def check_fills(funded: FundedOrder, quantity: int, fills: list[tuple[int, int, int, int | None]]) -> None:
    """Fill a bid, and assert after each fill what must hold."""
    terms = funded.terms
    settlement = Settlement(partition_id=1, fee_bps=0)
    settlement.place(funded)
    open_gpus, filled = quantity, 0
    eligible = [0] * len(terms.shares)
    for gpus, price, mask, list_price in fills:
        open_gpus -= gpus
        filled += gpus * price * terms.hours
        before = [hold.placed_fen - hold.released_fen for hold in (funded.cash, *funded.vouchers)]
        trade = settlement.trade(
            Traded(
                sequence=1,
                maker_order_id=2,
                taker_order_id=1,
                bid_order_id=1,
                ask_order_id=2,
                buyer=1,
                seller=2,
                quantity_gpus=gpus,
                starts_hour=0,
                hours=terms.hours,
                price_ticks=price,
                bid_remaining_gpus=open_gpus,
                ask_remaining_gpu_hours=0,
            ),
            funded,
            sequence=1,
            product_id="x",
            provider_id=2,
            ask_mask=mask,
            list_price_ticks=list_price,
            open_gpus=open_gpus,
        )
        for index, share in enumerate(terms.shares):
            if share.mask & mask:
                part = eligible_ticks(share, price, list_price)
                assert part <= price
                eligible[index] += part * gpus * terms.hours
        assert trade.notional_fen == gpus * price * terms.hours
        assert trade.voucher_fen >= 0
        assert trade.reimbursable_fen >= 0
        assert trade.voucher_fen + trade.reimbursable_fen <= trade.notional_fen
        check_holds(funded, before)
        committed = [sum(hold.committed_fen for hold in holds) for holds in holds_by_share(funded)]
        for share, fen, part in zip(terms.shares, committed, eligible, strict=True):
            assert fen * 10_000 <= part * share.rate_bps
        assert sum(committed) * 10_000 <= filled * sum(share.rate_bps for share in terms.shares)
        paid = funded.cash.committed_fen + sum(
            fen for share, fen in zip(terms.shares, committed, strict=True) if not share.reimbursed
        )
        assert paid == filled
    settlement.close(funded)
    assert all(hold.open_fen == 0 for hold in (funded.cash, *funded.vouchers))
    check_lag(terms, funded, eligible)


@pytest.mark.parametrize("tenths", [(2, 3), (5, 5), (1, 9), (3, 3), (1, 2, 3), (2, 2, 2, 4)])
def test_rounding_several_shares_down_never_asks_for_more_cash_than_was_set_aside(
    tenths: tuple[int, ...],
) -> None:
    """All prices of small bids: less 20 % and 30 %, ten fen cost 5 and nine cost 6."""
    shares = tuple(
        Share(programme_id=tenth, programme_version=1, rate_bps=1_000 * tenth, mask_hex="1")
        for tenth in tenths
    )
    for limit_ticks in range(1, 13):
        terms = Terms(limit_ticks=limit_ticks, hours=1, shares=shares, only_eligible=True)
        for gpus in range(1, 5):
            plenty = [10**6] * len(shares)
            nothing = [0] * len(shares)
            placed = targets(
                terms, placed_fen=plenty, filled_notional_fen=0, eligible_fen=nothing, open_gpus=gpus
            )
            for price_fen in range(gpus, gpus * limit_ticks + 1):
                own_fen = price_fen - sum(price_fen * tenth // 10 for tenth in tenths)
                assert own_fen <= placed.cash_kept_fen


def check_holds(funded: FundedOrder, before: list[int]) -> None:
    """Assert that what is set aside only shrinks, and that no hold gives more than it has."""
    for hold, kept in zip((funded.cash, *funded.vouchers), before, strict=True):
        assert hold.open_fen >= 0
        assert hold.placed_fen - hold.released_fen <= kept
    for holds in holds_by_share(funded):
        for first, second in pairwise(holds):  # the first as far as it goes
            assert not second.committed_fen or first.committed_fen == first.placed_fen


def check_lag(terms: Terms, funded: FundedOrder, eligible: list[int]) -> None:
    """Assert that shares were paid to the fen, but for a fen that did not fit into the last fills."""
    short = 0
    for share, holds, part in zip(terms.shares, holds_by_share(funded), eligible, strict=True):
        due = min(part * share.rate_bps // 10_000, sum(hold.placed_fen for hold in holds))
        short += due - sum(hold.committed_fen for hold in holds)
    assert 0 <= short <= max(len(terms.shares) - 1, 0)


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**11), max_size=6))
def test_spreading_in_order_empties_each_before_the_next(total: int, placed: list[int]) -> None:
    parts = spread_in_order(total, placed)
    assert sum(parts) == min(total, sum(placed))
    assert all(0 <= part <= available for part, available in zip(parts, placed, strict=True))
    first_partial = next((index for index, part in enumerate(parts) if part < placed[index]), len(parts))
    assert not any(parts[first_partial + 1 :])


@given(
    price=st.one_of(st.integers(1, 5), st.integers(1, 10**6)),
    gpus=st.integers(1, 64),
    hours=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 10_000), max_size=3),
    back=st.lists(st.integers(0, 10_000), max_size=2),
    failed=st.sets(st.integers(0, 39)),
)
def test_the_hours_of_a_lease_sum_to_its_funding(
    price: int, gpus: int, hours: int, cuts: list[int], back: list[int], failed: set[int]
) -> None:
    notional = price * gpus * hours
    marks = [0, *sorted(notional * cut // 10_000 for cut in cuts), notional]
    amounts = [end - start for start, end in pairwise(marks)]
    # What is reimbursed is of the buyer's own cash, the first part, and at most all of it.
    own_marks = [0, *sorted(amounts[0] * cut // 10_000 for cut in back)]
    reimbursed = [end - start for start, end in pairwise(own_marks)]
    funding = [
        LeaseFunding(
            lease_id=1,
            voucher_id=index,
            asset="CNY",
            source_account_id=1,
            escrow_account_id=2,
            committed_fen=amount,
            reimbursed=index >= len(amounts),
        )
        for index, amount in enumerate([*amounts, *reimbursed])
    ]
    delivered = 0
    # Each voucher rounds for itself: where several meet and no cash takes it, a fen goes astray.
    astray = max(len(amounts) - 2, 0)
    for hour in range(hours):
        is_delivered = hour not in failed
        delivered += is_delivered
        parts = hour_parts(price, gpus, funding, delivered=is_delivered)
        assert [part.voucher_id for part in parts] == list(range(len(funding)))
        assert sum(part.amount_fen for part in parts[: len(amounts)]) == price * gpus
        for index, part in enumerate(parts):
            key = "captured_fen" if is_delivered else "returned_fen"
            moved = {key: getattr(funding[index], key) + part.amount_fen}
            funding[index] = msgspec.structs.replace(funding[index], **moved)
            assert part.amount_fen >= 0
            assert funding[index].open_fen >= 0
            if index:
                share = funding[index].captured_fen * hours - funding[index].committed_fen * delivered
                assert share <= (astray * hours if index < len(amounts) else 0)
        # Of the hours so far no more is given back than the buyer paid for them.
        assert sum(part.captured_fen for part in funding[len(amounts) :]) <= funding[0].captured_fen
    assert all(part.open_fen == 0 for part in funding)
    assert sum(part.captured_fen for part in funding[: len(amounts)]) == price * gpus * delivered


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=20), st.integers(0, 10_000))
def test_hours_sold_in_many_leases_never_pay_less_than_in_one_and_less_than_a_fen_more_for_each(
    leases_fen: list[int], bps: int
) -> None:
    exact = sum(leases_fen) * bps
    paid_fen = sum(fee_fen(each, bps) for each in leases_fen)
    assert exact <= paid_fen * BASIS_POINTS < exact + BASIS_POINTS * len(leases_fen)
    assert paid_fen >= fee_fen(sum(leases_fen), bps)


@given(
    st.integers(1, 10**12),
    st.integers(0, 10_000),
    st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=50),
)
def test_the_fee_of_a_lease_is_that_of_its_delivered_hours_and_within_their_cash(
    hour_fen: int, bps: int, cash_shares: list[float | None]
) -> None:
    """None: the hour failed. Cash of hours is as uneven as can be, from all of the price to none of it."""
    taken_fen = delivered_fen = lacking_fen = 0
    for share in cash_shares:
        if share is None:
            continue
        delivered_fen += hour_fen
        cash_fen = int(hour_fen * share)
        fee = hour_fee_fen(delivered_fen, bps, taken_fen=taken_fen, cash_fen=cash_fen)
        assert 0 <= fee <= cash_fen
        taken_fen += fee
        lacking_fen = fee_fen(delivered_fen, bps) - taken_fen
        # What is lacking is lacking for want of cash only.
        assert lacking_fen == 0 or fee == cash_fen
    if bps < BASIS_POINTS and all(share == 1 for share in cash_shares if share is not None):
        assert lacking_fen == 0
